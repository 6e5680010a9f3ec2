#include "bkd/store/backoff.h"

#include <string.h>
#include <time.h>

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void backoff_start(struct backoff *b, const struct backoff_opts *o, const struct world *w)
{
    *b = (struct backoff){ .o = *o, .world = w, .start_ms = monotonic_ms() };
}

static uint32_t step_ms(struct backoff *b)
{
    uint64_t step = (uint64_t)b->o.first_ms << (b->n < 20 ? b->n : 20);
    if (step > b->o.most_ms)
        step = b->o.most_ms;
    uint8_t raw[4] = { 0 };
    uint32_t random = 0;
    if (b->world->random(b->world->ctx, raw, sizeof raw, NULL) == 0)
        memcpy(&random, raw, sizeof random);
    return (uint32_t)(step / 2 + random % (step / 2 + 1));
}

bool backoff_wait(struct backoff *b, unsigned at_least_ms)
{
    int64_t wait = step_ms(b);
    if (wait < at_least_ms)
        wait = at_least_ms;
    b->n++;
    int64_t until = monotonic_ms() + wait;
    if (until > b->start_ms + b->o.bound_ms)
        return false;
    struct timespec t = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
    return true;
}

unsigned backoff_elapsed_s(const struct backoff *b)
{
    return (unsigned)((monotonic_ms() - b->start_ms) / 1000);
}
