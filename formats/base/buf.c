#include "formats/base/buf.h"

#include "formats/base/wire.h"

void bk_buf_clear(struct bk_buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

int bk_buf_reserve(struct bk_buf *b, size_t n, struct bk_error *err)
{
    size_t want;
    if (__builtin_add_overflow(b->len, n, &want) || want > b->limit)
        return bk_fail(err, BK_E_LIMIT, "a buffer would pass %zu bytes", b->limit);
    if (want <= b->cap)
        return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < want)
        cap += cap / 2;
    if (cap > b->limit)
        cap = b->limit;
    uint8_t *p = realloc(b->data, cap);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu bytes", cap);
    b->data = p;
    b->cap = cap;
    return 0;
}

int bk_buf_extend(struct bk_buf *b, size_t n, uint8_t **ret, struct bk_error *err)
{
    int r = bk_buf_reserve(b, n, err);
    if (r < 0)
        return r;
    *ret = b->data ? b->data + b->len : NULL; /* none yet, and n is 0 */
    b->len += n;
    return 0;
}

int bk_buf_append(struct bk_buf *b, const void *data, size_t n, struct bk_error *err)
{
    int r = bk_buf_reserve(b, n, err);
    if (r < 0)
        return r;
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    return 0;
}

int bk_buf_u8(struct bk_buf *b, uint8_t v, struct bk_error *err)
{
    return bk_buf_append(b, &v, 1, err);
}

int bk_buf_u16(struct bk_buf *b, uint16_t v, struct bk_error *err)
{
    uint8_t t[2];
    bk_put_u16(t, v);
    return bk_buf_append(b, t, sizeof t, err);
}

int bk_buf_u32(struct bk_buf *b, uint32_t v, struct bk_error *err)
{
    uint8_t t[4];
    bk_put_u32(t, v);
    return bk_buf_append(b, t, sizeof t, err);
}

int bk_buf_u64(struct bk_buf *b, uint64_t v, struct bk_error *err)
{
    uint8_t t[8];
    bk_put_u64(t, v);
    return bk_buf_append(b, t, sizeof t, err);
}

int bk_buf_varint(struct bk_buf *b, uint64_t v, struct bk_error *err)
{
    uint8_t t[10];
    size_t n = 0;
    do {
        t[n] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
        n++;
    } while (v);
    return bk_buf_append(b, t, n, err);
}

int bk_buf_svarint(struct bk_buf *b, int64_t v, struct bk_error *err)
{
    return bk_buf_varint(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0), err);
}

int bk_buf_bytes(struct bk_buf *b, const void *data, size_t n, struct bk_error *err)
{
    size_t before = b->len;
    int r = bk_buf_varint(b, n, err);
    if (r < 0)
        return r;
    r = bk_buf_append(b, data, n, err);
    if (r < 0)
        b->len = before;
    return r;
}
