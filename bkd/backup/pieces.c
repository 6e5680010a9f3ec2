#include "bkd/backup/pieces.h"

#include <errno.h>

void pieces_clear(struct pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].few);
    free(p->v);
    *p = (struct pieces){ 0 };
}

static int room(struct pieces *p, size_t more, struct bk_error *err)
{
    if (p->n + more <= p->cap)
        return 0;
    size_t cap = p->cap * 2 > p->n + more ? p->cap * 2 : p->n + more;
    struct piece *v = reallocarray(p->v, cap, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "keep %zu segments", cap);
    p->v = v;
    p->cap = cap;
    return 0;
}

static int put_leaf(struct sink *s, unsigned lane, const struct extents *x, chunk_id *ret,
                    struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    int r = content_leaf_encode(x, &page, err);
    return r < 0 ? r : sink_put(s, lane, CHUNK_META, page.data, page.len, ret, err);
}

int pieces_add(struct pieces *p, struct sink *s, unsigned lane, struct extents *x, struct bk_error *err)
{
    if (!x->n)
        return 0;
    int r = room(p, 1, err);
    if (r < 0)
        return r;
    struct piece *e = &p->v[p->n];
    *e = (struct piece){ .len = x->len };
    if (x->n > CONTENT_INLINE_MAX) {
        r = put_leaf(s, lane, x, &e->leaf, err);
        if (r < 0)
            return r;
    } else {
        e->few = malloc(x->n * sizeof *e->few);
        if (!e->few)
            return bk_fail_errno(err, ENOMEM, "keep a segment");
        memcpy(e->few, x->v, x->n * sizeof *e->few);
        e->n_few = x->n;
    }
    p->n++;
    x->n = 0;
    x->len = 0;
    return 0;
}

int pieces_append(struct pieces *p, struct pieces *more, struct bk_error *err)
{
    int r = room(p, more->n, err);
    if (r < 0)
        return r;
    if (more->n)
        memcpy(p->v + p->n, more->v, more->n * sizeof *p->v);
    p->n += more->n;
    more->n = 0;
    return 0;
}

/* 1 and the extents when all of them fit inline. Neighbouring holes merge, so pieces of one hole each may
 * well do. */
static int join_inline(const struct pieces *p, struct content *ret, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 };
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].few)
            return 0;
        for (size_t k = 0; k < p->v[i].n_few; k++) {
            int r = extents_add(&x, &p->v[i].few[k], err);
            if (r < 0)
                return r;
        }
        if (x.n > CONTENT_INLINE_MAX)
            return 0;
    }
    *ret = (struct content){ .size = x.len, .n_inline = (uint8_t)x.n };
    if (x.n)
        memcpy(ret->inline_, x.v, x.n * sizeof *x.v);
    return 1;
}

static int children_of(struct pieces *p, struct sink *s, unsigned lane, struct content_child *v,
                       struct bk_error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        struct piece *e = &p->v[i];
        if (e->few) {
            struct extents x = { .v = e->few, .n = e->n_few, .cap = e->n_few, .len = e->len };
            int r = put_leaf(s, lane, &x, &e->leaf, err);
            if (r < 0)
                return r;
        }
        v[i] = (struct content_child){ .len = e->len, .id = e->leaf };
    }
    return 0;
}

/* One level up: n children become the returned number of inner pages, in place. */
static int put_level(struct sink *s, unsigned lane, unsigned depth, struct content_child *v, size_t n,
                     size_t *ret_n, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    size_t out = 0;
    for (size_t i = 0; i < n; i += CONTENT_FANOUT) {
        size_t k = n - i < CONTENT_FANOUT ? n - i : CONTENT_FANOUT;
        struct content_child up = { 0 };
        for (size_t j = i; j < i + k; j++)
            up.len += v[j].len;
        page.len = 0;
        int r = content_inner_encode(depth, v + i, k, &page, err);
        if (r == 0)
            r = sink_put(s, lane, CHUNK_META, page.data, page.len, &up.id, err);
        if (r < 0)
            return r;
        v[out++] = up;
    }
    *ret_n = out;
    return 0;
}

int pieces_join(struct pieces *p, struct sink *s, unsigned lane, struct content *ret, struct bk_error *err)
{
    int r = join_inline(p, ret, err);
    if (r)
        return r < 0 ? r : 0;
    bk_auto(free) struct content_child *v = malloc(p->n * sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "content of %zu segments", p->n);
    r = children_of(p, s, lane, v, err);
    if (r < 0)
        return r;
    struct content c = { .depth = 1 };
    for (size_t i = 0; i < p->n; i++)
        if (__builtin_add_overflow(c.size, v[i].len, &c.size))
            return bk_fail(err, BK_E_LIMIT, "content passes 2^64 bytes");
    for (size_t n = p->n; n > 1;) {
        if (++c.depth > CONTENT_DEPTH_MAX)
            return bk_fail(err, BK_E_LIMIT, "content of %zu segments", p->n);
        r = put_level(s, lane, c.depth, v, n, &n, err);
        if (r < 0)
            return r;
    }
    c.root = v[0].id;
    *ret = c;
    return 0;
}
