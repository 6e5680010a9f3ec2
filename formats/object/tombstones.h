/* What a collection says: the packs that may go (tombstones/<n>), and which of them do (generation/<n>).
 *
 * Both are payloads of records. A decision refers to its list by a digest and holds one bit per line, so that
 * it is small however long the list is: it can be put where there is hardly any room left.
 * docs/formats/tombstones.md. Pure; any thread. */
#ifndef FORMATS_OBJECT_TOMBSTONES_H
#define FORMATS_OBJECT_TOMBSTONES_H

#include <stdbool.h>

#include "formats/base/buf.h"
#include "formats/pack/pack.h"

enum { TOMBSTONES_MAX = 1 << 20 }; /* packs of one list */

enum tombstone_why {
    TOMBSTONE_UNNEEDED = 0, /* no snapshot needs anything in it */
    TOMBSTONE_MOVED = 1,    /* what snapshots need of it was read, verified, and lies elsewhere as well; or an
                               earlier decision gave it up, and the store has it locked still */
};
struct tombstone {
    enum chunk_kind kind;
    enum tombstone_why why;
    pack_name name;
};
struct tombstones {
    uint64_t n;          /* the generation */
    struct tombstone *v; /* owned; ascending by tombstone_cmp, each once */
    size_t count;
};
void tombstones_clear(struct tombstones *t);
BK_AUTO_CLEAR(struct tombstones, tombstones_clear)
/* By kind, then by name. */
int tombstone_cmp(const struct tombstone *a, const struct tombstone *b);
/* Where the pack is in the list, or SIZE_MAX. */
size_t tombstones_find(const struct tombstones *t, enum chunk_kind kind, const pack_name *name);
/* encode: USAGE when the list is not in order, LIMIT past TOMBSTONES_MAX; out keeps its length on any error.
 * decode: CORRUPT for what encode would not have written; *ret is set on success only. */
int tombstones_encode(const struct tombstones *t, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int tombstones_decode(const void *data, size_t len, struct tombstones *ret,
                      struct bk_error *err) BK_MUST_CHECK;

/* The decision. count 0: nothing goes, whatever the list says. */
struct generation {
    uint64_t n;
    uint32_t count;             /* lines of the list that it decides about */
    uint8_t digest[SUITE_HASH]; /* of the list's payload; zero when count is 0 */
    uint8_t *doomed;            /* owned: a bit per line, the lowest bit of byte 0 first */
};
void generation_clear(struct generation *g);
BK_AUTO_CLEAR(struct generation, generation_clear)
static inline bool generation_dooms(const struct generation *g, size_t line)
{
    return line < g->count && (g->doomed[line / 8] >> (line % 8) & 1);
}
int generation_encode(const struct generation *g, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int generation_decode(const void *data, size_t len, struct generation *ret,
                      struct bk_error *err) BK_MUST_CHECK;

#endif
