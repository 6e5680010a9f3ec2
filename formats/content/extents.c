#include "formats/content/page.h"

void extents_clear(struct extents *e)
{
    free(e->v);
    *e = (struct extents){ 0 };
}

/* Does x go on where last ends? */
static bool continues(const struct extent *last, const struct extent *x)
{
    if (last->kind != x->kind)
        return false;
    if (x->kind != EXTENT_DATA)
        return true;
    return last->off + last->len == x->off && chunk_id_cmp(&last->id, &x->id) == 0;
}

static int grow(struct extents *e, struct bk_error *err)
{
    size_t cap = e->cap ? e->cap + e->cap / 2 : 8;
    if (cap > CONTENT_EXTENTS_MAX)
        cap = CONTENT_EXTENTS_MAX;
    if (e->n >= cap)
        return bk_fail(err, BK_E_LIMIT, "more than %d extents", CONTENT_EXTENTS_MAX);
    struct extent *v = reallocarray(e->v, cap, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu extents", cap);
    e->v = v;
    e->cap = cap;
    return 0;
}

int extents_add(struct extents *e, const struct extent *x, struct bk_error *err)
{
    const char *wrong = extent_check(x);
    if (wrong)
        return bk_fail(err, BK_E_USAGE, "add an extent of %llu bytes: %s", (unsigned long long)x->len,
                       bk_text(wrong));
    uint64_t len;
    if (__builtin_add_overflow(e->len, x->len, &len) || len > CONTENT_SIZE_MAX)
        return bk_fail(err, BK_E_LIMIT, "content passes 2^63-1 bytes");

    struct extent *last = e->n ? &e->v[e->n - 1] : NULL;
    if (last && continues(last, x)) {
        last->len += x->len;
        e->len = len;
        return 0;
    }
    if (e->n == e->cap) {
        int r = grow(e, err);
        if (r < 0)
            return r;
    }
    struct extent *to = &e->v[e->n++];
    *to = *x;
    /* What has no meaning has one value, so that equal lists compare equal. */
    if (x->kind != EXTENT_DATA) {
        to->off = 0;
        memset(to->id.b, 0, CHUNK_ID);
    }
    e->len = len;
    return 0;
}
