/* Binary fuse filter, 8 bit: 1.13 bytes per key in memory, no false negatives, 0.39 % false
 * positives. Graf and Lemire 2022. Keys are the first 8 bytes of chunk ids (little-endian u64); equal keys
 * are allowed (counted once). docs/formats/index.md. A built filter is immutable; any thread. */
#ifndef FORMATS_INDEX_FUSE_H
#define FORMATS_INDEX_FUSE_H

#include <stdbool.h>

#include "formats/base/buf.h"

enum { FUSE_PARAMS = 24 };

struct fuse {
    uint64_t seed;
    uint32_t segment_length;       /* a power of two */
    uint32_t segment_count_length; /* segment_count * segment_length */
    uint32_t n_fingerprints;
    uint32_t zero;
    const uint8_t *fingerprints; /* borrowed, n_fingerprints bytes */
};

/* Build from n keys (sorted or not; 0 is fine); fingerprints are appended to out, and out->data may
 * move: set ret->fingerprints afterwards. Deterministic. Takes about 24 bytes per key while it runs,
 * 8 more when there are equal keys. NOMEM, LIMIT. */
int fuse_build(const uint64_t *keys, size_t n, struct fuse *ret, struct bk_buf *out,
               struct bk_error *err) BK_MUST_CHECK;
bool fuse_has(const struct fuse *f, uint64_t key);
/* The same in two steps, for a caller with many filters who hides their cache misses: aim computes where to
 * look and asks for that memory, hit looks. */
struct fuse_aim {
    uint32_t at[3];
    uint8_t fingerprint;
};
void fuse_aim(const struct fuse *f, uint64_t key, struct fuse_aim *ret);
bool fuse_hit(const struct fuse *f, const struct fuse_aim *a);
void fuse_encode(const struct fuse *f, uint8_t out[static FUSE_PARAMS]);
/* Checks that every probe stays inside n_fingerprints. CORRUPT. */
int fuse_decode(const uint8_t in[static FUSE_PARAMS], size_t n_fingerprints, struct fuse *ret,
                struct bk_error *err) BK_MUST_CHECK;

#endif
