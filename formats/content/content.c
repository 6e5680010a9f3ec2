#include "formats/content/page.h"

/* The first byte: 0..CONTENT_INLINE_MAX extents inline, or DEPTH + the depth. */
enum { DEPTH = 0x10 };

static const char *check(const struct content *c)
{
    if (c->size > CONTENT_SIZE_MAX)
        return N_("content is too long");
    if (c->depth)
        return c->depth > CONTENT_DEPTH_MAX ? N_("content is too deep")
               : c->size == 0               ? N_("empty content has pages")
                                            : NULL;
    if (c->n_inline > CONTENT_INLINE_MAX)
        return N_("content has too many extents inline");
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->n_inline; i++) {
        const char *wrong = extent_check(&c->inline_[i]);
        if (wrong)
            return wrong;
        if (__builtin_add_overflow(sum, c->inline_[i].len, &sum))
            return N_("content is too long");
    }
    return sum == c->size ? NULL : N_("the extents do not add up to the size");
}

static int put(const struct content *c, struct bk_buf *out, struct bk_error *err)
{
    int r = bk_buf_u8(out, (uint8_t)(c->depth ? DEPTH + c->depth : c->n_inline), err);
    if (r == 0)
        r = bk_buf_varint(out, c->size, err);
    if (r == 0 && c->depth)
        return bk_buf_append(out, c->root.b, CHUNK_ID, err);
    for (unsigned i = 0; r == 0 && i < c->n_inline; i++)
        r = extent_put(&c->inline_[i], i + 1 == c->n_inline, out, err);
    return r;
}

int content_encode(const struct content *c, struct bk_buf *out, struct bk_error *err)
{
    const char *wrong = check(c);
    if (wrong)
        return bk_fail(err, BK_E_USAGE, "encode content of %llu bytes: %s", (unsigned long long)c->size,
                       bk_text(wrong));
    size_t before = out->len;
    int r = put(c, out, err);
    if (r < 0)
        out->len = before;
    return r;
}

/* The extents of depth 0; what they leave of the size, 0 when they add up. */
static uint64_t get_inline(struct bk_reader *r, struct content *c)
{
    uint64_t left = c->size;
    for (unsigned i = 0; i < c->n_inline; i++) {
        struct extent *x = &c->inline_[i];
        if (!extent_get(r, i + 1 == c->n_inline ? left : 0, x) || x->len > left)
            return UINT64_MAX;
        left -= x->len;
    }
    return left;
}

int content_decode(struct bk_reader *r, struct content *ret, struct bk_error *err)
{
    unsigned head = bk_read_u8(r);
    ret->size = bk_read_varint(r);
    ret->depth = 0;
    ret->n_inline = 0;
    memset(ret->root.b, 0, CHUNK_ID);
    uint64_t left = 0;
    if (head <= CONTENT_INLINE_MAX) {
        ret->n_inline = (uint8_t)head;
        left = get_inline(r, ret);
    } else if (head > DEPTH && head <= DEPTH + CONTENT_DEPTH_MAX && ret->size) {
        ret->depth = (uint8_t)(head - DEPTH);
        const uint8_t *id = bk_read_raw(r, CHUNK_ID);
        if (id)
            memcpy(ret->root.b, id, CHUNK_ID);
    } else {
        left = UINT64_MAX;
    }
    if (r->bad || left || ret->size > CONTENT_SIZE_MAX) {
        r->bad = true;
        return bk_fail(err, BK_E_CORRUPT, "content is malformed");
    }
    return 0;
}
