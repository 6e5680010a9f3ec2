/* Waiting between attempts: exponential, with jitter so that many clients do not come back at once, and an
 * end.
 *
 *     backoff_start -> (attempt fails: backoff_wait ...) -> give up when it returns false
 *
 * No attempt starts later than bound_ms after the first. One thread. */
#ifndef BKD_STORE_BACKOFF_H
#define BKD_STORE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/job/world.h"

struct backoff_opts {
    unsigned first_ms; /* of the first wait; doubles each time */
    unsigned most_ms;  /* no wait is longer, but for what the server asks */
    unsigned bound_ms; /* all together */
};
#define BACKOFF_DEFAULT ((struct backoff_opts){ .first_ms = 200, .most_ms = 15000, .bound_ms = 180000 })

struct backoff {
    struct backoff_opts o;
    const struct world *world;
    int64_t start_ms;
    unsigned n; /* waits so far */
};

void backoff_start(struct backoff *b, const struct backoff_opts *o, const struct world *w);
/* Sleeps between half and all of the step, and not less than at_least_ms (what the server asked for). false,
 * without a wait: the time is up. */
bool backoff_wait(struct backoff *b, unsigned at_least_ms);
/* Seconds since backoff_start. */
unsigned backoff_elapsed_s(const struct backoff *b);

#endif
