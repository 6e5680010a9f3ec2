#include "bkd/store/rados_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRY_S = 5, ASK_S = 3, ASKED = 8, BACKSTOP_S = 15 };
#define SECOND_NS ((int64_t)1000000000)

int64_t rados_io_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void on_done(rados_completion_t c, void *arg)
{
    struct rados_wait *w = arg;
    (void)c;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static int wait_init(struct rados_wait *w, int64_t bound_ns)
{
    pthread_condattr_t a;
    *w = (struct rados_wait){ .began = rados_io_now() };
    w->until = w->began + bound_ns;
    if (rados_lib.aio_create_completion2(w, on_done, &w->completion) < 0)
        return -ENOMEM;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &a);
    pthread_condattr_destroy(&a);
    return 0;
}

static void wait_clear(struct rados_wait *w)
{
    rados_lib.aio_release(w->completion);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->cond);
}

/* Was it done in time? */
static bool wait_until(struct rados_wait *w)
{
    struct timespec t = { .tv_sec = w->until / SECOND_NS, .tv_nsec = w->until % SECOND_NS };
    pthread_mutex_lock(&w->lock);
    while (!w->done && pthread_cond_timedwait(&w->cond, &w->lock, &t) != ETIMEDOUT)
        ;
    bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

/* Cancelled, it is completed at once; its callback has run when this returns. */
static void wait_cancel(struct rados_io *io, struct rados_wait *w)
{
    rados_lib.aio_cancel(io->ctx, w->completion);
    rados_lib.aio_wait_for_complete_and_cb(w->completion);
}

/* Does any of some objects that need not exist answer, be it with "absent"? */
static bool any_answers(struct rados_io *io)
{
    struct rados_wait w[ASKED];
    uint64_t size[ASKED];
    time_t mtime[ASKED];
    unsigned n = 0;
    bool any = false;
    for (; n < ASKED && wait_init(&w[n], ASK_S * SECOND_NS) == 0; n++) {
        char name[32];
        snprintf(name, sizeof name, "ask.%u", n);
        if (rados_lib.aio_stat(io->ctx, name, w[n].completion, &size[n], &mtime[n]) < 0) {
            wait_clear(&w[n]);
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (any)
            w[i].until = 0;
        bool done = wait_until(&w[i]);
        if (!done)
            wait_cancel(io, &w[i]);
        any = any || (done && rados_lib.aio_get_return_value(w[i].completion) != -ETIMEDOUT);
        wait_clear(&w[i]);
    }
    return any;
}

static void answered(struct rados_io *io)
{
    pthread_mutex_lock(&io->lock);
    if (io->lost_at) {
        io->lost_at = 0;
        io->bound_ns = io->timeout_s * SECOND_NS;
    } else if (io->late_at && rados_io_now() - io->late_at > 2 * io->timeout_s * SECOND_NS) {
        io->late_at = 0;
        io->bound_ns = io->timeout_s * SECOND_NS;
    }
    pthread_mutex_unlock(&io->lock);
}

void rados_io_ran_out(struct rados_io *io, int64_t began)
{
    bool any = any_answers(io);
    pthread_mutex_lock(&io->lock);
    /* those that ran out side by side halve it once */
    if (any && began >= io->late_at && io->bound_ns / 2 >= TRY_S * SECOND_NS)
        io->bound_ns /= 2;
    io->late_at = rados_io_now();
    if (any)
        io->lost_at = 0;
    else if (!io->lost_at)
        io->lost_at = io->tried_at = io->late_at;
    pthread_mutex_unlock(&io->lock);
}

static int fail_lost(struct rados_io *io, struct bk_error *err)
{
    bk_fail(err, BK_E_UNREACHABLE, "the cluster of %s does not answer", io->url);
    return bk_hint(err,
                   "look at the cluster with ceph -s: monitors, OSDs that are down, placement groups that "
                   "are not active");
}

int rados_io_begin(struct rados_io *io, struct rados_wait *w, struct bk_error *err)
{
    pthread_mutex_lock(&io->lock);
    int64_t bound = io->bound_ns;
    bool refuse = false;
    if (io->lost_at) {
        int64_t t = rados_io_now();
        refuse = t - io->tried_at < TRY_S * SECOND_NS;
        if (!refuse)
            io->tried_at = t;
        if (bound > TRY_S * SECOND_NS)
            bound = TRY_S * SECOND_NS;
    }
    pthread_mutex_unlock(&io->lock);
    if (refuse)
        return fail_lost(io, err);
    if (wait_init(w, bound) < 0)
        return bk_fail(err, BK_E_NOMEM, "no memory for an operation on %s", io->url);
    return 0;
}

int rados_io_end(struct rados_io *io, struct rados_wait *w, int submitted)
{
    int rc = submitted;
    if (submitted >= 0) {
        bool done = wait_until(w);
        if (!done)
            wait_cancel(io, w);
        else
            rados_lib.aio_wait_for_complete_and_cb(w->completion);
        rc = rados_lib.aio_get_return_value(w->completion);
        /* it may have been answered in the moment of its cancelling */
        if (!done && (rc == -ECANCELED || rc == -ETIMEDOUT))
            rc = -ETIMEDOUT;
    }
    int64_t began = w->began;
    wait_clear(w);
    if (rc == -ETIMEDOUT)
        rados_io_ran_out(io, began);
    else
        answered(io);
    return rc;
}

void rados_io_drop(struct rados_io *io, struct rados_wait *w)
{
    wait_cancel(io, w);
    wait_clear(w);
}

int rados_io_ready(struct rados_io *io, struct bk_error *err)
{
    pthread_mutex_lock(&io->lock);
    bool lost = io->lost_at != 0;
    pthread_mutex_unlock(&io->lock);
    if (lost && !any_answers(io))
        return fail_lost(io, err);
    if (lost)
        answered(io);
    return 0;
}

int rados_io_fail(struct rados_io *io, int rc, const char *verb, const char *object, struct bk_error *err)
{
    switch (rc) {
    case -ETIMEDOUT:
        pthread_mutex_lock(&io->lock);
        bool lost = io->lost_at != 0;
        pthread_mutex_unlock(&io->lock);
        if (lost) {
            fail_lost(io, err);
            return bk_context(err, "%s %s", bk_text(verb), object);
        }
        bk_fail(err, BK_E_IO, "%s %s: no answer in time from %s, though other objects answer", bk_text(verb),
                object, io->url);
        return bk_hint(err,
                       "its placement group is not active, or the object is unfound: see ceph health detail");
    case -ENOSPC:
    case -EDQUOT:
        bk_fail_errno(err, -rc, "%s %s in %s", bk_text(verb), object, io->url);
        return bk_hint(err, "the cluster or pool is full: objects can be removed, but prune needs a little "
                            "room: see ceph osd set-full-ratio");
    case -EMSGSIZE:
    case -EFBIG:
        bk_fail(err, BK_E_LIMIT, "%s %s: it is larger than %s takes in one operation", bk_text(verb), object,
                io->url);
        return bk_hint(err, "see osd_max_write_size and osd_max_object_size of the cluster");
    case -EACCES:
    case -EPERM:
        bk_fail_errno(err, -rc, "%s %s in %s", bk_text(verb), object, io->url);
        return bk_hint(err, "the client's capabilities do not allow it: see ceph auth get");
    case -ESHUTDOWN:
        bk_fail(err, BK_E_IO, "%s %s: the cluster has blocklisted this client", bk_text(verb), object);
        return bk_hint(err, "see ceph osd blocklist ls");
    default:
        return bk_fail_errno(err, -rc, "%s %s in %s", bk_text(verb), object, io->url);
    }
}

/* Translate what went wrong on the way in. */
static int fail_connect(const struct rados_io *io, const struct rados_url *u, int rc, struct bk_error *err)
{
    if (rc == -ETIMEDOUT) {
        bk_fail(err, BK_E_UNREACHABLE, "no monitor of the cluster of %s answered within %u s", io->url,
                u->connect_s);
        return bk_hint(err, "are the monitors up, and is mon_host in the configuration right?");
    }
    if (rc == -EACCES || rc == -EPERM || rc == -EINVAL) {
        bk_fail_errno(err, rc == -EINVAL ? EINVAL : EACCES, "connect to %s as %s", io->url, u->client);
        return bk_hint(err,
                       "is the client's keyring where the configuration says, and its key the cluster's?");
    }
    return bk_fail_errno(err, -rc, "connect to %s as %s", io->url, u->client);
}

static int configure(struct rados_io *io, const struct rados_url *u, struct bk_error *err)
{
    int rc = rados_lib.create2(&io->cluster, "ceph", u->client, 0);
    if (rc < 0)
        return bk_fail_errno(err, -rc, "start librados for %s", io->url);
    rc = rados_lib.conf_read_file(io->cluster, u->conf[0] ? u->conf : NULL);
    if (rc < 0) {
        char why[128];
        const char *file = u->conf[0] ? u->conf : "ceph.conf";
        bk_fail(err, BK_E_USAGE, "read the Ceph configuration %s: %s", file,
                bk_errno_text(-rc, why, sizeof why));
        return bk_hint(err, "name it in the URL: rados://POOL?conf=FILE");
    }
    char connect_s[16], op_s[16];
    snprintf(connect_s, sizeof connect_s, "%u", u->connect_s);
    snprintf(op_s, sizeof op_s, "%u", u->timeout_s + BACKSTOP_S);
    /* The timeout of librados itself is what ends a listing, which is not waited for here. Submitting blocks
     * at a number of bytes in flight; what is in flight is bounded by those who call. */
    const char *const set[][2] = {
        { "client_mount_timeout", connect_s },
        { "rados_osd_op_timeout", op_s },
        { "rados_mon_op_timeout", op_s },
        { "objecter_inflight_op_bytes", "2147483648" },
        { "keyring", u->keyring },
    };
    for (size_t i = 0; i < BK_COUNT(set); i++)
        if (set[i][1][0] && (rc = rados_lib.conf_set(io->cluster, set[i][0], set[i][1])) < 0)
            return bk_fail_errno(err, -rc, "set %s of librados", set[i][0]);
    return 0;
}

int rados_io_open(const struct rados_url *u, const char *url, struct rados_io **ret, struct bk_error *err)
{
    struct rados_io *made = calloc(1, sizeof *made);
    if (!made)
        return bk_fail(err, BK_E_NOMEM, "no memory for a RADOS store");
    pthread_mutex_init(&made->lock, NULL);
    bk_auto(rados_io_free) struct rados_io *io = made;
    snprintf(io->url, sizeof io->url, "%s", url);
    io->timeout_s = u->timeout_s;
    io->bound_ns = u->timeout_s * SECOND_NS;
    int r = configure(io, u, err);
    if (r < 0)
        return r;
    int rc = rados_lib.connect(io->cluster);
    if (rc < 0)
        return fail_connect(io, u, rc, err);
    io->connected = true;
    rc = rados_lib.ioctx_create(io->cluster, u->pool, &io->ctx);
    if (rc == -ENOENT) {
        bk_fail(err, BK_E_ABSENT, "the cluster of %s has no pool %s", url, u->pool);
        return bk_hint(err, "pools are made by the cluster's operator: ceph osd pool create %s", u->pool);
    }
    if (rc < 0)
        return rados_io_fail(io, rc, N_("open pool"), u->pool, err);
    rados_lib.ioctx_set_namespace(io->ctx, u->ns);
    *ret = bk_steal(io);
    return 0;
}

void rados_io_free(struct rados_io *io)
{
    if (!io)
        return;
    if (io->ctx)
        rados_lib.ioctx_destroy(io->ctx);
    if (io->cluster)
        rados_lib.shutdown(io->cluster);
    pthread_mutex_destroy(&io->lock);
    free(io);
}
