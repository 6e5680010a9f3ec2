/* Whether what the parent uses may be used again. */
#include "bkd/backup/old.h"

bool old_page_holds(struct reader *r, const chunk_id *id)
{
    struct bk_error ignored = { 0 };
    return index_has(reader_index(r), id, &ignored) == 1;
}

static int extents_hold(struct reader *r, const struct extent *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == EXTENT_DATA && !old_page_holds(r, &v[i].id))
            return 0;
    return 1;
}

/* Depth falls with each level, so that recursion ends. */
static int page_holds(struct reader *r, unsigned lane, const chunk_id *id, unsigned depth,
                      struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    bk_auto(extents_clear) struct extents x = { 0 };
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    if (!old_page_holds(r, id))
        return 0;
    int e = reader_chunk(r, lane, CHUNK_META, id, &b, err);
    if (e < 0)
        return e;
    if (depth == 1) {
        e = content_leaf_decode(b.data, b.len, &x, err);
        return e < 0 ? e : extents_hold(r, x.v, x.n);
    }
    e = content_inner_decode(b.data, b.len, depth, &v, &n, err);
    if (e < 0)
        return e;
    for (size_t i = 0; i < n; i++)
        if ((e = page_holds(r, lane, &v[i].id, depth - 1, err)) != 1)
            return e;
    return 1;
}

int old_content_holds(struct reader *r, unsigned lane, const struct content *c, struct bk_error *err)
{
    struct bk_error why = { 0 };
    if (!c->depth)
        return extents_hold(r, c->inline_, c->n_inline);
    int e = page_holds(r, lane, &c->root, c->depth, &why);
    if (e < 0 && reader_is_damage(e))
        return 0;
    if (e < 0 && err)
        *err = why;
    return e;
}
