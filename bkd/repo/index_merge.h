/* Small segments become larger ones, so that a look-up asks few filters however many backups were made.
 *
 * Sizes form tiers, each four times the one below. Four segments of a tier become one of the next (all of the
 * tier that fit, 62 at most): an entry is written once per tier, and of each tier at most three stay,
 * beside those that have a chunk in different packs and are not merged with each other. A segment that could
 * not be doubled any more is left alone. The merged one names those that it supersedes;
 * they go after it is durable (index_superseded.h). docs/design/index.md */
#ifndef BKD_REPO_INDEX_MERGE_H
#define BKD_REPO_INDEX_MERGE_H

#include "bkd/repo/index.h"

/* Merge until no tier has a group left that may be merged, and remove what is superseded. Within a session,
 * after index_guard; while no other thread looks anything up in x. Takes up to half of the job's memory. A
 * segment that names a pack which may not be relied on is left alone: what a collector does to it must not be
 * undone.
 *
 *   ret     how many segments became how many fewer
 *   errors  NOMEM, CANCELLED. Whatever else goes wrong is logged and ends the merging: the index is as good
 *           as before, only not smaller */
int index_merge(struct index *x, struct job *j, uint64_t *ret_fewer, struct bk_error *err) BK_MUST_CHECK;

#endif
