/* The config object: what a repository is, in clear, written once by init.
 *
 *   header | repository id 16 | created u64 s | chunker id u16 | min, average, max chunk bytes u32
 *   | segment bytes u64 | frame bytes u32 | pack bytes u32 | digest 32
 *
 * Authenticated through its digest inside the keyring. docs/formats/config.md. Any thread. */
#ifndef FORMATS_OBJECT_CONFIG_H
#define FORMATS_OBJECT_CONFIG_H

#include "formats/base/buf.h"
#include "formats/object/object.h"

enum { CONFIG_REPO_ID = 16, CONFIG_VERSION = 1 };
enum {
    CONFIG_FRAME_MIN = 4 << 10, /* bytes */
    CONFIG_FRAME_MAX = 4 << 20,
    CONFIG_PACK_MIN = 64 << 10,
    CONFIG_PACK_MAX = 1 << 30,
};
#define CONFIG_SEGMENT_MAX ((uint64_t)1 << 40)
enum config_chunker { CHUNKER_FASTCDC = 1 };

struct config {
    uint8_t repo_id[CONFIG_REPO_ID];
    enum suite_id suite;
    uint64_t created_s;
    enum config_chunker chunker;
    uint32_t chunk_min, chunk_avg, chunk_max; /* bytes */
    uint64_t segment_bytes; /* big files are cut into segments of this size, each chunked alone */
    uint32_t frame_bytes;   /* plaintext gathered into one frame */
    uint32_t pack_bytes;    /* a pack is sealed when it reaches this size */
};

/* The defaults: chunks of 32/64/256 KiB, segments of 64 MiB, frames of 512 KiB, packs of 64 MiB;
 * id, suite and time are left 0. */
void config_defaults(struct config *c);
/* USAGE when a field is out of range. */
int config_encode(const struct config *c, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* Checks ranges: 0 < min <= avg <= max <= CHUNK_MAX and so on; digest (of all before it) returned
 * to be compared with the keyring's. CORRUPT, or VERSION for an unknown chunker. */
int config_decode(const void *data, size_t len, struct config *ret, uint8_t ret_digest[static SUITE_HASH],
                  struct bk_error *err) BK_MUST_CHECK;

#endif
