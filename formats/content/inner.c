#include "formats/content/page.h"

static int put(unsigned depth, const struct content_child *v, size_t n, struct bk_buf *out,
               struct bk_error *err)
{
    int r = page_begin(PAGE_INNER, out, err);
    if (r == 0)
        r = bk_buf_u8(out, (uint8_t)depth, err);
    if (r == 0)
        r = bk_buf_varint(out, n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = bk_buf_varint(out, v[i].len, err);
        if (r == 0)
            r = bk_buf_append(out, v[i].id.b, CHUNK_ID, err);
    }
    return r;
}

/* Every child holds something and all of them stay below the ceiling. */
static bool adds_up(const struct content_child *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].len == 0 || __builtin_add_overflow(sum, v[i].len, &sum) || sum > CONTENT_SIZE_MAX)
            return false;
    return true;
}

int content_inner_encode(unsigned depth, const struct content_child *v, size_t n, struct bk_buf *out,
                         struct bk_error *err)
{
    if (depth < 2 || depth > CONTENT_DEPTH_MAX || n == 0 || n > CONTENT_FANOUT || !adds_up(v, n))
        return bk_fail(err, BK_E_LIMIT, "an inner page of depth %u with %zu children", depth, n);
    size_t before = out->len;
    int r = put(depth, v, n, out, err);
    if (r < 0)
        out->len = before;
    return r;
}

int content_inner_decode(const void *data, size_t len, unsigned depth, struct content_child **ret,
                         size_t *ret_n, struct bk_error *err)
{
    struct bk_reader r = bk_reader_of(data, len);
    int rc = page_open(PAGE_INNER, &r, err);
    if (rc < 0)
        return rc;
    unsigned found = bk_read_u8(&r);
    if (found != depth || depth < 2 || depth > CONTENT_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "an inner page has depth %u where %u is due", found, depth);
    size_t n = bk_read_count(&r, CONTENT_FANOUT, 1 + CHUNK_ID);
    if (n == 0)
        return bk_fail(err, BK_E_CORRUPT, "an inner page has no or too many children");

    bk_auto(free) struct content_child *v = calloc(n, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu children", n);
    for (size_t i = 0; i < n; i++) {
        v[i].len = bk_read_varint(&r);
        const uint8_t *id = bk_read_raw(&r, CHUNK_ID);
        if (id)
            memcpy(v[i].id.b, id, CHUNK_ID);
    }
    rc = bk_reader_end(&r, N_("an inner page"), err);
    if (rc < 0)
        return rc;
    if (!adds_up(v, n))
        return bk_fail(err, BK_E_CORRUPT, "the children of an inner page do not add up");
    *ret = bk_steal(v);
    *ret_n = n;
    return 0;
}
