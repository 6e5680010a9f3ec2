/* Images in Ceph. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/restore/disk_target.h"
#include "bkd/source/rbd_io.h"

enum { WATCHERS = 8 };
#define ZERO_MAX ((uint64_t)64 << 20) /* bytes of one request: some objects */

struct rbd_target {
    struct disk_target target;
    struct job *job;       /* borrowed */
    struct rbd_link *link; /* owned */
    char image_name[RADOS_URL_PART];
    char temporary[RADOS_URL_PART + 32]; /* the name until finish; "": in place */
    bool made;                           /* the image of that name is ours */
    rbd_image_t image;                   /* owned; NULL: closed */
    struct rbd_lane *lanes;              /* owned */
    unsigned n_workers;
    atomic_int failed; /* the first write that did: whoever comes to know of it, sync fails */
};

/* The oldest request of a lane: writes may be on their way when their call returns. */
static int settle_one(struct rbd_target *t, struct rbd_lane *w, struct bk_error *err)
{
    char place[64];
    const struct rbd_way *way = rbd_lane_take(w);
    if (way->rc >= 0)
        return 0;
    int none = 0;
    atomic_compare_exchange_strong(&t->failed, &none, (int)way->rc);
    snprintf(place, sizeof place, "%zu bytes at %llu", way->len, (unsigned long long)way->at);
    return rbd_link_fail(t->link, (int)way->rc, N_("write"), place, err);
}

static int settle(struct rbd_target *t, struct rbd_lane *w, struct bk_error *err)
{
    int r = 0;
    while (w->n && r == 0)
        r = settle_one(t, w, err);
    return r;
}

static int slot(struct rbd_target *t, struct rbd_lane *w, uint64_t at, size_t len, struct rbd_way **ret,
                struct bk_error *err)
{
    int r = w->n == RBD_DEPTH ? settle_one(t, w, err) : 0;
    return r < 0 ? r : rbd_lane_slot(w, at, len, ret, err);
}

static int rbd_write_at(struct disk_target *target, unsigned worker, uint64_t at, const uint8_t *p,
                        size_t len, struct bk_error *err)
{
    struct rbd_target *t = (struct rbd_target *)target;
    while (len) {
        size_t n = len < DISK_REQUEST ? len : DISK_REQUEST;
        struct rbd_way *way;
        int r = slot(t, &t->lanes[worker], at, n, &way, err);
        if (r < 0)
            return r;
        memcpy(way->buf, p, n);
        rbd_lane_sent(way, rbd_lib.aio_write(t->image, at, n, way->buf, way->completion));
        atomic_fetch_add(&target->bytes_written, n);
        p += n;
        at += n;
        len -= n;
    }
    return 0;
}

/* Not by discards: of those librbd leaves out the parts that are smaller than it likes. */
static int rbd_zero_at(struct disk_target *target, unsigned worker, uint64_t at, uint64_t len, bool hole,
                       struct bk_error *err)
{
    struct rbd_target *t = (struct rbd_target *)target;
    if (target->fresh)
        return 0;
    while (len) {
        size_t n = (size_t)(len < ZERO_MAX ? len : ZERO_MAX);
        struct rbd_way *way;
        int r = slot(t, &t->lanes[worker], at, n, &way, err);
        if (r < 0)
            return r;
        rbd_lane_sent(way, rbd_lib.aio_write_zeroes(t->image, at, n, way->completion,
                                                    hole ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0));
        at += n;
        len -= n;
    }
    return 0;
}

struct copying {
    uint8_t *to;
};

static int copy(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err)
{
    (void)at, (void)err;
    struct copying *c = ctx;
    memcpy(c->to, data, len);
    c->to += len;
    return 0;
}

static int rbd_read_at(struct disk_target *target, unsigned worker, uint64_t at, uint8_t *p, size_t len,
                       struct bk_error *err)
{
    struct rbd_target *t = (struct rbd_target *)target;
    struct copying c = { p };
    int r = settle(t, &t->lanes[worker], err);
    return r < 0 ? r : rbd_lane_read(&t->lanes[worker], t->image, at, at + len, t->job, copy, &c, err);
}

static int rbd_sync(struct disk_target *target, struct bk_error *err)
{
    struct rbd_target *t = (struct rbd_target *)target;
    struct rbd_way *way;
    int r = 0;
    for (unsigned i = 0; i < t->n_workers && r == 0; i++)
        r = settle(t, &t->lanes[i], err);
    int failed = atomic_load(&t->failed);
    if (r == 0 && failed)
        r = rbd_link_fail(t->link, failed, N_("write"), t->image_name, err);
    if (r == 0)
        r = slot(t, &t->lanes[0], 0, 0, &way, err);
    if (r < 0)
        return r;
    rbd_lane_sent(way, rbd_lib.aio_flush(t->image, way->completion));
    return settle(t, &t->lanes[0], err);
}

static void close_image(struct rbd_target *t)
{
    for (unsigned i = 0; t->lanes && i < t->n_workers; i++)
        rbd_lane_clear(&t->lanes[i]);
    bool lost = t->link && atomic_load(&t->link->lost);
    if (!lost && t->image)
        rbd_lib.close(t->image);
    if (!lost)
        free(t->lanes);
    t->lanes = NULL;
    t->image = NULL;
}

