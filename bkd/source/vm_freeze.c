#include "bkd/source/vm_freeze.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/source/vm_lib.h"
#include "bkd/source/vm_thawer.h"

enum { THAW_PAUSE_MS = 500, THAW_PAUSE_MAX_MS = 30000, CONNECT_MS = 10000 };

enum state {
    STARTING, /* the call to freeze has not come back */
    FROZEN,
    FAILED, /* to freeze */
};

struct vm_freeze {
    char *uri; /* NULL: libvirt's default */
    char *uuid;
    unsigned max_ms;
    struct vm_thawer *thawer; /* the caller's, NULL: none */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned refs; /* the caller and the thread */
    enum state state;
    bool thaw;        /* the caller wants it thawed */
    bool over;        /* it is thawed, or gone, and the thread has ended */
    bool early;       /* it was thawed without being told */
    int64_t since_ms; /* of the call to freeze */
    unsigned frozen_ms;
    struct bk_error why;        /* of FAILED */
    struct bk_error not_thawed; /* why the last try did not thaw it */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Locked. False: the time is over. */
static bool wait_until(struct vm_freeze *f, int64_t end_ms)
{
    struct timespec t = { .tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000 };
    return pthread_cond_timedwait(&f->changed, &f->lock, &t) != ETIMEDOUT;
}

static void unref(struct vm_freeze *f)
{
    pthread_mutex_lock(&f->lock);
    bool last = --f->refs == 0;
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f->uri);
    free(f->uuid);
    free(f);
}

static int open_domain(const struct vm_freeze *f, virConnectPtr *ret, virDomainPtr *ret_dom,
                       struct bk_error *err)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    int r = vm_lib_connect(f->uri, CONNECT_MS, &c, err);
    if (r < 0)
        return r;
    virDomainPtr d = vm_lib.DomainLookupByUUIDString(c, f->uuid);
    if (!d)
        return vm_lib_fail(err);
    *ret = bk_steal(c);
    *ret_dom = d;
    return 0;
}

/* A connection of its own each time: the one before may have died with the daemon. */
static int thaw_once(struct vm_freeze *f, struct bk_error *err)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_dom_free) virDomainPtr d = NULL;
    int r = open_domain(f, &c, &d, err);
    if (r < 0)
        return r == BK_E_ABSENT ? 0 : r;
    if (vm_lib.DomainFSThaw(d, NULL, 0, 0) >= 0 || vm_lib_code() == VIR_ERR_OPERATION_INVALID)
        return 0; /* INVALID: it does not run any more */
    return vm_lib_fail(err);
}

/* Without a limit libvirt waits for a silent agent for ever, and lets nobody else speak to it meanwhile. It
 * cannot be asked which limit was set before; hardly anybody sets one. */
static void limit_agent(virDomainPtr d, int seconds)
{
    (void)vm_lib.DomainAgentSetResponseTimeout(d, seconds, 0);
}

static void lift_limit(struct vm_freeze *f)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_dom_free) virDomainPtr d = NULL;
    struct bk_error ignored = { 0 }; /* it is gone, then */
    if (open_domain(f, &c, &d, &ignored) == 0)
        limit_agent(d, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK);
}

/* Until it is thawed, or gone. A pause is a quarter of the time that has gone by. */
static void thaw(struct vm_freeze *f)
{
    struct bk_error err = { 0 };
    for (long ms = THAW_PAUSE_MS; thaw_once(f, &err) < 0; ms += ms < THAW_PAUSE_MAX_MS ? ms / 4 : 0) {
        pthread_mutex_lock(&f->lock);
        f->not_thawed = err;
        pthread_mutex_unlock(&f->lock);
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
    }
}

/* An answer that leaves open whether the guest did it after all, or will. */
static bool in_doubt(void)
{
    int code = vm_lib_code();
    return vm_lib_lost() || code == VIR_ERR_AGENT_UNRESPONSIVE || code == VIR_ERR_AGENT_UNSYNCED ||
           code == VIR_ERR_OPERATION_TIMEOUT;
}

/* *ret_thaw: there is something to be thawed. */
static int freeze(struct vm_freeze *f, bool *ret_thaw, int64_t *ret_end_ms, struct bk_error *err)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_dom_free) virDomainPtr d = NULL;
    int r = open_domain(f, &c, &d, err);
    if (r < 0)
        return r;
    limit_agent(d, (int)((f->max_ms + 999) / 1000));
    /* Ask it something harmless first: of an agent that was silent all along it is known that it was not told
     * to freeze. */
    long long seconds;
    unsigned nanoseconds;
    if (vm_lib.DomainGetTime(d, &seconds, &nanoseconds, 0) < 0 && in_doubt())
        return vm_lib_fail(err);
    pthread_mutex_lock(&f->lock);
    f->since_ms = now_ms();
    *ret_end_ms = f->since_ms + f->max_ms - f->max_ms / 10; /* the thaw itself takes a moment */
    pthread_mutex_unlock(&f->lock);
    *ret_thaw = true;
    int n = vm_lib.DomainFSFreeze(d, NULL, 0, 0);
    if (n > 0)
        return 0;
    if (n == 0)
        return bk_fail(err, BK_E_FAILED, "the guest agent found no file system to freeze");
    *ret_thaw = in_doubt();
    return vm_lib_fail(err);
}

