/* The faults that every life is put through: a test of its own for each. */
#ifndef TESTS_FAULT_SWEEPS_H
#define TESTS_FAULT_SWEEPS_H

#include "bkd/store/fault.h"

struct sweep {
    const char *test;
    enum store_fault_kind kind;
    const char *what; /* for the line of figures */
};
static const struct sweep sweeps[] = {
    { "failing_calls_lose_nothing", FAULT_ERROR, "store call fails" },
    { "lost_acknowledgements_lose_nothing", FAULT_LOST_ACK, "store call's acknowledgement is lost" },
    { "short_reads_lose_nothing", FAULT_SHORT_GET, "store read is short" },
    { "flipped_bits_lose_nothing", FAULT_FLIP_GET, "store read has a flipped bit" },
    { "a_full_store_loses_nothing", FAULT_NOSPACE, "store is full from a put on" },
    { "a_store_that_goes_away_loses_nothing", FAULT_CUT, "store is gone from a call on" },
    { "a_store_that_falls_silent_loses_nothing", FAULT_SILENT, "store is silent from a call on" },
    { "half_written_objects_lose_nothing", FAULT_SHORT_PUT, "store put leaves half an object" },
    { "calls_carried_out_twice_lose_nothing", FAULT_TWICE, "store call is carried out twice" },
    { "stale_listings_lose_nothing", FAULT_STALE_LIST, "store listing is stale" },
    { "a_slow_call_changes_nothing", FAULT_SLOW, "store call is slow" },
};
enum { N_SWEEPS = sizeof sweeps / sizeof *sweeps };

/* N_SWEEPS tests; run finds its sweep in the state. */
static inline void sweeps_add(struct CMUnitTest *tests, CMUnitTestFunction run)
{
    for (size_t i = 0; i < N_SWEEPS; i++)
        tests[i] = (struct CMUnitTest){ .name = sweeps[i].test,
                                        .test_func = run,
                                        .initial_state = (void *)&sweeps[i] };
}

#endif
