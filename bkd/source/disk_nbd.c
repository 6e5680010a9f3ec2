/* Disks over NBD: a connection for each lane, several requests on their way in each. */
#include "bkd/source/disk_nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = 4,               /* requests on their way */
    MAP_STEP = 1 << 30,      /* bytes of the map asked for at once */
    MAP_PARTS_MAX = 1 << 22, /* that an answer may have */
    EXTRA_SILENCE_S = 5,     /* a server that takes no more connections may let one wait */
};

struct stretch {
    uint64_t len;
    uint32_t flags;
};
/* What an answer said of one context, from the place asked for on. */
struct stretches {
    struct stretch *v; /* owned */
    size_t n, cap;
    uint64_t len;
    int sys;
};

struct nbd_lane {
    struct nbd_link link;
    uint8_t *buf; /* owned: DEPTH times DISK_REQUEST, made when needed */
    struct stretches data, changes;
};
struct nbd_disk {
    struct disk disk;
    struct child *server; /* owned, or NULL */
    char *changes;        /* owned: name of the context, or NULL */
    bool allocation;      /* the server tells what is allocated */
    struct nbd_lane *lanes;
};

static const char allocation[] = "base:allocation";

/* ---- the map ---- */

static void note_one(struct stretches *s, uint64_t len, uint32_t flags)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 256;
        struct stretch *v = cap > MAP_PARTS_MAX ? NULL : reallocarray(s->v, cap, sizeof *v);
        if (!v) {
            s->sys = ENOMEM;
            return;
        }
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = (struct stretch){ len, flags };
    s->len += len;
}

struct asked {
    struct nbd_lane *lane;
    const char *changes;
    uint64_t at;
};

static int on_extents(void *ctx, const char *context, uint64_t offset, uint32_t *entries, size_t n,
                      int *error)
{
    (void)error; /* it is kept in the list, and found there */
    struct asked *q = ctx;
    struct stretches *s = !strcmp(context, allocation)                 ? &q->lane->data
                          : q->changes && !strcmp(context, q->changes) ? &q->lane->changes
                                                                       : NULL;
    if (!s)
        return 0;
    /* What does not go on where the last one ended would be laid onto the wrong bytes. */
    if (offset != q->at + s->len)
        s->sys = EPROTO;
    for (size_t i = 0; i + 1 < n && !s->sys; i += 2)
        note_one(s, entries[i], entries[i + 1]);
    return 0;
}

static enum extent_kind kind_of(uint32_t flags)
{
    if (!(flags & LIBNBD_STATE_ZERO)) /* unallocated without a word on what it reads as: read it */
        return EXTENT_DATA;
    return flags & LIBNBD_STATE_HOLE ? EXTENT_HOLE : EXTENT_ZERO;
}

/* Hand out [at, end), which both answers cover. */
static int hand_out(const struct nbd_disk *d, const struct nbd_lane *l, uint64_t at, uint64_t end,
                    disk_map_fn *fn, void *ctx, struct bk_error *err)
{
    const struct stretch *a = l->data.v, *c = l->changes.v;
    uint64_t a_left = d->allocation ? a->len : UINT64_MAX, c_left = d->changes ? c->len : UINT64_MAX;
    while (at < end) {
        while (!a_left)
            a_left = (++a)->len;
        while (!c_left)
            c_left = (++c)->len;
        uint64_t len = end - at;
        len = a_left < len ? a_left : len;
        len = c_left < len ? c_left : len;
        struct disk_part p = { .from = at,
                               .len = len,
                               .kind = d->allocation ? kind_of(a->flags) : EXTENT_DATA,
                               .clean = d->changes && !(c->flags & 1) };
        int r = fn(ctx, &p, err);
        if (r < 0)
            return r;
        at += len;
        if (d->allocation)
            a_left -= len;
        if (d->changes)
            c_left -= len;
    }
    return 0;
}

