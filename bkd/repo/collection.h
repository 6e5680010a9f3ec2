/* What the collector has published, as others see it: docs/formats/tombstones.md, docs/design/protocol.md.
 *
 *     collection_read -> collection_shuns ... -> collection_clear
 *
 * Immutable once read; any thread. */
#ifndef BKD_REPO_COLLECTION_H
#define BKD_REPO_COLLECTION_H

#include "bkd/repo/repo.h"
#include "formats/object/tombstones.h"

enum collection_state {
    COLLECTION_NONE = 0, /* nothing was ever collected */
    COLLECTION_UNDECIDED,
    COLLECTION_DECIDED,
    COLLECTION_UNKNOWN, /* something is there and cannot be read: no pack may be relied on */
};
struct collection {
    uint64_t n; /* the repository's generation */
    enum collection_state state;
    bool list_lost;             /* UNKNOWN: it is the list that cannot be read */
    struct tombstones list;     /* UNDECIDED and DECIDED; empty when the decision says that nothing goes */
    struct generation decision; /* DECIDED */
};
/* The highest one. The errors of listing and reading; damage is COLLECTION_UNKNOWN and no error. */
int collection_read(struct repo *r, struct collection *ret, struct bk_error *err) BK_MUST_CHECK;
void collection_clear(struct collection *c);
BK_AUTO_CLEAR(struct collection, collection_clear)
/* May a writer not rely on the pack? */
bool collection_shuns(const struct collection *c, enum chunk_kind kind, const pack_name *name);
/* Only the number. */
int collection_generation(struct repo *r, uint64_t *ret, struct bk_error *err) BK_MUST_CHECK;

void collection_list_path(uint64_t n, char out[static REPO_PATH]);
void collection_decision_path(uint64_t n, char out[static REPO_PATH]);
/* The number in such a name: 1, or 0 when there is none that we would write. */
int collection_number(const char *name, const char *prefix, uint64_t *ret);

#endif
