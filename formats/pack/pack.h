/* Packs: immutable objects that hold many frames and a directory of them.
 *
 *   header    object header (16) | epoch u32 | chunk kind u8 | 3 zero | salt 32                = 56
 *   frames    one after the other, numbered from 0
 *   directory a frame of kind FRAME_DIRECTORY, number 0xffffffff: per frame
 *             offset u32, stored bytes u32 (header included), raw bytes u32, chunk count u32, then its chunk
 * ids trailer   directory offset u64 | directory bytes u32 | frames u32 | chunks u32 | 4 zero | xxh3-64 over
 * header and the 24 bytes before u64 | magic "BKPEND01" 8                  = 40
 *
 * The key is keyring_object_key(epoch, salt, "pack"). A pack is called by the suite's hash of all
 * its bytes: data/<hex> or meta/<hex>. It has at most PACK_MAX_BYTES bytes. docs/formats/pack.md.
 * These functions are pure; an encoder belongs to one thread. */
#ifndef FORMATS_PACK_PACK_H
#define FORMATS_PACK_PACK_H

#include "formats/object/object.h"
#include "formats/pack/frame.h"

enum {
    PACK_VERSION = 1,
    PACK_HEADER = 56,
    PACK_TRAILER = 40,
    PACK_NAME = SUITE_HASH,
    /* the directory is one frame: 16 bytes per frame and 32 per chunk share FRAME_MAX_RAW */
    PACK_MAX_FRAMES = FRAME_MAX_RAW / 16,
    PACK_MAX_CHUNKS = FRAME_MAX_RAW / 32,
};
#define PACK_MAX_BYTES ((uint64_t)1 << 31)
#define PACK_DIRECTORY_NUMBER UINT32_MAX

typedef struct {
    uint8_t b[PACK_NAME];
} pack_name;

struct pack_header {
    enum suite_id suite;
    uint32_t epoch;
    enum chunk_kind kind;
    uint8_t salt[KEYRING_SALT];
};
void pack_header_encode(const struct pack_header *h, uint8_t out[static PACK_HEADER]);
int pack_header_decode(const void *data, size_t len, struct pack_header *ret,
                       struct bk_error *err) BK_MUST_CHECK;

struct pack_trailer {
    uint64_t dir_offset; /* of the directory frame's header */
    uint32_t dir_bytes;  /* header and payload */
    uint32_t n_frames;
    uint32_t n_chunks;
};
void pack_trailer_encode(const struct pack_trailer *t, const uint8_t header[static PACK_HEADER],
                         uint8_t out[static PACK_TRAILER]);
/* pack_bytes: length of the whole object, against which the offsets are checked */
int pack_trailer_decode(const uint8_t in[static PACK_TRAILER], const uint8_t header[static PACK_HEADER],
                        uint64_t pack_bytes, struct pack_trailer *ret, struct bk_error *err) BK_MUST_CHECK;

struct pack_frame {
    uint32_t offset;     /* of the frame's header, from the start of the pack */
    uint32_t stored_len; /* header and payload */
    uint32_t raw_len;
    uint32_t first_chunk; /* into pack_directory.ids */
    uint32_t n_chunks;
};
struct pack_directory {
    struct pack_frame *frames; /* owned */
    uint32_t n_frames;
    chunk_id *ids; /* owned; frame f has ids[first_chunk .. first_chunk + n_chunks) */
    uint32_t n_chunks;
};
void pack_directory_clear(struct pack_directory *d);
BK_AUTO_CLEAR(struct pack_directory, pack_directory_clear)

/* Append one frame's line; ids: n_chunks of them. Grows in place. NOMEM; LIMIT when the directory would
 * no longer fit one frame: end the pack and begin the next. After either it is as before. */
int pack_directory_add(struct pack_directory *d, uint32_t offset, uint32_t stored_len, uint32_t raw_len,
                       const chunk_id *ids, uint32_t n_chunks, struct bk_error *err) BK_MUST_CHECK;
/* Plaintext of the directory frame. */
int pack_directory_encode(const struct pack_directory *d, struct bk_buf *out,
                          struct bk_error *err) BK_MUST_CHECK;
/* Frames must follow each other without gap or overlap from PACK_HEADER to dir_offset. CORRUPT. */
int pack_directory_decode(const void *data, size_t len, const struct pack_trailer *t,
                          struct pack_directory *ret, struct bk_error *err) BK_MUST_CHECK;

/* Find frames in a damaged pack by their magic and xxh3, from *pos on. Returns 1 and sets *pos past the
 * frame and *ret_offset to it, or 0 when there are no more. Needs no keys and no directory; the directory
 * frame is found like any other. A frame inside a frame that is whole is not looked for.
 * Each false magic costs a hash of what its header claims: up to FRAME_MAX_STORED bytes. */
int pack_scan(const void *data, size_t len, size_t *pos, size_t *ret_offset, struct frame_header *ret);

#endif
