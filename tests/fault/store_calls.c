/* Every call to the store made to fail, in every way the fault store knows: one life of a repository per kind
 * of fault and call. The life reports an error or is right; afterwards nothing that was committed is lost or
 * wrong. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "tests/fault/life.h"

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

static void sweep(enum store_fault_kind kind, const char *name)
{
    struct tally n = { 0 };
    for (uint64_t nth = 1; survive(kind, nth, &n); nth++)
        ;
    assert_true(n.cases > 10);
    printf("# %s: %u cases, %u survived; %u reported an error, %u went on without one\n", name, n.cases,
           n.cases, n.reported, n.repaired);
    fflush(stdout);
}

static void failing_calls_lose_nothing(void **state)
{
    (void)state;
    sweep(FAULT_ERROR, "store call fails");
}

static void lost_acknowledgements_lose_nothing(void **state)
{
    (void)state;
    sweep(FAULT_LOST_ACK, "store call's acknowledgement is lost");
}

static void short_reads_are_noticed(void **state)
{
    (void)state;
    sweep(FAULT_SHORT_GET, "store read is short");
}

static void flipped_bits_are_noticed(void **state)
{
    (void)state;
    sweep(FAULT_FLIP_GET, "store read has a flipped bit");
}

static void a_full_store_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_NOSPACE, "store is full from a put on");
}

static void a_store_that_goes_away_loses_nothing(void **state)
{
    (void)state;
    sweep(FAULT_CUT, "store is gone from a call on");
}

static void half_written_objects_lose_nothing(void **state)
{
    (void)state;
    sweep(FAULT_SHORT_PUT, "store put leaves half an object");
}

static void calls_carried_out_twice_lose_nothing(void **state)
{
    (void)state;
    sweep(FAULT_TWICE, "store call is carried out twice");
}

static void stale_listings_lose_nothing(void **state)
{
    (void)state;
    sweep(FAULT_STALE_LIST, "store listing is stale");
}

static void a_slow_call_changes_nothing(void **state)
{
    (void)state;
    sweep(FAULT_SLOW, "store call is slow");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_calls_lose_nothing),
        cmocka_unit_test(lost_acknowledgements_lose_nothing),
        cmocka_unit_test(short_reads_are_noticed),
        cmocka_unit_test(flipped_bits_are_noticed),
        cmocka_unit_test(a_full_store_loses_nothing),
        cmocka_unit_test(a_store_that_goes_away_loses_nothing),
        cmocka_unit_test(half_written_objects_lose_nothing),
        cmocka_unit_test(calls_carried_out_twice_lose_nothing),
        cmocka_unit_test(stale_listings_lose_nothing),
        cmocka_unit_test(a_slow_call_changes_nothing),
    };
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
