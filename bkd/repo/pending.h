/* Chunks of this run that the index does not answer for yet: a set of ids in shards with a lock each. Any
 * thread. */
#ifndef BKD_REPO_PENDING_H
#define BKD_REPO_PENDING_H

#include "formats/chunk/chunk.h"

struct pending;
int pending_new(struct pending **ret, struct bk_error *err) BK_MUST_CHECK;
void pending_free(struct pending *p);
BK_AUTO(struct pending *, pending_free)

/* ret_drops, here and below, may be NULL: how often something was dropped from the id's part of the set. Who
 * asked the index between two calls that tell the same number missed nothing that went from here to there. */
int pending_has(struct pending *p, const chunk_id *id, uint64_t *ret_drops);
/* 1 when it was not there: of two threads that add the same id one is told so. NOMEM. */
int pending_add(struct pending *p, const chunk_id *id, uint64_t *ret_drops,
                struct bk_error *err) BK_MUST_CHECK;
void pending_drop(struct pending *p, const chunk_id *id);
size_t pending_count(struct pending *p);

#endif
