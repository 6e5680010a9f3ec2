/* The chunks that snapshots need: a set of ids that fits its memory, however many there are.
 *
 *     chunk_set_init -> chunk_set_add ... -> (chunk_set_load, chunk_set_take ...) per part -> chunk_set_clear
 *
 * Ids are hashes: the set is cut into parts by their first bits. One part is kept in memory as it grows. With
 * more, ids are written to a file without a name for each, and come back part by part. The first 126 bits of
 * an id stand for it. One thread. */
#ifndef BKD_LIFE_CHUNK_SET_H
#define BKD_LIFE_CHUNK_SET_H

#include <stdbool.h>

#include "formats/chunk/chunk.h"

struct chunk_part {
    int fd; /* -1: none yet */
    uint64_t n;
    uint8_t *buf; /* owned */
    size_t used;  /* bytes of buf */
};
struct chunk_set {
    uint64_t (*v)[2]; /* owned; the lowest bits of [1]: taken, twice */
    size_t n, cap, n_taken;
    size_t memory_bytes;
    unsigned bits;            /* 1 << bits parts */
    struct chunk_part *parts; /* owned; NULL with one part */
    uint64_t recent[4096][2]; /* ids that were added last, to write each less often */
};
/* expected: ids at most. LIMIT when the memory is too little for any number of parts. */
int chunk_set_init(struct chunk_set *s, size_t memory_bytes, uint64_t expected,
                   struct bk_error *err) BK_MUST_CHECK;
void chunk_set_clear(struct chunk_set *s);
BK_AUTO_CLEAR(struct chunk_set, chunk_set_clear)
int chunk_set_add(struct chunk_set *s, const chunk_id *id, struct bk_error *err) BK_MUST_CHECK;

static inline unsigned chunk_set_parts(const struct chunk_set *s)
{
    return 1u << s->bits;
}
/* Have a part in memory, nothing taken. Nothing may be added after it. */
int chunk_set_load(struct chunk_set *s, unsigned part, struct bk_error *err) BK_MUST_CHECK;
/* Is an id of the loaded part? */
static inline bool chunk_set_in_part(const struct chunk_set *s, unsigned part, const chunk_id *id)
{
    return !s->bits || (unsigned)(id->b[0] << 8 | id->b[1]) >> (16 - s->bits) == part;
}
enum chunk_taken { CHUNK_NOT_NEEDED = 0, CHUNK_FIRST, CHUNK_AGAIN };
/* take: the first call for an id says FIRST, later ones AGAIN. */
enum chunk_taken chunk_set_take(struct chunk_set *s, const chunk_id *id);
bool chunk_set_has(const struct chunk_set *s, const chunk_id *id);
/* Did take ever say AGAIN for it? A part that was loaded anew has forgotten that: with several, true for all.
 */
bool chunk_set_was_twice(const struct chunk_set *s, const chunk_id *id);
bool chunk_set_is_taken(const struct chunk_set *s, const chunk_id *id);
/* Of the loaded part: needed ids that nobody took. */
static inline size_t chunk_set_missing(const struct chunk_set *s)
{
    return s->n - s->n_taken;
}

#endif
