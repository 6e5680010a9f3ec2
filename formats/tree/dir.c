#include "formats/tree/tree.h"

int tree_dir_encode(const struct tree_dir *d, struct bk_buf *out, struct bk_error *err)
{
    if (d->depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_LIMIT, "a directory of depth %u", d->depth);
    uint8_t *to;
    int r = bk_buf_extend(out, d->depth ? 1 + CHUNK_ID : 1, &to, err);
    if (r < 0)
        return r;
    to[0] = d->depth;
    if (d->depth)
        memcpy(to + 1, d->id.b, CHUNK_ID);
    return 0;
}

int tree_dir_decode(struct bk_reader *r, struct tree_dir *ret, struct bk_error *err)
{
    *ret = (struct tree_dir){ .depth = bk_read_u8(r) };
    const uint8_t *id = ret->depth ? bk_read_raw(r, CHUNK_ID) : NULL;
    if (r->bad || ret->depth > TREE_DEPTH_MAX) {
        r->bad = true;
        return bk_fail(err, BK_E_CORRUPT, "a directory reference is malformed");
    }
    if (id)
        memcpy(ret->id.b, id, CHUNK_ID);
    return 0;
}
