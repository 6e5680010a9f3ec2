#include "bkd/job/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

struct worker {
    struct pool *pool;
    unsigned number;
    pthread_t thread;
};

struct pool {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work;  /* a task was pushed, or the end is near */
    pthread_cond_t idle;  /* nothing is queued or running */
    pthread_cond_t fewer; /* a task was taken. Apart from idle: whoever drains would be woken for each */
    struct task *top;
    size_t waiting;
    unsigned running;
    bool ending;
    struct bk_error first;
    atomic_bool failed;
    unsigned n;
    struct worker *workers;
    unsigned n_started;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->top && !p->ending)
            pthread_cond_wait(&p->work, &p->lock);
        if (!p->top)
            break;
        struct task *t = p->top;
        p->top = t->next;
        p->waiting--;
        p->running++;
        pthread_cond_broadcast(&p->fewer);
        pthread_mutex_unlock(&p->lock);
        t->run(t, w->number);
        pthread_mutex_lock(&p->lock);
        p->running--;
        if (!p->running && !p->top)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the thread that started the program. */
static int start_workers(struct pool *p, struct bk_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = 0;
    for (unsigned i = 0; i < p->n && !e; i++) {
        p->workers[i] = (struct worker){ .pool = p, .number = i };
        e = pthread_create(&p->workers[i].thread, NULL, work, &p->workers[i]);
        if (!e)
            p->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e ? bk_fail_errno(err, e, "start a thread") : 0;
}

int pool_new(unsigned n_workers, struct pool **ret, struct bk_error *err)
{
    bk_auto(pool_free) struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for a thread pool");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
    pthread_cond_init(&p->fewer, NULL);
    p->n = n_workers ? n_workers : 1;
    p->workers = calloc(p->n, sizeof *p->workers);
    if (!p->workers)
        return bk_fail(err, BK_E_NOMEM, "no memory for %u threads", p->n);
    int r = start_workers(p, err);
    if (r < 0)
        return r;
    *ret = bk_steal(p);
    return 0;
}

unsigned pool_workers(const struct pool *p)
{
    return p->n;
}

void pool_push_chain(struct pool *p, struct task *first)
{
    if (!first)
        return;
    struct task *last = first;
    size_t n = 1;
    for (; last->next; last = last->next)
        n++;
    pthread_mutex_lock(&p->lock);
    last->next = p->top;
    p->top = first;
    p->waiting += n;
    if (n == 1)
        pthread_cond_signal(&p->work);
    else
        pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pool_push(struct pool *p, struct task *t)
{
    t->next = NULL;
    pool_push_chain(p, t);
}

void pool_fail(struct pool *p, const struct bk_error *err)
{
    pthread_mutex_lock(&p->lock);
    if (!p->first.code)
        p->first = *err;
    pthread_mutex_unlock(&p->lock);
    atomic_store(&p->failed, true);
}

bool pool_failed(const struct pool *p)
{
    return atomic_load(&p->failed);
}

int pool_drain(struct pool *p, struct bk_error *err)
{
    pthread_mutex_lock(&p->lock);
    while (p->top || p->running)
        pthread_cond_wait(&p->idle, &p->lock);
    int code = p->first.code;
    if (code < 0 && err)
        *err = p->first;
    pthread_mutex_unlock(&p->lock);
    return code;
}

void pool_wait_below(struct pool *p, size_t n)
{
    pthread_mutex_lock(&p->lock);
    while (p->waiting >= n)
        pthread_cond_wait(&p->fewer, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->fewer);
    free(p->workers);
    free(p);
}
