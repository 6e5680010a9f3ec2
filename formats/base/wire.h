/* Fields on the wire: little-endian integers, varints, and a reader that cannot overrun.
 *
 * A bk_reader walks a borrowed buffer. The first failed read sets `bad`; every later read then
 * yields 0 or NULL, so that a decoder reads all its fields and checks once at the end with
 * bk_reader_end. Lengths and counts are still checked against named ceilings by the decoder
 * before they size anything. */
#ifndef FORMATS_BASE_WIRE_H
#define FORMATS_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/base/error.h"

static inline void bk_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void bk_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void bk_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint16_t bk_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t bk_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t bk_get_u64(const uint8_t *p)
{
    return (uint64_t)bk_get_u32(p) | (uint64_t)bk_get_u32(p + 4) << 32;
}

struct bk_reader {
    const uint8_t *p;
    const uint8_t *end;
    bool bad;
};

static inline struct bk_reader bk_reader_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct bk_reader){ .p = p, .end = len ? p + len : p }; /* NULL has no sum, not even with 0 */
}

static inline size_t bk_reader_left(const struct bk_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->p);
}

/* n borrowed bytes, or NULL (and bad) if fewer are left */
const uint8_t *bk_read_raw(struct bk_reader *r, size_t n);
uint8_t bk_read_u8(struct bk_reader *r);
uint16_t bk_read_u16(struct bk_reader *r);
uint32_t bk_read_u32(struct bk_reader *r);
uint64_t bk_read_u64(struct bk_reader *r);
/* an over-long (non-minimal beyond 10 bytes, or past 64 bits) varint is bad */
uint64_t bk_read_varint(struct bk_reader *r);
int64_t bk_read_svarint(struct bk_reader *r);
/* varint length (at most `ceiling`, else bad), then that many borrowed bytes */
const uint8_t *bk_read_bytes(struct bk_reader *r, size_t ceiling, size_t *ret_len);
/* a count for `each` bytes at least per element: bad if the rest cannot hold it */
size_t bk_read_count(struct bk_reader *r, size_t ceiling, size_t each);

/* 0 when nothing went bad and nothing is left; else CORRUPT, naming `what`. */
int bk_reader_end(const struct bk_reader *r, const char *what, struct bk_error *err) BK_MUST_CHECK;

#endif
