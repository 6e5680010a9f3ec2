/* A pool of worker threads over one stack of tasks. Last in, first out: a walker that pushes children works
 * depth first, which bounds what is pending. Tasks are embedded in the caller's structs.
 *
 *     pool_new -> pool_push ... (tasks may push more) -> pool_drain -> pool_free
 *
 * The first error that a task reports with pool_fail is kept; later tasks are still run (so that they can
 * free themselves) and ask pool_failed. Any thread may push. */
#ifndef BKD_JOB_POOL_H
#define BKD_JOB_POOL_H

#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct pool;
struct task {
    /* worker: 0..n-1, for per-worker state */
    void (*run)(struct task *t, unsigned worker);
    struct task *next;
};

int pool_new(unsigned n_workers, struct pool **ret, struct bk_error *err) BK_MUST_CHECK;
unsigned pool_workers(const struct pool *p);
void pool_push(struct pool *p, struct task *t);
/* A chain linked through next, pushed at once so that its first element runs first. */
void pool_push_chain(struct pool *p, struct task *first);
void pool_fail(struct pool *p, const struct bk_error *err);
bool pool_failed(const struct pool *p);
/* Wait until nothing is queued or running. 0, or the first error. The pool can be used again. */
int pool_drain(struct pool *p, struct bk_error *err) BK_MUST_CHECK;
/* Block until fewer than n tasks wait (producers outside the pool only). */
void pool_wait_below(struct pool *p, size_t n);
void pool_free(struct pool *p); /* drains first */
BK_AUTO(struct pool *, pool_free)

#endif