static int ask(struct nbd_disk *d, struct nbd_lane *l, uint64_t at, uint64_t len, struct bk_error *err)
{
    struct asked q = { .lane = l, .changes = d->changes, .at = at };
    struct stretches *both[] = { &l->data, &l->changes };
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        both[i]->n = 0;
        both[i]->len = 0;
        both[i]->sys = 0;
    }
    int64_t cookie = nbd_lib.aio_block_status(
        l->link.h, len, at, (nbd_extent_callback){ .callback = on_extents, .user_data = &q },
        NBD_NULL_COMPLETION, 0);
    int r = nbd_link_wait(&l->link, cookie, N_("map"), at, (size_t)len, err);
    /* q is this frame's: after a wait that was given up the answer must not come any more */
    if (r < 0)
        nbd_link_close(&l->link);
    if (r == 0 && (l->data.sys == ENOMEM || l->changes.sys == ENOMEM))
        r = bk_fail(err, BK_E_LIMIT, "the map of %llu bytes at %llu has too many parts",
                    (unsigned long long)len, (unsigned long long)at);
    else if (r == 0 && (l->data.sys || l->changes.sys))
        r = bk_fail(err, BK_E_CORRUPT, "the NBD server answers for other bytes than were asked for");
    return r;
}

static int gone(struct bk_error *err)
{
    return bk_fail(err, BK_E_IO, "the connection to the NBD server is lost");
}

static int nbd_map(struct disk *disk, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
                   struct bk_error *err)
{
    struct nbd_disk *d = (struct nbd_disk *)disk;
    struct nbd_lane *l = &d->lanes[lane];
    if (!d->allocation && !d->changes) {
        struct disk_part p = { .from = from, .len = to - from, .kind = EXTENT_DATA };
        return fn(ctx, &p, err);
    }
    for (uint64_t at = from; at < to;) {
        uint64_t len = to - at < MAP_STEP ? to - at : MAP_STEP;
        int r = l->link.h ? ask(d, l, at, len, err) : gone(err);
        if (r < 0)
            return r;
        /* An answer may be shorter than was asked for, and its last part longer. */
        if (d->allocation && l->data.len < len)
            len = l->data.len;
        if (d->changes && l->changes.len < len)
            len = l->changes.len;
        if (!len)
            return bk_fail(err, BK_E_CORRUPT, "the NBD server does not tell what is at %llu",
                           (unsigned long long)at);
        r = hand_out(d, l, at, at + len, fn, ctx, err);
        if (r < 0)
            return r;
        at += len;
    }
    return 0;
}

/* ---- the bytes ---- */

struct pipeline {
    struct nbd_lane *lane;
    uint64_t next, to; /* to be asked for */
    struct {
        int64_t cookie;
        uint64_t at;
        size_t len;
    } way[DEPTH]; /* a ring of requests on their way */
    unsigned first, n;
};

static void send_some(struct pipeline *p)
{
    while (p->n < DEPTH && p->next < p->to) {
        unsigned i = (p->first + p->n++) % DEPTH;
        size_t len = p->to - p->next < DISK_REQUEST ? (size_t)(p->to - p->next) : DISK_REQUEST;
        p->way[i].at = p->next;
        p->way[i].len = len;
        p->way[i].cookie = nbd_lib.aio_pread(p->lane->link.h, p->lane->buf + (size_t)i * DISK_REQUEST, len,
                                             p->next, NBD_NULL_COMPLETION, 0);
        p->next += len;
    }
}

static int receive_one(struct pipeline *p, disk_read_fn *fn, void *ctx, struct bk_error *err)
{
    unsigned i = p->first;
    p->first = (p->first + 1) % DEPTH;
    p->n--;
    int r = nbd_link_wait(&p->lane->link, p->way[i].cookie, N_("read"), p->way[i].at, p->way[i].len, err);
    return r < 0 ? r : fn(ctx, p->way[i].at, p->lane->buf + (size_t)i * DISK_REQUEST, p->way[i].len, err);
}

static int nbd_read(struct disk *disk, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
                    struct bk_error *err)
{
    struct nbd_disk *d = (struct nbd_disk *)disk;
    struct nbd_lane *l = &d->lanes[lane];
    if (!l->link.h)
        return gone(err);
    if (!l->buf && !(l->buf = malloc((size_t)DEPTH * DISK_REQUEST)))
        return bk_fail_errno(err, ENOMEM, "read buffers of %d bytes", DEPTH * DISK_REQUEST);
    struct pipeline p = { .lane = l, .next = from, .to = to };
    int r = 0;
    send_some(&p);
    while (p.n && r == 0) {
        r = receive_one(&p, fn, ctx, err);
        if (r == 0)
            send_some(&p);
    }
    if (r < 0 ||
        p.n) /* what is still on its way would be taken for the next answer: this connection has ended */
        nbd_link_close(&l->link);
    return r;
}

