#include "bkd/backup/leaves.h"

#include <errno.h>

static int add(struct leaves *l, uint64_t from, uint64_t len, const chunk_id *id, struct bk_error *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct leaf *v = reallocarray(l->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list %zu pages of a disk", cap);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (struct leaf){ .from = from, .len = len, .id = *id };
    return 0;
}

/* Depth falls with each level, so that recursion ends. */
static int add_below(struct leaves *l, struct reader *r, unsigned lane, unsigned depth, const chunk_id *id,
                     uint64_t from, uint64_t len, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    if (depth == 1)
        return add(l, from, len, id, err);
    int e = reader_chunk(r, lane, CHUNK_META, id, &page, err);
    if (e == 0)
        e = content_inner_decode(page.data, page.len, depth, &v, &n, err);
    uint64_t at = from, end = from + len;
    for (size_t i = 0; i < n && e == 0; i++) {
        if (v[i].len > end - at)
            return bk_fail(err, BK_E_CORRUPT, "a page of a disk holds more than its parent says");
        e = add_below(l, r, lane, depth - 1, &v[i].id, at, v[i].len, err);
        at += v[i].len;
    }
    if (e == 0 && at != end)
        e = bk_fail(err, BK_E_CORRUPT, "a page of a disk holds less than its parent says");
    return e;
}

int leaves_open(struct reader *r, unsigned lane, const struct content *c, struct leaves *ret,
                struct bk_error *err)
{
    bk_auto(leaves_close) struct leaves l = { .content = *c };
    int e = 0;
    if (c->depth)
        e = add_below(&l, r, lane, c->depth, &c->root, 0, c->size, err);
    else if (c->size)
        e = add(&l, 0, c->size, &(chunk_id){ 0 }, err);
    if (e < 0)
        return e;
    *ret = l;
    l = (struct leaves){ 0 };
    return 0;
}

void leaves_close(struct leaves *l)
{
    free(l->v);
    *l = (struct leaves){ 0 };
}

size_t leaves_find(const struct leaves *l, uint64_t at)
{
    size_t low = 0, high = l->n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (l->v[mid].from <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* What of the extents lies in [from, to); the first one starts at `at`. */
static int add_clipped(const struct extent *v, size_t n, uint64_t at, uint64_t from, uint64_t to,
                       struct extents *ret, struct bk_error *err)
{
    int e = 0;
    for (size_t i = 0; i < n && at < to && e == 0; i++) {
        struct extent x = v[i];
        uint64_t start = at, end = at + x.len;
        at = end;
        if (end <= from)
            continue;
        if (start < from) {
            if (x.kind == EXTENT_DATA)
                x.off += (uint32_t)(from - start);
            x.len -= from - start;
        }
        if (end > to)
            x.len -= end - to;
        e = extents_add(ret, &x, err);
    }
    return e;
}

int leaves_extents(struct reader *r, unsigned lane, const struct leaves *l, uint64_t from, uint64_t to,
                   struct extents *ret, struct bk_error *err)
{
    const struct content *c = &l->content;
    if (!c->depth)
        return add_clipped(c->inline_, c->n_inline, 0, from, to, ret, err);
    for (size_t i = leaves_find(l, from); i < l->n && l->v[i].from < to; i++) {
        bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
        bk_auto(extents_clear) struct extents x = { 0 };
        int e = reader_chunk(r, lane, CHUNK_META, &l->v[i].id, &page, err);
        if (e == 0)
            e = content_leaf_decode(page.data, page.len, &x, err);
        if (e == 0 && x.len != l->v[i].len)
            e = bk_fail(err, BK_E_CORRUPT, "a page of a disk holds other than the length its parent says");
        if (e == 0)
            e = add_clipped(x.v, x.n, l->v[i].from, from, to, ret, err);
        if (e < 0)
            return e;
    }
    return 0;
}
