/* Content-defined chunking, keyed. FastCDC with normalised chunking: a gear table of 256 random
 * 64-bit words derived from the repository's chunker key, two masks around the average size.
 * Cut points depend on the bytes from the start of the segment only: deterministic for any number
 * of threads and any read size. docs/formats/chunker.md, reasons in docs/design/chunking.md.
 * Immutable after construction; any thread. */
#ifndef FORMATS_CHUNK_CHUNKER_H
#define FORMATS_CHUNK_CHUNKER_H

#include <stdbool.h>

#include "formats/crypto/keyring.h"
#include "formats/object/config.h"

struct chunker;
/* The sizes in c: 0 < min <= avg <= max <= CHUNK_MAX, else USAGE; UNSUPPORTED when its chunker is not
 * CHUNKER_FASTCDC. */
int chunker_new(const struct keyring *k, const struct config *c, struct chunker **ret,
                struct bk_error *err) BK_MUST_CHECK;
void chunker_free(struct chunker *c);
BK_AUTO(struct chunker *, chunker_free)

/* Length of the chunk that starts at data: 1..chunk_max bytes. `len` bytes are at hand (> 0);
 * at_end says that nothing follows them in the segment. Returns 0 when more data is needed to decide
 * (only when !at_end and len < chunk_max): pass at least chunk_max bytes where there are as many, so
 * that nothing is looked at twice. A rest of at most chunk_avg bytes at the end is one chunk: small
 * files are not cut. */
size_t chunker_cut(const struct chunker *c, const uint8_t *data, size_t len, bool at_end);

#endif
