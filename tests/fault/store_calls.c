/* Every call to the store made to fail, in every way the fault store knows: one life of a repository per kind
 * of fault and call. The life reports an error or is right; afterwards nothing that was committed is lost or
 * wrong. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "tests/fault/life.h"
#include "tests/fault/sweeps.h"

static struct sample sample;

struct tally {
    unsigned cases, reported, repaired;
};

/* One case; false when the fault lay past the last call. */
static bool survive(enum store_fault_kind kind, uint64_t nth, struct tally *n)
{
    struct store *mem = new_mem();
    struct store *faulty = lend_faulty(mem, kind, nth);
    struct life l = { 0 };
    life_run(&l, lend(faulty), &sample);
    bool fired = store_fault_fired(faulty);
    if (!fired)
        assert_int_equal(l.code, 0);
    life_verify(&l, lend(mem), &sample, nth % 16 == 0);
    store_free(faulty);
    store_free(mem);
    if (fired) {
        n->cases++;
        n->reported += l.code != 0 || l.n_problems > 0;
        n->repaired += l.code == 0 && l.n_problems == 0;
    }
    return fired;
}

static void sweep(void **state)
{
    const struct sweep *w = *state;
    struct tally n = { 0 };
    for (uint64_t nth = 1; survive(w->kind, nth, &n); nth++)
        ;
    assert_true(n.cases > 10);
    printf("# %s: %u cases, %u survived; %u reported an error, %u went on without one\n", w->what, n.cases,
           n.cases, n.reported, n.repaired);
    fflush(stdout);
}

int main(void)
{
    struct CMUnitTest tests[N_SWEEPS];
    sweeps_add(tests, sweep);
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
