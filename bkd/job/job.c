#include "bkd/job/job.h"

#include <libintl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static unsigned usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

int job_init(struct job *j, struct bk_error *err)
{
    if (j->n_threads == 0)
        j->n_threads = usable_cores();
    if (j->memory_bytes == 0)
        j->memory_bytes = JOB_MEMORY_DEFAULT;
    if (j->memory_bytes < JOB_MEMORY_MIN)
        return bk_fail(err, BK_E_USAGE, "a memory budget of %zu bytes is too small, at least %zu are needed",
                       j->memory_bytes, JOB_MEMORY_MIN);
    int e = pthread_mutex_init(&j->lock, NULL);
    if (e)
        return bk_fail_errno(err, e, "make a lock");
    return 0;
}

void job_clear(struct job *j)
{
    pthread_mutex_destroy(&j->lock);
}

void job_cancel(struct job *j)
{
    atomic_store(&j->cancelled, true);
}

int job_check(struct job *j, struct bk_error *err)
{
    if (atomic_load_explicit(&j->cancelled, memory_order_relaxed))
        return bk_fail(err, BK_E_CANCELLED, "stopped on request");
    return 0;
}

void job_set_path(struct job *j, const void *path, size_t len)
{
    if (pthread_mutex_trylock(&j->lock) != 0)
        return;
    if (len >= JOB_PATH_MAX)
        len = JOB_PATH_MAX - 1;
    memcpy(j->path, path, len);
    j->path[len] = '\0';
    pthread_mutex_unlock(&j->lock);
}

void job_get_path(struct job *j, char out[static JOB_PATH_MAX])
{
    pthread_mutex_lock(&j->lock);
    memcpy(out, j->path, JOB_PATH_MAX);
    pthread_mutex_unlock(&j->lock);
}

/* checked literals, as in formats/base/error.c */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

void job_log(struct job *j, enum job_level level, const char *fmt, ...)
{
    if (!j->log)
        return;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, dgettext("bkctl", fmt), ap);
    va_end(ap);
    j->log(j->log_ctx, level, text);
}
