/* Chunks of this run that the index does not answer for yet: a set of ids in shards with a lock each. Any
 * thread. */
#ifndef BKD_REPO_PENDING_H
#define BKD_REPO_PENDING_H

#include "formats/chunk/chunk.h"

struct pending;
int pending_new(struct pending **ret, struct bk_error *err) BK_MUST_CHECK;
void pending_free(struct pending *p);
BK_AUTO(struct pending *, pending_free)

int pending_has(struct pending *p, const chunk_id *id);
/* 1 when it was not there: of two threads that add the same id one is told so. NOMEM. */
int pending_add(struct pending *p, const chunk_id *id, struct bk_error *err) BK_MUST_CHECK;
void pending_drop(struct pending *p, const chunk_id *id);
size_t pending_count(struct pending *p);

#endif
