#include "bkd/restore/browse.h"

#include "bkd/repo/index_recover.h"

struct range {
    struct reader *reader;
    unsigned lane;
    uint64_t from, to; /* bytes of the content that are wanted */
    browse_extent_fn *fn;
    void *ctx;
};

/* Hand over the extents that touch the range; *at is the content offset of the first. */
static int give(const struct range *g, const struct extent *v, size_t n, uint64_t *at, struct bk_error *err)
{
    for (size_t i = 0; i < n && *at < g->to; i++) {
        struct extent x = v[i];
        uint64_t start = *at;
        if (__builtin_add_overflow(*at, x.len, at))
            return bk_fail(err, BK_E_CORRUPT, "the extents of a file add up to more than a file can hold");
        if (*at <= g->from)
            continue;
        if (start < g->from) {
            uint64_t cut = g->from - start;
            if (x.kind == EXTENT_DATA)
                x.off += (uint32_t)cut;
            x.len -= cut;
            start = g->from;
        }
        if (start + x.len > g->to)
            x.len = g->to - start;
        int r = g->fn(g->ctx, start, &x, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int give_leaf(const struct range *g, const struct bk_buf *page, uint64_t *at, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 };
    int r = content_leaf_decode(page->data, page->len, &x, err);
    return r < 0 ? r : give(g, x.v, x.n, at, err);
}

static int give_page(const struct range *g, unsigned depth, const chunk_id *id, uint64_t *at,
                     struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    int r = reader_chunk(g->reader, g->lane, CHUNK_META, id, &page, err);
    if (r < 0)
        return bk_context(err, "read an extent page");
    if (depth == 1)
        return give_leaf(g, &page, at, err);

    bk_auto(free) struct content_child *v = NULL;
    size_t n;
    if ((r = content_inner_decode(page.data, page.len, depth, &v, &n, err)) < 0)
        return r;
    for (size_t i = 0; i < n && *at < g->to; i++) {
        uint64_t start = *at, end;
        if (__builtin_add_overflow(start, v[i].len, &end))
            return bk_fail(err, BK_E_CORRUPT, "the extents of a file add up to more than a file can hold");
        if (end > g->from) {
            if ((r = give_page(g, depth - 1, &v[i].id, at, err)) < 0)
                return r;
            if (*at != end && *at < g->to)
                return bk_fail(err, BK_E_CORRUPT,
                               "an extent page holds other than the length its parent says");
        }
        *at = end;
    }
    return 0;
}

int browse_extents(struct reader *r, unsigned lane, const struct content *c, uint64_t offset, uint64_t len,
                   browse_extent_fn *fn, void *ctx, struct bk_error *err)
{
    if (offset >= c->size || len == 0)
        return 0;
    uint64_t to;
    if (__builtin_add_overflow(offset, len, &to) || to > c->size)
        to = c->size;
    struct range g = { .reader = r, .lane = lane, .from = offset, .to = to, .fn = fn, .ctx = ctx };
    if (c->depth > CONTENT_DEPTH_MAX || c->n_inline > CONTENT_INLINE_MAX)
        return bk_fail(err, BK_E_CORRUPT, "the extent pages of a file are nested %u deep", c->depth);
    uint64_t at = 0;
    int rc =
        c->depth ? give_page(&g, c->depth, &c->root, &at, err) : give(&g, c->inline_, c->n_inline, &at, err);
    if (rc < 0)
        return rc;
    if (at < to)
        return bk_fail(err, BK_E_CORRUPT, "the extents of a file end before its size");
    return 0;
}

int browse_copy(struct reader *r, unsigned lane, const struct extent *x, browse_frame_fn *frame, void *ctx,
                uint8_t *out, struct bk_error *err)
{
    if (x->kind != EXTENT_DATA) {
        memset(out, 0, x->len);
        return 0;
    }
    struct chunk_loc loc;
    int rc = index_locate(reader_index(r), &x->id, &loc, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return bk_fail(err, BK_E_ABSENT, "a chunk of the file is not in the repository");
    bk_auto(bk_buf_clear) struct bk_buf again = BK_BUF(CHUNK_MAX);
    struct bk_error ignored = { 0 };
    struct frame_ref *f = NULL;
    const uint8_t *p = NULL;
    size_t len = 0;
    if ((rc = frame(ctx, &loc, &x->id, &f, err)) < 0 ||
        (rc = frame_ref_chunk(f, loc.slot, &x->id, &p, &len, err)) < 0) {
        if (!reader_is_damage(rc) || reader_chunk(r, lane, CHUNK_DATA, &x->id, &again, &ignored) < 0)
            return rc;
        p = again.data; /* it was stored twice */
        len = again.len;
    }
    if (x->off > len || x->len > len - x->off)
        return bk_fail(err, BK_E_CORRUPT, "an extent reaches past the end of its chunk");
    memcpy(out, p + x->off, x->len);
    return 0;
}

struct copy {
    struct reader *reader;
    unsigned lane;
    uint8_t *out;
    uint64_t offset;         /* of out[0] */
    struct frame_ref *frame; /* the last one */
};

static int frame_for(void *ctx, const struct chunk_loc *loc, const chunk_id *id, struct frame_ref **ret,
                     struct bk_error *err)
{
    (void)id;
    struct copy *c = ctx;
    frame_ref_free(c->frame);
    c->frame = NULL;
    int r = reader_frame(c->reader, c->lane, loc, true, &c->frame, err);
    *ret = c->frame;
    return r;
}

static int copy_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct copy *c = ctx;
    return browse_copy(c->reader, c->lane, x, frame_for, c, c->out + (offset - c->offset), err);
}

int browse_read(struct reader *r, unsigned lane, const struct content *c, uint64_t offset, void *out,
                size_t len, size_t *ret_len, struct bk_error *err)
{
    size_t want = offset >= c->size ? 0 : c->size - offset < len ? (size_t)(c->size - offset) : len;
    struct copy copy = { .reader = r, .lane = lane, .out = out, .offset = offset };
    int rc = browse_extents(r, lane, c, offset, want, copy_extent, &copy, err);
    frame_ref_free(copy.frame);
    if (rc < 0)
        return rc;
    *ret_len = want;
    return 0;
}
