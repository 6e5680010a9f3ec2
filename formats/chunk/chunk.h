/* Chunks: the unit of deduplication. A chunk is named by the keyed hash of its plaintext,
 * HMAC(HKDF(HKDF(root, "chunk-id"), kind), data) with the suite's hash. Each kind has a key of its own,
 * so that file data can never pose as metadata, and data is hashed where it lies. docs/formats/chunk.md. */
#ifndef FORMATS_CHUNK_CHUNK_H
#define FORMATS_CHUNK_CHUNK_H

#include <string.h>

#include "formats/crypto/keyring.h"

enum {
    CHUNK_ID = 32,       /* bytes of an id */
    CHUNK_MAX = 4 << 20, /* bytes of plaintext of one chunk, any kind */
};
enum chunk_kind { CHUNK_DATA = 0, CHUNK_META = 1 };
enum { CHUNK_KINDS = 2 };

typedef struct {
    uint8_t b[CHUNK_ID];
} chunk_id;

static inline int chunk_id_cmp(const chunk_id *a, const chunk_id *b)
{
    return memcmp(a->b, b->b, CHUNK_ID);
}

/* Computes ids; immutable, any thread.  chunk_namer_new -> chunk_name ... -> chunk_namer_free */
struct chunk_namer;
int chunk_namer_new(const struct keyring *k, struct chunk_namer **ret, struct bk_error *err) BK_MUST_CHECK;
/* data: len bytes, 0..CHUNK_MAX (LIMIT above); *ret is set on success only */
int chunk_name(const struct chunk_namer *n, enum chunk_kind kind, const void *data, size_t len, chunk_id *ret,
               struct bk_error *err) BK_MUST_CHECK;
/* Name n chunks of one kind. Faster than one by one. */
int chunk_name_many(const struct chunk_namer *c, enum chunk_kind kind, const struct suite_piece *chunks,
                    size_t n, chunk_id *ret, struct bk_error *err) BK_MUST_CHECK;
void chunk_namer_free(struct chunk_namer *n);
BK_AUTO(struct chunk_namer *, chunk_namer_free)

#endif
