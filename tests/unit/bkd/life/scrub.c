/* Scrub: what is remembered, what comes first, and the chance of loss. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include <math.h>

#include "bkd/life/scrub.h"
#include "bkd/life/scrub_state.h"
#include "bkd/store/mirror.h"

static char folder[64];
static int64_t clock_s = 1800000000;

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return clock_s * 1000000000;
}

static struct scrub_report scrub(struct store *s, const char *state, uint64_t max_bytes)
{
    struct bk_error err = { 0 };
    struct world w = world_real;
    struct job j = { 0 };
    struct scrub_report rep;
    w.now_ns = now_ns;
    OK(job_init(&j, &err));
    OK(scrub_run(s, &w, &j, &(struct scrub_opts){ .state = state, .max_bytes = max_bytes }, &rep, &err));
    job_clear(&j);
    return rep;
}

static struct store *make(void)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct repo *r = NULL;
    OK(repo_init_adopt_store(lend(mem), &(struct repo_init_opts){ .suite = SUITE_SM4, .secret = &key_file },
                             &world_real, &r, &err));
    repo_free(r);
    return mem;
}

static void runs_that_are_cut_short_go_round(void **state)
{
    (void)state;
    char path[128];
    struct store *mem = make();
    snprintf(path, sizeof path, "%s/deep/scrub", folder);
    uint64_t verified = 0;
    struct scrub_report rep = { 0 };
    for (int i = 0; i < 100 && !(rep.n_objects && rep.n_fresh == rep.n_objects); i++) {
        clock_s += 3600;
        rep = scrub(mem, path, 1);
        assert_int_equal(rep.n_verified, 1);
        verified++;
        assert_int_equal(rep.n_fresh, verified); /* never one that was verified while others were not */
    }
    assert_int_equal(verified, rep.n_objects);
    assert_int_equal(rep.oldest_s, 3600 * (int64_t)(verified - 1));
    clock_s += 3600;
    rep = scrub(mem, path, 1);
    assert_int_equal(rep.oldest_s, 3600 * (int64_t)(verified - 1)); /* the oldest was it */
    rep = scrub(mem, path, 0);
    assert_true(rep.all);
    assert_int_equal(rep.oldest_s, 0);
    store_free(mem);
}

static void damage_is_told_and_does_not_count_as_verified(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make();
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    OK(store_get_all(mem, "config", 4096, &b, &err));
    b.data[20] ^= 1;
    OK(store_remove(mem, "config", &err));
    OK(store_put(mem, "config", b.data, b.len, &err));
    struct scrub_report rep = scrub(mem, NULL, 0);
    assert_int_equal(rep.n_bad, 1);
    assert_int_equal(rep.n_verified, rep.n_objects - 1);
    assert_int_equal(rep.n_fresh, rep.n_objects - 1);
    store_free(mem);
}

/* A store that is away, and an object that stays bad: short runs go on past both, and neither counts. */
static void what_cannot_be_verified_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char path[128];
    for (int away = 0; away < 2; away++) {
        struct store *mem = make(), *mirror = NULL, *of[2] = { lend(mem), NULL };
        snprintf(path, sizeof path, "%s/away%d", folder, away);
        if (!away) {
            bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
            OK(store_get_all(mem, "config", 4096, &b, &err));
            b.data[20] ^= 1;
            OK(store_remove(mem, "config", &err));
            OK(store_put(mem, "config", b.data, b.len, &err));
        }
        if (away)
            OK(store_mirror_new(of, 2, 1, &world_real, &mirror, &err));
        uint64_t n = scrub(away ? mirror : mem, NULL, 0).n_objects;
        struct scrub_report rep = { 0 };
        for (uint64_t i = 0; i < 2 * n; i++) {
            clock_s += 3600;
            rep = scrub(away ? mirror : mem, path, 1);
            assert_int_equal(rep.n_unreachable, away);
        }
        assert_int_equal(rep.n_fresh, away ? 0 : n - 1);
        if (!away) /* every run looked at another object */
            assert_int_equal(rep.oldest_s / 3600, n - 1 - (rep.n_bad == 0));
        store_free(away ? mirror : of[0]);
        store_free(mem);
    }
}

static void a_state_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "bkctl scrub 1\n",
                                       "bkctl scrub 2\nx 1 config\n",
                                       "bkctl scrub 2\n1 config\n",
                                       "bkctl scrub 2\n-1 1 config\n",
                                       "bkctl scrub 2\n12 -1 config\n",
                                       "bkctl scrub 2\n12 12 config",
                                       "bkctl scrub 2\n99999999999999999999 1 config\n" };
    struct bk_error err = { 0 };
    char path[128];
    struct scrub_item v = { .name = "config" };
    snprintf(path, sizeof path, "%s/bad", folder);
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(bad[i], f);
        fclose(f);
        assert_int_equal(scrub_state_load(path, &v, 1, &err), BK_E_CORRUPT);
    }
    v.read_s = 78;
    v.verified_s = 77;
    OK(scrub_state_save(path, &v, 1, &err));
    struct scrub_item w[] = { { .name = "a" }, { .name = "config" }, { .name = "z" } };
    OK(scrub_state_load(path, w, 3, &err));
    assert_int_equal(w[1].read_s, 78);
    assert_int_equal(w[1].verified_s, 77);
    assert_int_equal(w[0].read_s + w[2].read_s, 0);
}

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

static void the_chance_of_loss_is_that_of_the_formula(void **state)
{
    (void)state;
    assert_true(close_to(scrub_annual_loss(1, 0.02, 0.1), 0.02));
    assert_true(close_to(scrub_annual_loss(2, 0.02, 0.1), 2 * 0.02 * 0.02 * 0.1));
    assert_true(close_to(scrub_annual_loss(3, 0.02, 0.1), 3 * 0.02 * 0.002 * 0.002));
    assert_true(close_to(scrub_annual_loss(2, 1, 10), 1)); /* a chance */
    for (unsigned n = 2; n < 6; n++)
        assert_true(close_to(scrub_annual_loss(n, 0.03, scrub_window_for(n, 0.03, 1e-9)), 1e-9));
    assert_true(scrub_window_for(1, 0.03, 1e-9) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_are_cut_short_go_round),
        cmocka_unit_test(damage_is_told_and_does_not_count_as_verified),
        cmocka_unit_test(what_cannot_be_verified_keeps_nobody_waiting),
        cmocka_unit_test(a_state_that_is_none_is_refused),
        cmocka_unit_test(the_chance_of_loss_is_that_of_the_formula),
    };
    char command[128];
    snprintf(folder, sizeof folder, "/tmp/bk-test-scrub-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? r : 1;
}
