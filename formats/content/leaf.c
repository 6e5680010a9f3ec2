#include "formats/content/page.h"

static int put(const struct extents *e, struct bk_buf *out, struct bk_error *err)
{
    int r = page_begin(PAGE_LEAF, out, err);
    if (r == 0)
        r = bk_buf_varint(out, e->n, err);
    for (size_t i = 0; r == 0 && i < e->n; i++)
        r = extent_put(&e->v[i], false, out, err);
    return r;
}

int content_leaf_encode(const struct extents *e, struct bk_buf *out, struct bk_error *err)
{
    if (e->n == 0 || e->n > CONTENT_LEAF_MAX)
        return bk_fail(err, BK_E_LIMIT, "a leaf page of %zu extents", e->n);
    size_t before = out->len;
    int r = put(e, out, err);
    if (r < 0)
        out->len = before;
    return r;
}

static int get(struct bk_reader *r, struct extents *ret, struct bk_error *err)
{
    int rc = page_open(PAGE_LEAF, r, err);
    if (rc < 0)
        return rc;
    size_t n = bk_read_count(r, CONTENT_LEAF_MAX, 2);
    if (n == 0)
        r->bad = true;
    struct extent x;
    for (size_t i = 0; i < n && extent_get(r, 0, &x); i++) {
        rc = extents_add(ret, &x, err);
        if (rc < 0)
            return rc == BK_E_LIMIT ? bk_fail(err, BK_E_CORRUPT, "a leaf page passes 2^63-1 bytes of content")
                                    : rc;
    }
    return bk_reader_end(r, N_("a leaf page"), err);
}

int content_leaf_decode(const void *data, size_t len, struct extents *ret, struct bk_error *err)
{
    /* Adding may lengthen the last extent; keep it to leave the list as it was after an error. */
    size_t n = ret->n;
    uint64_t sum = ret->len;
    uint64_t last_len = n ? ret->v[n - 1].len : 0;

    struct bk_reader r = bk_reader_of(data, len);
    int rc = get(&r, ret, err);
    if (rc < 0) {
        ret->n = n;
        ret->len = sum;
        if (n)
            ret->v[n - 1].len = last_len;
    }
    return rc;
}
