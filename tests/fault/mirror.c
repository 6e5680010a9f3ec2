/* A mirror of two stores, of which one fails at any call in every way the fault store knows: one life of a
 * repository per kind of fault, store and call. While the second store fails nobody notices; afterwards a
 * scrub makes the copies whole, and each of them alone has all that was committed. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/life/scrub.h"
#include "bkd/store/mirror.h"
#include "tests/fault/life.h"
#include "tests/fault/sweeps.h"

/* Of the calls each STRIDE-th, beginning with another one for each sweep. */
enum { COPIES = 2, STRIDE = 11 };

static struct sample sample;

struct tally {
    unsigned cases, reported, repaired;
};

static struct store *mirror_of(struct store *const stores[static COPIES])
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    OK(store_mirror_new(stores, COPIES, 1, &world_real, &s, &err));
    return s;
}

static struct store *mirror_again(struct store *const mem[static COPIES])
{
    return mirror_of((struct store *[COPIES]){ lend(mem[0]), lend(mem[1]) });
}

static unsigned scrub(struct store *const mem[static COPIES])
{
    struct bk_error err = { 0 };
    struct scrub_report rep = { 0 };
    struct job j;
    struct store *s = mirror_again(mem);
    life_job(&j);
    OK(scrub_run(s, &world_real, &j, &(struct scrub_opts){ .fill = true }, &rep, &err));
    job_clear(&j);
    store_free(s);
    assert_int_equal(rep.n_bad + rep.n_unknown + rep.n_unreachable, 0);
    return (unsigned)rep.n_repaired;
}

/* One case; false when the fault lay past the last call. */
static bool survive(unsigned which, enum store_fault_kind kind, uint64_t nth, struct tally *n)
{
    struct store *mem[COPIES], *stores[COPIES];
    struct life l = { 0 };
    for (unsigned i = 0; i < COPIES; i++)
        mem[i] = new_mem();
    struct store *faulty = lend_faulty(mem[which], kind, nth);
    for (unsigned i = 0; i < COPIES; i++)
        stores[i] = lend(i == which ? faulty : mem[i]);
    life_run(&l, mirror_of(stores), &sample);
    bool fired = store_fault_fired(faulty);
    if ((!fired || which > 0) && (l.code || l.n_problems))
        fail_msg("store %u, call %u: %d %s, %zu problems", which, (unsigned)nth, l.code, l.text,
                 l.n_problems);
    store_free(faulty);
    life_verify(&l, mirror_again(mem), &sample, nth % 16 == 0);
    unsigned repaired = scrub(mem);
    assert_int_equal(scrub(mem), 0);
    for (unsigned i = 0; i < COPIES; i++)
        life_verify(&l, lend(mem[i]), &sample, false);
    for (unsigned i = 0; i < COPIES; i++)
        store_free(mem[i]);
    if (fired) {
        n->cases++;
        n->reported += l.code != 0;
        n->repaired += repaired > 0;
    }
    return fired;
}

static void sweep(void **state)
{
    const struct sweep *w = *state;
    for (unsigned which = 0; which < COPIES; which++) {
        struct tally n = { 0 };
        for (uint64_t nth = 1 + (uint64_t)(w - sweeps) % STRIDE; survive(which, w->kind, nth, &n);
             nth += STRIDE)
            ;
        if (which == 0) /* the second is hardly read */
            assert_true(n.cases > 1);
        printf("# %s, of two the %s one: %u cases, %u survived; %u reported an error, %u needed a scrub\n",
               w->what, which ? "second" : "first", n.cases, n.cases, n.reported, n.repaired);
        fflush(stdout);
    }
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
