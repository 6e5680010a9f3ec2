#include "formats/content/page.h"
#include "formats/tree/entry.h"

static bool in_order(const struct tree_child *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!tree_name_valid(v[i].first, v[i].first_len))
            return false;
        if (i && !entry_name_before(v[i - 1].first, v[i - 1].first_len, v[i].first, v[i].first_len))
            return false;
    }
    return true;
}

static int put(unsigned depth, const struct tree_child *v, size_t n, struct bk_buf *out, struct bk_error *err)
{
    int r = page_begin(PAGE_INDEX, out, err);
    if (r == 0)
        r = bk_buf_u8(out, (uint8_t)depth, err);
    if (r == 0)
        r = bk_buf_varint(out, n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = bk_buf_bytes(out, v[i].first, v[i].first_len, err);
        if (r == 0)
            r = bk_buf_append(out, v[i].id.b, CHUNK_ID, err);
    }
    return r;
}

int tree_index_encode(unsigned depth, const struct tree_child *v, size_t n, struct bk_buf *out,
                      struct bk_error *err)
{
    if (depth < 2 || depth > TREE_DEPTH_MAX || n == 0 || n > TREE_FANOUT)
        return bk_fail(err, BK_E_LIMIT, "a tree index of depth %u with %zu children", depth, n);
    if (!in_order(v, n))
        return bk_fail(err, BK_E_USAGE, "the names of a tree index are not valid or not in ascending order");
    size_t before = out->len;
    int r = put(depth, v, n, out, err);
    if (r < 0)
        out->len = before;
    return r;
}

int tree_index_decode(const void *data, size_t len, unsigned depth, struct tree_child **ret, size_t *ret_n,
                      struct bk_error *err)
{
    struct bk_reader r = bk_reader_of(data, len);
    int rc = page_open(PAGE_INDEX, &r, err);
    if (rc < 0)
        return rc;
    unsigned found = bk_read_u8(&r);
    if (found != depth || depth < 2 || depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "a tree index has depth %u where %u is due", found, depth);
    size_t n = bk_read_count(&r, TREE_FANOUT, 2 + CHUNK_ID);
    if (n == 0)
        return bk_fail(err, BK_E_CORRUPT, "a tree index has no or too many children");

    bk_auto(free) struct tree_child *v = calloc(n, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu children", n);
    for (size_t i = 0; i < n; i++) {
        v[i].first = bk_read_bytes(&r, TREE_NAME_MAX, &v[i].first_len);
        const uint8_t *id = bk_read_raw(&r, CHUNK_ID);
        if (id)
            memcpy(v[i].id.b, id, CHUNK_ID);
    }
    rc = bk_reader_end(&r, N_("a tree index"), err);
    if (rc < 0)
        return rc;
    if (!in_order(v, n))
        return bk_fail(err, BK_E_CORRUPT,
                       "the names of a tree index are not valid or not in ascending order");
    *ret = bk_steal(v);
    *ret_n = n;
    return 0;
}
