/* Segments for packs that none names, or not in full, from what the packs say of themselves. */
#ifndef BKD_REPO_INDEX_ADOPT_H
#define BKD_REPO_INDEX_ADOPT_H

#include "bkd/repo/index_recover.h"
#include "bkd/repo/segment_draft.h"

/* ask: UNNAMED packs, or ALL, of which those are taken that hold a chunk which is in no segment. take: what
 * becomes of each segment, index_put_segment or index_keep_segment. Memory is bounded by the job's budget.
 * Counts packs that were taken. */
int index_adopt(struct index *x, struct job *j, enum index_ask ask, segment_draft_fn *take,
                uint64_t *ret_packs, struct bk_error *err) BK_MUST_CHECK;

#endif