static int rbd_finish(struct disk_target *target, struct bk_error *err)
{
    struct rbd_target *t = (struct rbd_target *)target;
    close_image(t);
    if (!t->made)
        return 0;
    int rc = rbd_lib.rename(t->link->rados->ctx, t->temporary, t->image_name);
    if (rc < 0)
        return rbd_link_fail(t->link, rc, N_("give its name to image"), t->image_name, err);
    t->made = false;
    return 0;
}

static void rbd_target_free(struct disk_target *target)
{
    struct rbd_target *t = (struct rbd_target *)target;
    close_image(t);
    if (t->made && !atomic_load(&t->link->lost) && !atomic_load(&t->link->silent))
        rbd_lib.remove(t->link->rados->ctx, t->temporary);
    rbd_link_free(t->link);
    free(t);
}

static const struct disk_target_ops rbd_ops = { .write = rbd_write_at,
                                                .zero = rbd_zero_at,
                                                .read = rbd_read_at,
                                                .sync = rbd_sync,
                                                .finish = rbd_finish,
                                                .free = rbd_target_free };

/* ---- opening ---- */

/* Somebody who has it open for writing watches it, a guest above all. */
static int check_unused(struct rbd_target *t, rbd_image_t image, struct bk_error *err)
{
    rbd_image_watcher_t v[WATCHERS];
    size_t n = WATCHERS;
    int rc = rbd_lib.watchers_list(image, v, &n);
    if (rc < 0 && rc != -ERANGE)
        return rbd_link_fail(t->link, rc, N_("ask who uses image"), t->image_name, err);
    if (rc >= 0)
        rbd_lib.watchers_list_cleanup(v, n);
    if (rc >= 0 && !n)
        return 0;
    bk_fail(err, BK_E_BUSY, "it is in use: somebody has it open for writing");
    return bk_hint(err, "see rbd status; who was killed counts for half a minute more");
}

static int check_size(struct rbd_target *t, rbd_image_t image, uint64_t least, struct bk_error *err)
{
    uint64_t size = 0;
    int rc = rbd_lib.get_size(image, &size);
    if (rc < 0)
        return rbd_link_fail(t->link, rc, N_("ask about image"), t->image_name, err);
    return size >= least ? 0
                         : bk_fail(err, BK_E_LIMIT, "it has %llu bytes, and the disk %llu",
                                   (unsigned long long)size, (unsigned long long)least);
}

static int make_image(struct rbd_target *t, uint64_t size, struct bk_error *err)
{
    rbd_image_options_t opts; /* all as the cluster's configuration says */
    snprintf(t->temporary, sizeof t->temporary, "%s.bkctl-%d", t->image_name, (int)getpid());
    rbd_lib.image_options_create(&opts);
    int rc = rbd_lib.create4(t->link->rados->ctx, t->temporary, size, opts);
    rbd_lib.image_options_destroy(opts);
    if (rc < 0)
        return rbd_link_fail(t->link, rc, N_("make image"), t->temporary, err);
    t->made = true;
    t->target.fresh = true;
    return 0;
}

static int open_image(struct rbd_target *t, const struct disk_target_opts *o, struct bk_error *err)
{
    rados_ioctx_t ctx = t->link->rados->ctx;
    rbd_image_t look;
    int r = 0, rc = rbd_lib.open_read_only(ctx, t->image_name, &look, NULL);
    if (rc >= 0) {
        if (!o->overwrite) {
            r = bk_fail(err, BK_E_EXISTS, "it is there already");
            bk_hint(err, "choose another place, or allow it to be overwritten");
        }
        if (r == 0)
            r = check_unused(t, look, err);
        if (r == 0)
            r = check_size(t, look, o->size, err);
        rbd_lib.close(look);
    } else if (rc == -ENOENT) {
        r = make_image(t, o->size, err);
    } else {
        r = rbd_link_fail(t->link, rc, N_("open image"), t->image_name, err);
    }
    if (r < 0)
        return r;
    const char *name = t->made ? t->temporary : t->image_name;
    rc = rbd_lib.open(ctx, name, &t->image, NULL);
    if (rc < 0)
        t->image = NULL;
    return rc < 0 ? rbd_link_fail(t->link, rc, N_("open image"), name, err) : 0;
}

int disk_target_rbd(const struct disk_target_opts *o, struct job *j, struct disk_target **ret,
                    struct bk_error *err)
{
    struct rbd_url u;
    int r = rbd_url_parse(o->to, &u, err);
    if (r < 0)
        return r;
    if (u.snap[0])
        return bk_fail(err, BK_E_USAGE, "a snapshot cannot be written to");
    struct rbd_target *t = calloc(1, sizeof *t);
    if (!t)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    *t = (struct rbd_target){ .target.ops = &rbd_ops, .job = j, .n_workers = o->n_workers };
    bk_auto(disk_target_free) struct disk_target *target = &t->target;
    snprintf(t->image_name, sizeof t->image_name, "%s", u.image);
    r = rbd_link_open(&u, o->to, &t->link, err);
    if (r < 0)
        return r;
    t->lanes = calloc(o->n_workers, sizeof *t->lanes);
    if (!t->lanes)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    for (unsigned i = 0; i < o->n_workers; i++)
        rbd_lane_init(&t->lanes[i], t->link);
    r = open_image(t, o, err);
    if (r == 0)
        *ret = bk_steal(target);
    return r;
}
