#include "bkd/backup/disk_run.h"

/* ---- what the map says of each block ---- */

static void mark(struct blocks *b, size_t i, const struct disk_part *m, bool tracked)
{
    enum block_state now = m->kind == EXTENT_DATA   ? BLOCK_DATA
                           : m->kind == EXTENT_HOLE ? BLOCK_HOLE
                                                    : BLOCK_ZERO;
    b->data[i] |= m->kind == EXTENT_DATA;
    if (tracked && m->clean)
        now = BLOCK_CLEAN;
    /* Of a block that is this and that: data of one part makes all of it data, a change in one part all of it
     * changed. */
    enum block_state was = b->v[i];
    if (was == BLOCK_NONE || was == now)
        b->v[i] = (uint8_t)now;
    else if (was == BLOCK_DATA || now == BLOCK_DATA || was == BLOCK_CLEAN || now == BLOCK_CLEAN)
        b->v[i] = BLOCK_DATA;
    else
        b->v[i] = BLOCK_ZERO;
}

struct marking {
    struct blocks *b;
    bool tracked;
};

static int on_map(void *ctx, const struct disk_part *m, struct bk_error *err)
{
    (void)err;
    struct marking *k = ctx;
    uint64_t first = (m->from - k->b->from) / DISK_BLOCK,
             last = (m->from + m->len - 1 - k->b->from) / DISK_BLOCK;
    for (uint64_t i = first; i <= last; i++)
        mark(k->b, i, m, k->tracked);
    return 0;
}

int disk_blocks(struct disk_job *g, unsigned lane, uint64_t from, uint64_t to, struct blocks *ret,
                struct bk_error *err)
{
    ret->from = from;
    ret->to = to;
    ret->n = (size_t)((to - from + DISK_BLOCK - 1) / DISK_BLOCK);
    memset(ret->v, BLOCK_NONE, ret->n);
    memset(ret->data, 0, ret->n);
    struct marking k = { .b = ret, .tracked = g->old };
    return disk_map(g->disk, lane, from, to, on_map, &k, err);
}

/* ---- reading ---- */

static int on_data(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err)
{
    (void)at;
    struct ingest *g = ctx;
    int r = ingest_blocks(g, data, len, DISK_BLOCK, err);
    return r < 0 ? r : ingest_account(g, len, err);
}

/* Bytes [from, to), all of one state. old: the parent's extents of the whole segment. */
static int take_stretch(struct disk_job *g, struct ingest *in, unsigned lane, const struct blocks *b,
                        enum block_state state, uint64_t from, uint64_t to, unsigned worker,
                        struct bk_error *err)
{
    switch (state) {
    case BLOCK_HOLE:
        return ingest_blank(in, EXTENT_HOLE, to - from, err);
    case BLOCK_ZERO:
        return ingest_blank(in, EXTENT_ZERO, to - from, err);
    case BLOCK_DATA:
        return disk_read(g->disk, lane, from, to, on_data, in, err);
    case BLOCK_CLEAN:
    case BLOCK_NONE:
        break;
    }
    bk_auto(extents_clear) struct extents old = { 0 };
    int r = disk_parent(g, leaves_extents(g->run->reader, worker, g->old, from, to, &old, err));
    if (r == 0 && g->audit_ppm) {
        struct blocks part = { .from = from,
                               .to = to,
                               .n = (size_t)((to - from + DISK_BLOCK - 1) / DISK_BLOCK) };
        memcpy(part.data, b->data + (from - b->from) / DISK_BLOCK, part.n);
        r = disk_audit(g, worker, lane, &part, &old, err);
    }
    for (size_t i = 0; i < old.n && r == 0; i++)
        r = extents_add(&in->x, &old.v[i], err);
    return r;
}

