/* The index from end to end: what a look-up per chunk would read at random is read once, in order. */
#include <errno.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/index_inside.h"

struct scan {
    struct mark *m;
    struct index_segment *s;
    struct segment_frame *frames; /* owned: of the segment at hand */
    uint32_t *pack_of;            /* owned: line of its pack table to mark.packs */
    uint8_t *kind_of;             /* owned */
    uint32_t *meta_of;            /* owned: frame to line of mark.frames */
    uint32_t metas;               /* frames of metadata in segments so far */
};

static int read_page(struct scan *c, uint32_t page, uint8_t out[static SEGMENT_PAGE], struct bk_error *err)
{
    return index_segment_page(c->s, page, out, err);
}

static void see_pack(struct scan *c, uint64_t line, const struct segment_pack *p)
{
    uint32_t at = p->kind < CHUNK_KINDS ? packs_find(&c->m->packs, p->kind, &p->name) : PACK_NONE;
    c->kind_of[line] = p->kind;
    c->pack_of[line] = at;
    if (at == PACK_NONE)
        return;
    struct pack *k = &c->m->packs.v[at];
    k->flags |= PACK_NAMED;
    if (k->bytes != p->bytes) { /* not whole: it must not count as the place of anything, nor go */
        k->flags |= PACK_BAD;
        c->pack_of[line] = PACK_NONE;
    }
}

static int read_packs(struct scan *c, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    uint32_t page, have = UINT32_MAX;
    for (uint64_t i = 0; i < c->s->seg.n_packs; i++) {
        struct segment_pack p;
        int r = segment_pack_page(&c->s->seg, i, &page, err);
        if (r == 0 && page != have)
            r = read_page(c, page, data, err);
        if (r < 0)
            return r;
        have = page;
        segment_pack_line(data, i, &p);
        see_pack(c, i, &p);
    }
    return 0;
}

static int read_frames(struct scan *c, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    uint32_t page, have = UINT32_MAX;
    for (uint64_t i = 0; i < c->s->seg.n_frames; i++) {
        int r = segment_frame_page(&c->s->seg, i, &page, err);
        if (r == 0 && page != have)
            r = read_page(c, page, data, err);
        if (r < 0)
            return r;
        have = page;
        segment_frame_line(data, i, &c->frames[i]);
        if (c->frames[i].pack >= c->s->seg.n_packs)
            return bk_fail(err, BK_E_CORRUPT, "frame %llu is out of range", (unsigned long long)i);
        c->meta_of[i] = c->kind_of[c->frames[i].pack] == CHUNK_META ? c->metas++ : 0;
    }
    return 0;
}

static int read_entries(struct scan *c, unsigned part, unsigned n_parts, mark_scan_fn *fn, void *ctx,
                        struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    const struct segment *g = &c->s->seg;
    for (uint32_t p = 0; p < g->n_entry_pages; p++) {
        if (n_parts >
            1) { /* pages are in order of ids: the first one of the next page tells where this one ends */
            unsigned first = g->fences[8 * (size_t)p + 7] << 8 | g->fences[8 * (size_t)p + 6];
            unsigned next = p + 1 < g->n_entry_pages
                                ? g->fences[8 * (size_t)p + 15] << 8 | g->fences[8 * (size_t)p + 14]
                                : 0xffff;
            if (next < part * (0x10000 / n_parts) || first >= (part + 1) * (0x10000 / n_parts))
                continue;
        }
        int r = p % 256 ? 0 : job_check(c->m->job, err);
        if (r == 0)
            r = read_page(c, g->entries_page + p, data, err);
        unsigned n = r == 0 ? segment_page_count(data) : 0;
        for (unsigned i = 0; r == 0 && i < n; i++) {
            struct segment_entry e;
            segment_page_entry(data, i, &e);
            if (e.frame >= g->n_frames)
                return bk_fail(err, BK_E_CORRUPT, "an entry is out of range");
            const struct segment_frame *f = &c->frames[e.frame];
            struct scanned x = { .e = &e,
                                 .frame = f,
                                 .pack = c->pack_of[f->pack],
                                 .meta_frame = c->meta_of[e.frame],
                                 .kind = c->kind_of[f->pack] };
            r = fn(ctx, &x, err);
        }
        if (r != 0)
            return r;
    }
    return 0;
}

static int scan_one(struct scan *c, unsigned part, unsigned n_parts, mark_scan_fn *fn, void *ctx,
                    struct bk_error *err)
{
    const struct segment *g = &c->s->seg;
    bk_auto(free) struct segment_frame *frames = calloc(g->n_frames + 1, sizeof *frames);
    bk_auto(free) uint32_t *meta_of = calloc(g->n_frames + 1, sizeof *meta_of);
    bk_auto(free) uint32_t *pack_of = calloc(g->n_packs + 1, sizeof *pack_of);
    bk_auto(free) uint8_t *kind_of = calloc(g->n_packs + 1, 1);
    if (!frames || !meta_of || !pack_of || !kind_of)
        return bk_fail_errno(err, ENOMEM, "read an index segment");
    c->frames = frames;
    c->meta_of = meta_of;
    c->pack_of = pack_of;
    c->kind_of = kind_of;
    int r = read_packs(c, err);
    if (r == 0)
        r = read_frames(c, err);
    return r < 0 ? r : read_entries(c, part, n_parts, fn, ctx, err);
}

/* A segment with a damaged page names nothing that could be relied on; what is needed of it turns up missing,
 * and then its packs are read. */
int mark_scan(struct mark *m, unsigned part, unsigned n_parts, mark_scan_fn *fn, void *ctx,
              struct bk_error *err)
{
    struct scan c = { .m = m };
    for (size_t i = 0; (c.s = index_segment_at(m->index, i)) != NULL; i++) {
        if (atomic_load(&c.s->damaged))
            continue;
        int r = scan_one(&c, part, n_parts, fn, ctx, err);
        if (r != 0)
            return r < 0 ? bk_context(err, "index segment %s", c.s->object) : r;
    }
    return 0;
}
