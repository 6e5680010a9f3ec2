/* Every call to the store of a collection made to fail, in every way the fault store knows. Whatever happens:
 * the snapshots that are there read back whole, the next collection ends what this one began, and then
 * nothing is left that no snapshot needs. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/backup/backup.h"
#include "bkd/life/prune.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/session.h"
#include "bkd/repo/check.h"
#include "tests/fault/life.h"
#include "tests/fault/sweeps.h"

static struct sample sample;
static uint64_t clean_bytes; /* of packs after an undisturbed collection */

static int add_size(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name;
    (void)err;
    *(uint64_t *)ctx += size;
    return 0;
}

static uint64_t pack_bytes(struct store *s)
{
    struct bk_error err = { 0 };
    uint64_t n = 0;
    OK(store_list(s, "data/", add_size, &n, &err));
    OK(store_list(s, "meta/", add_size, &n, &err));
    return n;
}

/* Two states were saved, and the first is forgotten: some packs are not needed, others half. */
static struct store *make_base(void)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct life l = { 0 };
    life_run(&l, lend(mem), &sample);
    assert_int_equal(l.code, 0);
    char path[REPO_PATH];
    repo_id_path("snapshots/", l.ids[0], SESSION_ID, path);
    OK(store_remove(mem, path, &err));
    return mem;
}

static int prune(struct store *s, struct prune_report *rep, struct bk_error *err)
{
    struct repo *r = NULL;
    struct job j;
    int rc = repo_open_adopt_store(s, &life_secret, &world_real, &r, err);
    if (rc < 0) {
        store_free(s);
        return rc;
    }
    struct prune_opts o = { .max_unused_percent = 5, .poll_ms = 1, .timeout_s = 1 };
    life_job(&j);
    rc = prune_run(r, &j, &o, rep, err);
    job_clear(&j);
    repo_free(r);
    return rc;
}

static void on_damage(void *ctx, const struct check_damage *d)
{
    (void)ctx;
    print_message("damage: %s: %s\n", d->object ? d->object : "?", d->why ? d->why->text : "");
}

/* Every snapshot reads back; nothing is damaged. */
static void verify(struct store *mem, size_t n_snapshots)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    struct job j;
    struct check_report rep = { 0 };
    struct check_opts o = { .read_data = true };
    bk_auto(catalog_clear) struct catalog c = { 0 };
    OK(repo_open_adopt_store(lend(mem), &life_secret, &world_real, &r, &err));
    OK(catalog_load(r, NULL, NULL, &c, &err));
    assert_int_equal(c.n, n_snapshots);
    for (size_t i = 0; i < c.n; i++)
        if (sample_compare(&sample, life_state(&c.v[i].snap), r, &c.v[i].snap, &err) < 0)
            fail_msg("a snapshot does not read back: %s", err.text);
    life_job(&j);
    OK(check_run(r, &j, &o, on_damage, NULL, &rep, &err));
    job_clear(&j);
    assert_int_equal(rep.n_files_hit, 0);
    assert_int_equal(rep.n_damages, 0);
    repo_free(r);
}

static void an_undisturbed_collection_leaves_what_is_needed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make_base();
    struct prune_report rep;
    uint64_t before = pack_bytes(mem);
    OK(prune(lend(mem), &rep, &err));
    assert_int_equal(rep.n_snapshots, 1);
    assert_true(rep.n_deleted > 0);
    assert_int_equal(rep.n_deleted, rep.n_unneeded + rep.n_moved);
    assert_true(rep.n_moved > 0);
    clean_bytes = pack_bytes(mem);
    assert_true(clean_bytes < before);
    verify(mem, 1);
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    struct prune_report again;
    OK(prune(lend(mem), &again, &err));
    assert_int_equal(again.n_deleted, 0);
    assert_int_equal(again.n_segments_put, 0);
    assert_int_equal(pack_bytes(mem), clean_bytes);
    printf("# %llu bytes of packs, %llu after\n", (unsigned long long)before,
           (unsigned long long)clean_bytes);
    store_free(mem);
}

static int remove_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size;
    return store_remove(ctx, name, err);
}

static void remove_sessions(struct store *mem)
{
    struct bk_error err = { 0 };
    OK(store_list(mem, "sessions/", remove_one, mem, &err));
}

struct tally {
    unsigned cases, reported, repaired;
};

static bool survive(struct store *base, enum store_fault_kind kind, uint64_t nth, struct tally *n)
{
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct store *mem = copy_of(base);
    struct store *faulty = lend_faulty(mem, kind, nth);
    int rc = prune(lend(faulty), &rep, &err);
    bool fired = store_fault_fired(faulty);
    if (!fired)
        assert_int_equal(rc, 0);
    verify(mem, 1);
    err = (struct bk_error){ 0 };
    remove_sessions(mem); /* its process is this one, and lives */
    OK(prune(lend(mem), &rep, &err));
    verify(mem, 1);
    /* what a collection that died had written anew may have been counted in another order */
    assert_true(pack_bytes(mem) <= clean_bytes + clean_bytes / 10);
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    store_free(faulty);
    store_free(mem);
    n->cases += fired;
    n->reported += fired && rc < 0;
    n->repaired += fired && rc == 0;
    return fired;
}

static void sweep(void **state)
{
    const struct sweep *w = *state;
    struct tally n = { 0 };
    struct store *base = make_base();
    for (uint64_t nth = 1; survive(base, w->kind, nth, &n); nth++)
        ;
    assert_true(n.cases > 3);
    printf("# %s: %u cases, %u survived; %u reported an error, %u went on without one\n", w->what, n.cases,
           n.cases, n.reported, n.repaired);
    fflush(stdout);
    store_free(base);
}

int main(void)
{
    struct CMUnitTest tests[1 + N_SWEEPS] = { cmocka_unit_test(
        an_undisturbed_collection_leaves_what_is_needed) };
    sweeps_add(tests + 1, sweep);
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
