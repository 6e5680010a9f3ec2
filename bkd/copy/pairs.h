/* What a chunk of the source is called in the target: source id -> target id, for data and metadata alike
 * (each kind is named under a key of its own, so that their ids never meet).
 *
 *     pairs_new -> pairs_add, pairs_find ... -> pairs_free
 *
 * A hash table, 64 bytes a slot. While it fits into the budget it lies in memory; past that it moves into a
 * file without a name (in TMPDIR or /var/tmp), of which the kernel keeps in memory what there is room for.
 * Any thread. */
#ifndef BKD_COPY_PAIRS_H
#define BKD_COPY_PAIRS_H

#include <stdbool.h>

#include "formats/chunk/chunk.h"

struct pairs;
int pairs_new(size_t memory_bytes, struct pairs **ret, struct bk_error *err) BK_MUST_CHECK;
/* The first one of an id stays. NOSPACE, IO: no place for the file; the table is as it was. */
int pairs_add(struct pairs *p, const chunk_id *from, const chunk_id *to, struct bk_error *err) BK_MUST_CHECK;
/* ret may be NULL */
bool pairs_find(struct pairs *p, const chunk_id *from, chunk_id *ret);
size_t pairs_count(struct pairs *p);
/* Bytes that lie in a file; 0 while all is in memory. */
size_t pairs_on_disk(struct pairs *p);
void pairs_free(struct pairs *p);
BK_AUTO(struct pairs *, pairs_free)

#endif
