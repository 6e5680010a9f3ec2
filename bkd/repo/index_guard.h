/* What a writer may not rely on: packs that a collector is about to delete, and packs that are not there.
 *
 *     session_open, index_open -> index_guard -> index_adopt_packs, look-ups
 *
 * From then on index_has does not know chunks that lie in such packs only; index_find and
 * index_find_elsewhere name such a place last, and say so (chunk_loc.shunned): for reading it may still do.
 * No such pack is adopted. Segments that others put later are taken as far as they name packs that were there
 * at the guard; one's own are taken whole. docs/design/protocol.md */
#ifndef BKD_REPO_INDEX_GUARD_H
#define BKD_REPO_INDEX_GUARD_H

#include "bkd/repo/collection.h"
#include "bkd/repo/index.h"

/* Once, before other threads look. c: borrowed while the index lives; of a session that was put before the
 * index was opened. Lists all packs. */
int index_guard(struct index *x, const struct collection *c, struct bk_error *err) BK_MUST_CHECK;

/* A pack as it was listed. */
struct guarded_pack {
    pack_name name;
    enum chunk_kind kind;
    uint64_t bytes;
};
int guarded_pack_cmp(const void *a, const void *b);
/* Of the listing, by kind and name; NULL without a guard. */
const struct guarded_pack *index_guarded_packs(const struct index *x, size_t *ret_n);
/* Is it there, and not about to go? Without a guard: yes. */
bool index_trusts(const struct index *x, enum chunk_kind kind, const pack_name *name);

#endif
