#include "formats/base/wire.h"

const uint8_t *bk_read_raw(struct bk_reader *r, size_t n)
{
    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

uint8_t bk_read_u8(struct bk_reader *r)
{
    const uint8_t *p = bk_read_raw(r, 1);
    return p ? *p : 0;
}

uint16_t bk_read_u16(struct bk_reader *r)
{
    const uint8_t *p = bk_read_raw(r, 2);
    return p ? bk_get_u16(p) : 0;
}

uint32_t bk_read_u32(struct bk_reader *r)
{
    const uint8_t *p = bk_read_raw(r, 4);
    return p ? bk_get_u32(p) : 0;
}

uint64_t bk_read_u64(struct bk_reader *r)
{
    const uint8_t *p = bk_read_raw(r, 8);
    return p ? bk_get_u64(p) : 0;
}

uint64_t bk_read_varint(struct bk_reader *r)
{
    /* most are one byte, and tree entries are made of them */
    if (!r->bad && r->p != r->end && *r->p < 0x80)
        return *r->p++;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *p = bk_read_raw(r, 1);
        if (!p)
            return 0;
        if (shift == 63 && *p > 1)
            break;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

int64_t bk_read_svarint(struct bk_reader *r)
{
    uint64_t v = bk_read_varint(r);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

const uint8_t *bk_read_bytes(struct bk_reader *r, size_t ceiling, size_t *ret_len)
{
    *ret_len = 0;
    uint64_t n = bk_read_varint(r);
    if (n > ceiling) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = bk_read_raw(r, (size_t)n);
    if (p)
        *ret_len = (size_t)n;
    return p;
}

size_t bk_read_count(struct bk_reader *r, size_t ceiling, size_t each)
{
    uint64_t n = bk_read_varint(r);
    if (r->bad || n > ceiling || (each && n > bk_reader_left(r) / each)) {
        r->bad = true;
        return 0;
    }
    return (size_t)n;
}

int bk_reader_end(const struct bk_reader *r, const char *what, struct bk_error *err)
{
    if (r->bad)
        return bk_fail(err, BK_E_CORRUPT, "%s is cut short or malformed", bk_text(what));
    if (r->p != r->end)
        return bk_fail(err, BK_E_CORRUPT, "%s has %zu bytes too many", bk_text(what),
                       (size_t)(r->end - r->p));
    return 0;
}
