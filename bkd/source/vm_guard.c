#include "bkd/source/vm_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "bkd/source/vm_job.h"

enum { LOOK_MS = 100, CONNECT_MS = 5000 };

struct vm_guard {
    const char *uri;
    const struct vm_domain *v; /* they and the folder are the caller's */
    const struct vm_scratch *scratch;
    struct job *job;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    size_t n; /* domains that have begun */
    bool fired, stop;
};

/* Ending them frees their scratch files. */
static void end_jobs(struct vm_guard *g, size_t n)
{
    struct bk_error err = { 0 };
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    if (vm_lib_connect(g->uri, CONNECT_MS, &c, &err) < 0) {
        job_log(g->job, JOB_WARN, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bk_auto(vm_dom_free) virDomainPtr d =
            g->v[i].job ? vm_lib.DomainLookupByUUIDString(c, g->v[i].uuid) : NULL;
        if (d && vm_job_abort(d, g->v[i].socket, &err) < 0) {
            bk_context(&err, "domain '%s'", g->v[i].name);
            job_log(g->job, JOB_WARN, "%s", err.text);
        }
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
        if (g->stop || g->fired || !g->n || vm_scratch_free_bytes(g->scratch) >= VM_GUARD_LOW)
            continue;
        size_t n = g->n;
        g->fired = true;
        pthread_mutex_unlock(&g->lock);
        job_log(g->job, JOB_WARN,
                N_("the scratch folder is full: the backup is given up, so that the guests go on"));
        end_jobs(g, n);
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

int vm_guard_start(const char *uri, const struct vm_domain *v, const struct vm_scratch *s, struct job *j,
                   struct vm_guard **ret, struct bk_error *err)
{
    struct vm_guard *g = calloc(1, sizeof *g);
    if (!g)
        return bk_fail_errno(err, ENOMEM, "watch the scratch folder");
    *g = (struct vm_guard){ .uri = uri, .v = v, .scratch = s, .job = j };
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

int vm_guard_begun(struct vm_guard *g, size_t n, struct bk_error *err)
{
    pthread_mutex_lock(&g->lock);
    g->n = n;
    bool fired = g->fired;
    pthread_mutex_unlock(&g->lock);
    return fired ? bk_fail(err, BK_E_NOSPACE, "the scratch folder is full") : 0;
}

void vm_guard_stop(struct vm_guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
