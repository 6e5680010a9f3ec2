#include <time.h>

#include "bkd/job/job.h"

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void job_rate_init(struct job_rate *r, uint64_t limit)
{
    r->limit = limit;
    r->due_ns = 0;
    pthread_mutex_init(&r->lock, NULL);
}

void job_rate_take(struct job_rate *r, uint64_t bytes)
{
    if (!r->limit)
        return;
    /* Each taker books its time on one line; idle time is not saved up. */
    pthread_mutex_lock(&r->lock);
    int64_t now = monotonic_ns();
    if (r->due_ns < now)
        r->due_ns = now;
    r->due_ns += (int64_t)((double)bytes * 1e9 / (double)r->limit);
    int64_t due = r->due_ns;
    pthread_mutex_unlock(&r->lock);
    struct timespec until = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
