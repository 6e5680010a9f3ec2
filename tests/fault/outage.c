/* A store that falls silent at any call of any command. Each call then waits its whole time, so that the
 * command must end with UNREACHABLE after a few of them: what cannot be fetched is no damage. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/backup/backup.h"
#include "bkd/copy/copy.h"
#include "bkd/life/prune.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/check.h"
#include "bkd/restore/export.h"
#include "bkd/store/silence.h"
#include "tests/fault/life.h"

/* Both threads may be waiting, and each may have another call ahead; then the session ends. */
enum { CALLS_MAX = 6 };

static struct sample sample;
static struct life life;
static struct store *base; /* of it */

/* The newest snapshot to disk. Without an error nothing may be missing. */
static int restore(struct repo *r, struct job *j, struct bk_error *err)
{
    static struct sample_problems problems;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    int rc = catalog_load(r, NULL, NULL, &c, err);
    if (rc < 0)
        return rc;
    assert_int_equal(c.n, SAMPLE_STATES);
    const struct snapshot *s = &c.v[c.n - 1].snap;
    rc = sample_restore(&sample, life_state(s), r, j, s, &problems, err);
    if (rc == 0)
        if (problems.n)
            fail_msg("%s is told as damaged (%d)", problems.v[0].path, problems.v[0].code);
    return rc;
}

#if HAVE_ARCHIVE
static int export(struct repo *r, struct job *j, struct bk_error *err)
{
    bk_auto(catalog_clear) struct catalog c = { 0 };
    struct export_report rep = { 0 };
    int rc = catalog_load(r, NULL, NULL, &c, err);
    if (rc < 0)
        return rc;
    struct export_opts o = { .format = "tar", .output = "/dev/null" };
    rc = export_run(r, j, &c.v[c.n - 1].snap, &o, &rep, err);
    if (rc == 0)
        assert_int_equal(rep.n_problems, 0);
    return rc;
}
#endif

static int check(struct repo *r, struct job *j, struct bk_error *err)
{
    struct check_report rep = { 0 };
    int rc = check_run(r, j, &(struct check_opts){ .read_data = true }, NULL, NULL, &rep, err);
    assert_int_equal(rep.n_damages, 0);
    return rc;
}

static int prune(struct repo *r, struct job *j, struct bk_error *err)
{
    struct prune_report rep;
    struct prune_opts o = { .max_unused_percent = 0.1, .poll_ms = 1, .timeout_s = 1 };
    return prune_run(r, j, &o, &rep, err);
}

static int back_up(struct repo *r, struct job *j, struct bk_error *err)
{
    sample_show(&sample, 0);
    const char *paths[] = { sample.shown };
    struct backup_files f = { .paths = paths, .n_paths = 1 };
    struct backup_common c = { .name = "life", .level = LEVEL_INCREMENTAL, .zstd_level = 1 };
    bk_auto(backup_result_clear) struct backup_result result = { 0 };
    return backup_files(r, j, &c, &f, &result, err);
}

static int copy_between(struct repo *from, struct repo *to, struct job *j, struct bk_error *err)
{
    bk_auto(copy_free) struct copy *c = NULL;
    int rc = copy_open(from, to, j, &(struct copy_opts){ .zstd_level = 1 }, &c, err);
    for (size_t i = 0; rc == 0 && i < copy_source(c)->n; i++) {
        struct copy_result p;
        rc = copy_one(c, &copy_source(c)->v[i], &p, err);
        if (rc == 0)
            assert_false(p.refused);
    }
    return rc;
}

static struct repo *other_repository(void)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    struct config c;
    life_config(&c);
    struct repo_init_opts o = { .suite = SUITE_SM4, .secret = &life_secret, .label = "k", .config = &c };
    OK(repo_init_adopt_store(new_mem(), &o, &world_real, &r, &err));
    return r;
}

static int copy_away(struct repo *r, struct job *j, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *to = other_repository();
    return copy_between(r, to, j, err);
}

static int copy_here(struct repo *r, struct job *j, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *from = other_repository();
    int rc = back_up(from, j, err);
    assert_int_equal(rc, 0);
    return copy_between(from, r, j, err);
}

struct command {
    const char *name;
    int (*run)(struct repo *r, struct job *j, struct bk_error *err);
    bool forgets; /* something is to be collected */
};

/* False when the command ended before that call. */
static bool end_in_time(const struct command *c, uint64_t nth, unsigned *longest)
{
    struct bk_error err = { 0 };
    struct store *mem = copy_of(base), *silent = lend_faulty(mem, FAULT_SILENT, nth), *s = NULL;
    struct repo *r = NULL;
    struct job j;
    if (c->forgets) {
        char path[REPO_PATH];
        repo_id_path("snapshots/", life.ids[0], SESSION_ID, path);
        OK(store_remove(mem, path, &err));
    }
    life_job(&j);
    OK(store_silence_new(lend(silent), &s, &err));
    int rc = repo_open_adopt_store(s, &life_secret, &world_real, &r, &err);
    if (rc == 0)
        rc = c->run(r, &j, &err);
    else
        store_free(s); /* not taken */
    repo_free(r);
    job_clear(&j);
    bool fired = store_fault_fired(silent);
    unsigned calls = fired ? (unsigned)(store_fault_calls(silent) - nth + 1) : 0;
    if (calls > CALLS_MAX)
        fail_msg("%s, silent from call %u: the store was asked %u times more (%s)", c->name, (unsigned)nth,
                 calls, err.text);
    if (rc < 0 ? rc != BK_E_UNREACHABLE : fired && calls > 2)
        fail_msg("%s, silent from call %u: ended with %d %s", c->name, (unsigned)nth, rc, err.text);
    *longest = calls > *longest ? calls : *longest;
    store_free(silent);
    store_free(mem);
    return fired;
}

static void sweep(void **state)
{
    const struct command *c = *state;
    unsigned cases = 0, longest = 0;
    for (uint64_t nth = 1; end_in_time(c, nth, &longest); nth++)
        cases++;
    assert_true(cases > 3);
    printf("# %s, the store falls silent: %u cases, at most %u calls wait\n", c->name, cases, longest);
    fflush(stdout);
}

int main(void)
{
    static const struct command commands[] = {
        { "restore", restore, false },
#if HAVE_ARCHIVE
        { "export", export, false },
#endif
        { "check", check, false },
        { "backup", back_up, false },
        { "prune", prune, true },
        { "copy from it", copy_away, false },
        { "copy to it", copy_here, false },
    };
    struct CMUnitTest tests[BK_COUNT(commands)];
    for (size_t i = 0; i < BK_COUNT(commands); i++)
        tests[i] = (struct CMUnitTest){ .name = commands[i].name,
                                        .test_func = sweep,
                                        .initial_state = (void *)&commands[i] };
    sample_make(&sample);
    base = new_mem();
    life_run(&life, lend(base), &sample);
    int r = life.code ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    store_free(base);
    sample_remove(&sample);
    return r;
}
