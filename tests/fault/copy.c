/* Every call to the target's store made to fail while snapshots are copied into it, in every way the fault
 * store knows. The copy reports an error or is right; afterwards nothing that was committed is wrong, and a
 * further copy completes what is missing. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/copy/copy.h"
#include "bkd/repo/check.h"
#include "tests/fault/life.h"

static struct sample sample;
static struct store *source; /* of a whole life */

static struct repo *open_source(void)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    OK(repo_open_adopt_store(lend(source), &life_secret, &world_real, &r, &err));
    return r;
}

static struct store *new_target(void)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct repo *r = NULL;
    struct config c;
    life_config(&c);
    struct repo_init_opts o = { .suite = SUITE_SM4, .secret = &life_secret, .label = "k", .config = &c };
    OK(repo_init_adopt_store(lend(mem), &o, &world_real, &r, &err));
    repo_free(r);
    return mem;
}

/* All that are not there; the first error. */
static int copy_all(struct repo *from, struct repo *to, unsigned *ret_copied, struct bk_error *err)
{
    struct job j;
    life_job(&j);
    bk_auto(copy_free) struct copy *c = NULL;
    int r = copy_open(from, to, &j, &(struct copy_opts){ .zstd_level = 1 }, &c, err);
    *ret_copied = 0;
    for (size_t i = 0; r == 0 && i < copy_source(c)->n; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        struct copy_result p;
        if (copy_there(c, it))
            continue;
        r = copy_one(c, it, &p, err);
        if (r == 0)
            assert_false(p.refused); /* nothing is wrong with the source */
        *ret_copied += r == 0;
    }
    copy_free(bk_steal(c));
    job_clear(&j);
    return r;
}

/* What was committed is right, and the rest can be had. */
static void verify(struct store *target, unsigned committed)
{
    struct bk_error err = { 0 };
    struct repo *from = open_source(), *to = NULL;
    unsigned copied = 0;
    OK(repo_open_adopt_store(lend(target), &life_secret, &world_real, &to, &err));
    for (int pass = 0; pass < 2; pass++) {
        bk_auto(catalog_clear) struct catalog c = { 0 };
        OK(catalog_load(to, NULL, NULL, &c, &err));
        assert_true(pass ? c.n == SAMPLE_STATES : c.n >= committed);
        for (size_t i = 0; i < c.n; i++)
            OK(sample_compare(&sample, life_state(&c.v[i].snap), to, &c.v[i].snap, &err));
        if (pass == 0)
            OK(copy_all(from, to, &copied, &err));
    }
    struct check_report report = { 0 };
    struct job j;
    life_job(&j);
    OK(check_run(to, &j, &(struct check_opts){ .read_data = true }, NULL, NULL, &report, &err));
    job_clear(&j);
    assert_int_equal(report.n_damages, 0);
    assert_int_equal(report.n_files_hit, 0);
    repo_free(from);
    repo_free(to);
}

/* One case; false when the fault lay past the last call. */
static bool survive(enum store_fault_kind kind, uint64_t nth, unsigned *reported)
{
    struct bk_error err = { 0 };
    struct store *mem = new_target(), *faulty = lend_faulty(mem, kind, nth);
    struct repo *from = open_source(), *to = NULL;
    unsigned copied = 0;
    int r = repo_open_adopt_store(lend(faulty), &life_secret, &world_real, &to, &err);
    if (r == 0)
        r = copy_all(from, to, &copied, &err);
    bool fired = store_fault_fired(faulty);
    if (r < 0) {
        assert_true(fired);
        assert_int_equal(r, err.code);
        assert_true(err.text[0]);
        *reported += 1;
    } else {
        assert_int_equal(copied, SAMPLE_STATES);
    }
    repo_free(from);
    repo_free(to);
    verify(mem, copied);
    store_free(faulty);
    store_free(mem);
    return fired;
}

static void sweep(enum store_fault_kind kind, const char *name)
{
    unsigned cases = 0, reported = 0;
    for (uint64_t nth = 1; survive(kind, nth, &reported); nth++)
        cases++;
    assert_true(cases > 3); /* the target is hardly read */
    printf("# %s: %u cases, %u reported an error, %u went on without one\n", name, cases, reported,
           cases - reported);
    fflush(stdout);
}

static void failing_calls_spoil_no_copy(void **state)
{
    (void)state;
    sweep(FAULT_ERROR, "target's call fails");
}

static void lost_acknowledgements_spoil_no_copy(void **state)
{
    (void)state;
    sweep(FAULT_LOST_ACK, "target's acknowledgement is lost");
}

static void flipped_bits_spoil_no_copy(void **state)
{
    (void)state;
    sweep(FAULT_FLIP_GET, "target's read has a flipped bit");
}

static void a_full_target_spoils_no_copy(void **state)
{
    (void)state;
    sweep(FAULT_NOSPACE, "target is full from a put on");
}

static void a_target_that_goes_away_spoils_no_copy(void **state)
{
    (void)state;
    sweep(FAULT_CUT, "target is gone from a call on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls_spoil_no_copy),
        cmocka_unit_test(lost_acknowledgements_spoil_no_copy),
        cmocka_unit_test(flipped_bits_spoil_no_copy),
        cmocka_unit_test(a_full_target_spoils_no_copy),
        cmocka_unit_test(a_target_that_goes_away_spoils_no_copy),
    };
    sample_make(&sample);
    source = new_mem();
    struct life l = { 0 };
    life_run(&l, lend(source), &sample);
    int r = l.code ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    store_free(source);
    sample_remove(&sample);
    return r;
}