static int read_part(struct part *p, unsigned worker, unsigned lane, struct bk_error *err)
{
    struct disk_job *g = p->of;
    struct ingest *in = &g->in[worker];
    struct blocks b;
    int r = disk_blocks(g, lane, p->from, p->to, &b, err);
    in->x.n = 0;
    in->x.len = 0;
    for (size_t i = 0, k; i < b.n && r == 0; i = k) {
        for (k = i + 1; k < b.n && b.v[k] == b.v[i]; k++)
            ;
        uint64_t from = p->from + (uint64_t)i * DISK_BLOCK, to = p->from + (uint64_t)k * DISK_BLOCK;
        r = take_stretch(g, in, lane, &b, b.v[i], from, to < p->to ? to : p->to, worker, err);
    }
    return r < 0 ? r : pieces_add(&p->pieces, in->sink, worker, &in->x, err);
}

/* ---- taking over ---- */

/* A leaf of the parent that lies in the part is taken by its page, of others the extents. */
static int keep_leaf(struct part *p, unsigned worker, const struct leaf *leaf, uint64_t from, uint64_t to,
                     struct bk_error *err)
{
    struct disk_job *g = p->of;
    if (leaf->from == from && leaf->len == to - from && g->old->content.depth) {
        struct piece *v = reallocarray(p->pieces.v, p->pieces.n + 1, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "take over the pages of a disk");
        v[p->pieces.n++] = (struct piece){ .len = leaf->len, .leaf = leaf->id };
        p->pieces.v = v;
        p->pieces.cap = p->pieces.n;
        return 0;
    }
    bk_auto(extents_clear) struct extents x = { 0 };
    int r = disk_parent(g, leaves_extents(g->run->reader, worker, g->old, from, to, &x, err));
    return r < 0 ? r : pieces_add(&p->pieces, &g->run->sink, worker, &x, err);
}

/* Some of its blocks, segment by segment. */
static int audit_part(const struct part *p, unsigned worker, unsigned lane, struct bk_error *err)
{
    struct disk_job *g = p->of;
    int r = 0;
    for (uint64_t at = p->from; at < p->to && r == 0; at += DISK_SEGMENT) {
        uint64_t to = p->to - at < DISK_SEGMENT ? p->to : at + DISK_SEGMENT;
        bk_auto(extents_clear) struct extents old = { 0 };
        struct blocks b;
        r = disk_parent(g, leaves_extents(g->run->reader, worker, g->old, at, to, &old, err));
        if (r == 0)
            r = disk_blocks(g, lane, at, to, &b, err);
        if (r == 0)
            r = disk_audit(g, worker, lane, &b, &old, err);
        if (atomic_load(&g->n_lies))
            break;
    }
    return r;
}

static int keep_part(struct part *p, unsigned worker, unsigned lane, struct bk_error *err)
{
    struct disk_job *g = p->of;
    int r = g->audit_ppm ? audit_part(p, worker, lane, err) : 0;
    for (size_t i = leaves_find(g->old, p->from); i < g->old->n && r == 0; i++) {
        const struct leaf *l = &g->old->v[i];
        if (l->from >= p->to)
            break;
        uint64_t from = l->from > p->from ? l->from : p->from, end = l->from + l->len;
        r = keep_leaf(p, worker, l, from, end < p->to ? end : p->to, err);
    }
    return r;
}

static int blank_part(struct part *p, unsigned worker, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 };
    int r = extents_add(&x, &(struct extent){ .len = p->to - p->from, .kind = EXTENT_HOLE }, err);
    return r < 0 ? r : pieces_add(&p->pieces, &p->of->run->sink, worker, &x, err);
}

int disk_part(struct part *p, unsigned worker, struct bk_error *err)
{
    struct disk_job *g = p->of;
    if (p->kind == PART_BLANK)
        return blank_part(p, worker, err);
    unsigned lane = disk_lane_take(g);
    int r = p->kind == PART_READ ? read_part(p, worker, lane, err) : keep_part(p, worker, lane, err);
    disk_lane_give(g, lane);
    return r;
}
