/* Frames: the unit of compression and encryption.
 *
 *   0   4  magic "BKF1"
 *   4   4  number of the frame in its pack
 *   8   4  stored length: bytes of the payload that follows the header, tag included
 *   12  4  raw length: bytes of plaintext after decompression
 *   16  1  codec: 0 none, 1 zstd
 *   17  1  chunk kind, or FRAME_DIRECTORY
 *   18  6  zero
 *   24  8  xxh3-64 over bytes 0..24 and the payload: anyone can check, a damaged length costs one frame
 *   32     payload: AEAD(codec(plaintext)), message number = frame number, associated data = bytes 0..24
 *
 * The plaintext of a data or metadata frame is its chunks, end to end, then their lengths as u32
 * each, then their count as u32: a frame explains itself without any directory.
 *
 * A codec holds zstd contexts and scratch: one thread. docs/formats/pack.md */
#ifndef FORMATS_PACK_FRAME_H
#define FORMATS_PACK_FRAME_H

#include "formats/base/buf.h"
#include "formats/chunk/chunk.h"

/* A frame kept raw has stored = raw + tag, a compressed one stored < raw + tag: anything else is refused. */
enum {
    FRAME_HEADER = 32,
    FRAME_MAX_CHUNKS = 65535,
    FRAME_MAX_RAW = 8 << 20,                  /* plaintext ceiling, bytes */
    FRAME_MAX_STORED = FRAME_MAX_RAW + 65536, /* payload ceiling, bytes */
    FRAME_DIRECTORY = 0x40,
};

struct frame_header {
    uint32_t number;
    uint32_t stored_len;
    uint32_t raw_len;
    uint8_t codec;
    uint8_t kind;
    uint64_t xxh3;
};

struct frame_codec;
/* level: zstd level, -7..19; 0 means store without compression */
int frame_codec_new(int level, struct frame_codec **ret, struct bk_error *err) BK_MUST_CHECK;
void frame_codec_free(struct frame_codec *c);
BK_AUTO(struct frame_codec *, frame_codec_free)

/* Seal, then look: compress (kept raw when that saves less than 3 %), encrypt, then open what was
 * made and compare it with the plaintext. The frame (header and payload) is appended to out.
 *   errors  CORRUPT  the look found a difference: the library or the memory is broken, `out` is as before
 *           NOMEM, LIMIT */
int frame_seal(struct frame_codec *c, struct suite_aead *aead, uint8_t kind, uint32_t number,
               const void *plain, size_t len, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;

/* Decode and bound-check the header; at least FRAME_HEADER bytes. CORRUPT. */
int frame_header_decode(const void *data, size_t len, struct frame_header *ret,
                        struct bk_error *err) BK_MUST_CHECK;
/* Without keys: header and xxh3 of a whole frame. CORRUPT. */
int frame_check(const void *data, size_t len, struct frame_header *ret, struct bk_error *err) BK_MUST_CHECK;

/* Open a whole frame of the expected kind and number. plain is replaced. The xxh3 is not looked at:
 * the tag says more. CORRUPT when anything does not fit: plain is then empty. */
int frame_open(struct frame_codec *c, struct suite_aead *aead, uint8_t kind, uint32_t number,
               const void *data, size_t len, struct bk_buf *plain, struct bk_error *err) BK_MUST_CHECK;

/* The chunk table at the end of a frame's plaintext. chunk `slot` is at [offset, offset+len). */
struct frame_table {
    const uint8_t *plain; /* borrowed */
    size_t plain_len;
    uint32_t n_chunks;
    const uint8_t *lengths; /* n_chunks times u32 */
};
/* CORRUPT when count and lengths do not add up exactly. */
int frame_table_decode(const void *plain, size_t len, struct frame_table *ret,
                       struct bk_error *err) BK_MUST_CHECK;
/* O(slot) walk; slot >= n_chunks is CORRUPT */
int frame_table_chunk(const struct frame_table *t, uint32_t slot, const uint8_t **ret, size_t *ret_len,
                      struct bk_error *err) BK_MUST_CHECK;
/* Append the table for chunks of these lengths to the chunk bytes already in plain. */
int frame_table_encode(struct bk_buf *plain, const uint32_t *lengths, size_t n_chunks,
                       struct bk_error *err) BK_MUST_CHECK;

#endif
