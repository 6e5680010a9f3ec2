#include "bkd/source/vm_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { LOOK_MS = 100, CONNECT_MS = 5000 };

struct vm_guard {
    const char *uri;
    const struct vm_domain *v; /* they and the folder are the caller's */
    size_t n;
    const struct vm_scratch *scratch;
    struct job *job;
    pthread_t thread;
    bool fired; /* the thread's, read after it has ended */

    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t changed;
    bool stop;
};

/* Ending them frees their scratch files. Whether they are ours was seen when they began; a job of somebody
 * else cannot have begun since. */
static void end_jobs(struct vm_guard *g)
{
    struct bk_error err = { 0 };
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    if (vm_lib_connect(g->uri, CONNECT_MS, &c, &err) < 0) {
        job_log(g->job, JOB_WARN, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        bk_auto(vm_dom_free) virDomainPtr d =
            g->v[i].job ? vm_lib.DomainLookupByUUIDString(c, g->v[i].uuid) : NULL;
        if (d)
            (void)vm_lib.DomainAbortJob(d);
    }
}

static void *watch(void *arg)
{
    struct vm_guard *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += LOOK_MS * 1000000L;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&g->changed, &g->lock, &t);
        if (g->stop || g->fired || vm_scratch_free_bytes(g->scratch) >= VM_GUARD_LOW)
            continue;
        g->fired = true;
        pthread_mutex_unlock(&g->lock);
        job_log(g->job, JOB_WARN,
                N_("the scratch folder is full: the backup is given up, so that the guests go on"));
        end_jobs(g);
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

int vm_guard_room(const struct vm_scratch *s, struct bk_error *err)
{
    if (vm_scratch_free_bytes(s) >= 2 * (uint64_t)VM_GUARD_LOW)
        return 0;
    bk_fail(err, BK_E_NOSPACE, "the scratch folder has less than %d MiB free", 2 * VM_GUARD_LOW >> 20);
    return bk_hint(err, "name another one: what the guests write while they are backed up must fit in");
}

int vm_guard_start(const char *uri, const struct vm_domain *v, size_t n, const struct vm_scratch *s,
                   struct job *j, struct vm_guard **ret, struct bk_error *err)
{
    struct vm_guard *g = calloc(1, sizeof *g);
    if (!g)
        return bk_fail_errno(err, ENOMEM, "watch the scratch folder");
    *g = (struct vm_guard){ .uri = uri, .v = v, .n = n, .scratch = s, .job = j };
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &a);
    pthread_condattr_destroy(&a);
    pthread_mutex_init(&g->lock, NULL);
    int sys = pthread_create(&g->thread, NULL, watch, g);
    if (sys) {
        free(g);
        return bk_fail_errno(err, sys, "start a thread");
    }
    *ret = g;
    return 0;
}

bool vm_guard_stop(struct vm_guard *g)
{
    if (!g)
        return false;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    bool fired = g->fired;
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return fired;
}
