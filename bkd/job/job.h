/* A job: what every long operation is given besides its own arguments. Limits, a way to stop it, and
 * counters that a progress display reads while it runs.
 *
 *     job_init -> (operation runs; others read counters, may call job_cancel) -> job_clear
 *
 * Counters are atomics; job_cancel and the counters may be used from any thread and job_cancel from a
 * signal handler. */
#ifndef BKD_JOB_JOB_H
#define BKD_JOB_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { JOB_PATH_MAX = 512 };
#define JOB_MEMORY_DEFAULT ((size_t)512 << 20)
#define JOB_MEMORY_MIN ((size_t)64 << 20)

enum job_level { JOB_DEBUG, JOB_INFO, JOB_WARN };

struct job {
    unsigned n_threads;   /* workers; 0 in job_init means one per usable core */
    size_t memory_bytes;  /* budget for all buffers together */
    uint64_t limit_read;  /* bytes/s from the source; 0 none */
    uint64_t limit_write; /* bytes/s to the store; 0 none */
    void (*log)(void *ctx, enum job_level level, const char *text); /* may be NULL; any thread */
    void *log_ctx;

    atomic_bool cancelled;
    /* progress: bytes and items of the source or target; totals are 0 until known */
    atomic_uint_fast64_t done_bytes, total_bytes, done_items, total_items;
    atomic_uint_fast64_t read_bytes, new_bytes, stored_bytes, exceptions;

    pthread_mutex_t lock;    /* guards `path` */
    char path[JOB_PATH_MAX]; /* what is being worked on, for people */
};

int job_init(struct job *j, struct bk_error *err) BK_MUST_CHECK;
void job_clear(struct job *j);
void job_cancel(struct job *j);
/* CANCELLED once job_cancel was called, else 0. Called at least every few MiB or ms of work. */
int job_check(struct job *j, struct bk_error *err) BK_MUST_CHECK;
/* Cheap: skips when the display's lock is busy. */
void job_set_path(struct job *j, const void *path, size_t len);
void job_get_path(struct job *j, char out[static JOB_PATH_MAX]);
void job_log(struct job *j, enum job_level level, const char *fmt, ...) BK_PRINTF(3, 4);
/* Sleep so that `bytes` more keep to the limit (bytes/s). */
struct job_rate {
    uint64_t limit;
    int64_t due_ns;
    pthread_mutex_t lock;
};
void job_rate_init(struct job_rate *r, uint64_t limit);
void job_rate_take(struct job_rate *r, uint64_t bytes);

#endif
