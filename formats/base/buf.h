/* A growable byte buffer that is born with a ceiling.
 *
 *     struct bk_buf b = BK_BUF(limit_bytes);  -> append ... -> bk_buf_clear
 *
 * Growth past the ceiling is LIMIT, lack of memory NOMEM; after either the buffer holds what it
 * held before. One thread. */
#ifndef FORMATS_BASE_BUF_H
#define FORMATS_BASE_BUF_H

#include <stdint.h>
#include <string.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct bk_buf {
    uint8_t *data;
    size_t len;   /* bytes in use */
    size_t cap;   /* bytes allocated */
    size_t limit; /* len never passes it */
};

#define BK_BUF(limit_bytes) ((struct bk_buf){ .limit = (limit_bytes) })

void bk_buf_clear(struct bk_buf *b); /* frees; the ceiling stays */
BK_AUTO_CLEAR(struct bk_buf, bk_buf_clear)

/* Room for n more bytes; len is unchanged. */
int bk_buf_reserve(struct bk_buf *b, size_t n, struct bk_error *err) BK_MUST_CHECK;
int bk_buf_append(struct bk_buf *b, const void *data, size_t n, struct bk_error *err) BK_MUST_CHECK;
/* n more bytes of unspecified content; *ret points at the first of them. */
int bk_buf_extend(struct bk_buf *b, size_t n, uint8_t **ret, struct bk_error *err) BK_MUST_CHECK;

/* Little-endian fields and varints (LEB128, at most 10 bytes), appended. */
int bk_buf_u8(struct bk_buf *b, uint8_t v, struct bk_error *err) BK_MUST_CHECK;
int bk_buf_u16(struct bk_buf *b, uint16_t v, struct bk_error *err) BK_MUST_CHECK;
int bk_buf_u32(struct bk_buf *b, uint32_t v, struct bk_error *err) BK_MUST_CHECK;
int bk_buf_u64(struct bk_buf *b, uint64_t v, struct bk_error *err) BK_MUST_CHECK;
int bk_buf_varint(struct bk_buf *b, uint64_t v, struct bk_error *err) BK_MUST_CHECK;
/* zigzag: small negative numbers stay short */
int bk_buf_svarint(struct bk_buf *b, int64_t v, struct bk_error *err) BK_MUST_CHECK;
/* varint length, then the bytes */
int bk_buf_bytes(struct bk_buf *b, const void *data, size_t n, struct bk_error *err) BK_MUST_CHECK;

#endif