static void *run(void *arg)
{
    struct vm_freeze *f = arg;
    struct bk_error err = { 0 };
    bool to_thaw = false;
    int64_t end_ms = 0;
    int r = freeze(f, &to_thaw, &end_ms, &err);
    pthread_mutex_lock(&f->lock);
    f->why = err;
    f->state = r == 0 ? FROZEN : FAILED;
    pthread_cond_broadcast(&f->changed);
    while (r == 0 && !f->thaw && wait_until(f, end_ms))
        ;
    f->early = r == 0 && !f->thaw;
    pthread_mutex_unlock(&f->lock);
    if (to_thaw)
        thaw(f);
    int64_t now = now_ms();
    lift_limit(f);
    pthread_mutex_lock(&f->lock);
    f->frozen_ms = (unsigned)(now - f->since_ms);
    f->over = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    unref(f);
    return NULL;
}

static int launch(struct vm_freeze *f, struct bk_error *err)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    f->refs = 2;
    int sys = pthread_create(&t, &a, run, f);
    pthread_attr_destroy(&a);
    if (!sys)
        return 0;
    f->refs = 1;
    return bk_fail_errno(err, sys, "start a thread");
}

static int make(const char *uri, const char *uuid, unsigned max_ms, struct vm_freeze **ret,
                struct bk_error *err)
{
    struct vm_freeze *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail_errno(err, ENOMEM, "freeze a guest");
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &a);
    pthread_condattr_destroy(&a);
    pthread_mutex_init(&f->lock, NULL);
    f->refs = 1;
    f->max_ms = max_ms;
    f->uuid = strdup(uuid);
    f->uri = uri ? strdup(uri) : NULL;
    if (!f->uuid || (uri && !f->uri)) {
        unref(f);
        return bk_fail_errno(err, ENOMEM, "freeze a guest");
    }
    *ret = f;
    return 0;
}

int vm_freeze_start(const char *uri, const char *uuid, unsigned max_ms, struct vm_freeze **ret,
                    struct bk_error *err)
{
    struct vm_freeze *f = NULL;
    int r = make(uri, uuid, max_ms, &f, err);
    if (r < 0)
        return r;
    f->thawer = vm_thawer_start(uri, uuid);
    int64_t end_ms = now_ms() + max_ms;
    r = launch(f, err);
    if (r < 0) {
        vm_thawer_done(f->thawer);
        unref(f);
        return r;
    }
    *ret = f;
    pthread_mutex_lock(&f->lock);
    while (f->state == STARTING && wait_until(f, end_ms))
        ;
    if (f->state == STARTING) {
        f->thaw = true; /* as soon as it is frozen */
        r = bk_fail(err, BK_E_UNREACHABLE, "the guest agent does not answer within %u ms", max_ms);
    } else if (f->state == FAILED) {
        *err = f->why;
        r = err->code;
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* Locked. Is it over, and thawed? */
static bool settle(struct vm_freeze *f, unsigned patience_ms)
{
    int64_t end_ms = now_ms() + patience_ms;
    f->thaw = true;
    pthread_cond_broadcast(&f->changed);
    while (!f->over && wait_until(f, end_ms))
        ;
    return f->over;
}

int vm_freeze_thaw(struct vm_freeze *f, unsigned *ret_ms, bool *ret_early, struct bk_error *err)
{
    int r = 0;
    pthread_mutex_lock(&f->lock);
    if (!settle(f, f->max_ms)) {
        r = bk_fail(err, BK_E_FAILED, "the guest agent does not thaw the guest: %s",
                    f->not_thawed.code ? f->not_thawed.text : bk_text(N_("it does not answer")));
    } else {
        *ret_ms = f->frozen_ms;
        *ret_early = f->early;
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

void vm_freeze_free(struct vm_freeze *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    bool thawed = settle(f, VM_THAW_PATIENCE_MS);
    pthread_mutex_unlock(&f->lock);
    if (thawed)
        vm_thawer_done(f->thawer);
    else
        vm_thawer_leave(f->thawer); /* it tries once more when we end */
    unref(f);
}