/* ---- opening ---- */

static void nbd_free(struct disk *disk)
{
    struct nbd_disk *d = (struct nbd_disk *)disk;
    for (unsigned i = 0; d->lanes && i < disk->n_lanes; i++) {
        nbd_link_close(&d->lanes[i].link);
        free(d->lanes[i].buf);
        free(d->lanes[i].data.v);
        free(d->lanes[i].changes.v);
    }
    free(d->lanes);
    free(d->changes);
    child_free(d->server);
    free(d);
}

static const struct disk_ops nbd_ops = { .map = nbd_map, .read = nbd_read, .free = nbd_free };

static int look(struct nbd_disk *d, struct bk_error *err)
{
    struct nbd_handle *h = d->lanes[0].link.h;
    int64_t size = nbd_lib.get_size(h);
    if (size < 0)
        return nbd_link_fail(err, N_("ask for the size"));
    d->disk.size = (uint64_t)size;
    d->allocation = nbd_lib.can_meta_context(h, allocation) == 1;
    if (d->changes && nbd_lib.can_meta_context(h, d->changes) != 1)
        return bk_fail(err, BK_E_UNSUPPORTED, "the NBD server does not tell of '%s'", d->changes);
    return 0;
}

int disk_nbd_over(struct nbd_link *links, unsigned n, const char *changes, struct child *server,
                  struct disk **ret, struct bk_error *err)
{
    struct nbd_disk *d = calloc(1, sizeof *d);
    struct nbd_lane *lanes = calloc(n, sizeof *lanes);
    if (!d || !lanes) {
        free(d);
        free(lanes);
        for (unsigned i = 0; i < n; i++)
            nbd_link_close(&links[i]);
        child_free(server);
        return bk_fail_errno(err, ENOMEM, "open a disk");
    }
    for (unsigned i = 0; i < n; i++)
        lanes[i].link = links[i];
    *d = (struct nbd_disk){ .disk = { .ops = &nbd_ops, .n_lanes = n, .tracked = changes },
                            .server = server,
                            .lanes = lanes };
    bk_auto(disk_free) struct disk *disk = &d->disk;
    if (changes && !(d->changes = strdup(changes)))
        return bk_fail_errno(err, ENOMEM, "open a disk");
    int r = look(d, err);
    if (r == 0)
        *ret = bk_steal(disk);
    return r;
}

int disk_nbd_open(const struct disk_nbd_opts *o, struct job *j, struct disk **ret, struct bk_error *err)
{
    const char *contexts[] = { allocation, o->changes, NULL };
    bk_auto(free) struct nbd_link *links = calloc(j->n_threads, sizeof *links);
    if (!links)
        return bk_fail_errno(err, ENOMEM, "open a disk");
    int r = nbd_link_uri(&links[0], j, o->uri, contexts, NBD_SILENCE_S, err);
    if (r < 0)
        return bk_context(err, "%s", o->uri);
    unsigned n = 1;
    struct bk_error ignored = { 0 };
    while (nbd_lib.can_multi_conn(links[0].h) == 1 && n < j->n_threads && n < NBD_LINKS_MAX &&
           nbd_link_uri(&links[n], j, o->uri, contexts, EXTRA_SILENCE_S, &ignored) == 0)
        n++;
    bk_auto(disk_free) struct disk *d = NULL;
    r = disk_nbd_over(links, n, o->changes, NULL, &d, err);
    if (r == 0 && o->size && d->size != o->size)
        r = bk_fail(err, BK_E_CORRUPT, "it has %llu bytes instead of %llu", (unsigned long long)d->size,
                    (unsigned long long)o->size);
    if (r < 0)
        return bk_context(err, "%s", o->uri);
    *ret = bk_steal(d);
    return 0;
}
