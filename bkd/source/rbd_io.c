#include "bkd/source/rbd_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BACKSTOP_S = 30 }; /* above the bound that rados_io_open gives to operations */

/* ---- connections ---- */

int rbd_link_open(const struct rbd_url *u, const char *text, struct rbd_link **ret, struct bk_error *err)
{
    int r = rados_lib_load(err);
    if (r == 0)
        r = rbd_lib_load(err);
    if (r < 0)
        return r;
    struct rbd_link *made = calloc(1, sizeof *made);
    if (!made)
        return bk_fail_errno(err, ENOMEM, "connect to Ceph");
    bk_auto(rbd_link_free) struct rbd_link *l = made;
    l->url = *u;
    r = rados_io_open(&u->cluster, text, &l->rados, err);
    if (r == BK_E_USAGE)
        bk_hint(err, "name it in the URL: rbd:POOL/IMAGE?conf=FILE");
    if (r < 0)
        return r;
    /* Nothing is read twice, and what is written must be on the medium when it is said to be. */
    static const char key[] = "rbd_cache";
    int rc = rados_lib.conf_set(l->rados->cluster, key, "false");
    if (rc < 0)
        return bk_fail_errno(err, -rc, "set %s of librados", key);
    *ret = bk_steal(l);
    return 0;
}

void rbd_link_free(struct rbd_link *l)
{
    if (!l || atomic_load(&l->lost))
        return;
    rados_io_free(l->rados);
    free(l);
}

static int fail_silent(struct bk_error *err)
{
    bk_fail(err, BK_E_UNREACHABLE, "the cluster does not answer");
    return bk_hint(err,
                   "look at the cluster with ceph -s: monitors, OSDs that are down, placement groups that "
                   "are not active");
}

int rbd_link_fail(struct rbd_link *l, int rc, const char *verb, const char *what, struct bk_error *err)
{
    switch (rc) {
    case -ETIMEDOUT:
        atomic_store(&l->silent, true);
        fail_silent(err);
        return bk_context(err, "%s %s", bk_text(verb), what);
    case -EACCES:
    case -EPERM:
        bk_fail_errno(err, -rc, "%s %s", bk_text(verb), what);
        return bk_hint(err, "the client's capabilities do not allow it: it needs profile rbd in mon and osd");
    case -ESHUTDOWN:
        bk_fail(err, BK_E_IO, "%s %s: the cluster has blocklisted this client", bk_text(verb), what);
        return bk_hint(err, "see ceph osd blocklist ls");
    default:
        return bk_fail_errno(err, -rc, "%s %s", bk_text(verb), what);
    }
}

/* ---- requests ---- */

void rbd_lane_init(struct rbd_lane *w, struct rbd_link *link)
{
    pthread_condattr_t a;
    *w = (struct rbd_lane){ .link = link };
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &a);
    pthread_condattr_destroy(&a);
}

void rbd_lane_clear(struct rbd_lane *w)
{
    while (w->n && !atomic_load(&w->link->lost))
        (void)rbd_lane_take(w);
    if (atomic_load(&w->link->lost))
        return;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->cond);
    free(w->buf);
}

static void on_done(rbd_completion_t c, void *arg)
{
    struct rbd_way *way = arg;
    struct rbd_lane *w = way->lane;
    ssize_t rc = rbd_lib.aio_get_return_value(c);
    pthread_mutex_lock(&w->lock);
    way->rc = rc;
    way->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

int rbd_lane_slot(struct rbd_lane *w, uint64_t at, size_t len, struct rbd_way **ret, struct bk_error *err)
{
    if (atomic_load(&w->link->lost))
        return fail_silent(err);
    if (!w->buf && !(w->buf = malloc((size_t)RBD_DEPTH * DISK_REQUEST)))
        return bk_fail_errno(err, ENOMEM, "buffers of %d bytes", RBD_DEPTH * DISK_REQUEST);
    unsigned i = (w->first + w->n) % RBD_DEPTH;
    struct rbd_way *way = &w->way[i];
    *way = (struct rbd_way){ .lane = w, .buf = w->buf + (size_t)i * DISK_REQUEST, .at = at, .len = len };
    if (rbd_lib.aio_create_completion(way, on_done, &way->completion) < 0)
        return bk_fail_errno(err, ENOMEM, "ask for %zu bytes", len);
    w->n++;
    *ret = way;
    return 0;
}

void rbd_lane_sent(struct rbd_way *way, int rc)
{
    way->sent = rc >= 0;
    if (rc < 0)
        way->rc = rc;
}

/* Was it done in time? */
static bool wait_for(struct rbd_lane *w, const struct rbd_way *way)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += w->link->url.cluster.timeout_s + BACKSTOP_S;
    pthread_mutex_lock(&w->lock);
    while (!way->done && pthread_cond_timedwait(&w->cond, &w->lock, &t) != ETIMEDOUT)
        ;
    bool done = way->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

const struct rbd_way *rbd_lane_take(struct rbd_lane *w)
{
    struct rbd_way *way = &w->way[w->first];
    w->first = (w->first + 1) % RBD_DEPTH;
    w->n--;
    if (way->sent && (atomic_load(&w->link->lost) || !wait_for(w, way))) {
        atomic_store(&w->link->lost, true);
        way->rc = -ETIMEDOUT;
        return way; /* buffer and completion are librbd's */
    }
    if (way->sent) /* its callback has returned */
        rbd_lib.aio_wait_for_complete(way->completion);
    rbd_lib.aio_release(way->completion);
    return way;
}

/* ---- reading ---- */

static int ask(struct rbd_lane *w, rbd_image_t image, uint64_t *at, uint64_t to, struct bk_error *err)
{
    while (w->n < RBD_DEPTH && *at < to) {
        size_t len = to - *at < DISK_REQUEST ? (size_t)(to - *at) : DISK_REQUEST;
        struct rbd_way *way;
        int r = rbd_lane_slot(w, *at, len, &way, err);
        if (r < 0)
            return r;
        rbd_lane_sent(way, rbd_lib.aio_read(image, *at, len, way->buf, way->completion));
        *at += len;
    }
    return 0;
}

static int take(struct rbd_lane *w, disk_read_fn *fn, void *ctx, struct bk_error *err)
{
    const struct rbd_way *way = rbd_lane_take(w);
    char place[64];
    if (way->rc == (ssize_t)way->len)
        return fn(ctx, way->at, (const uint8_t *)way->buf, way->len, err);
    snprintf(place, sizeof place, "%zu bytes at %llu", way->len, (unsigned long long)way->at);
    if (way->rc >= 0)
        return bk_fail(err, BK_E_IO, "read %s: only %zd came", place, way->rc);
    return rbd_link_fail(w->link, (int)way->rc, N_("read"), place, err);
}

int rbd_lane_read(struct rbd_lane *w, rbd_image_t image, uint64_t from, uint64_t to, struct job *j,
                  disk_read_fn *fn, void *ctx, struct bk_error *err)
{
    int r = ask(w, image, &from, to, err);
    while (w->n && r == 0) {
        r = take(w, fn, ctx, err);
        if (r == 0)
            r = job_check(j, err);
        if (r == 0)
            r = ask(w, image, &from, to, err);
    }
    while (w->n)
        (void)rbd_lane_take(w);
    return r;
}
