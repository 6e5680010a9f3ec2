/* What of the index was lost or damaged is read again from the packs themselves, for the reading side:
 * nothing is written to the repository, so that one that cannot be written to restores as well.
 *
 * The segments that are built lie in files without a name (in TMPDIR, /var/tmp, or else in memory) and go
 * with the index; what stays in memory is what any segment takes. Any thread. */
#ifndef BKD_REPO_INDEX_RECOVER_H
#define BKD_REPO_INDEX_RECOVER_H

#include "bkd/repo/index.h"

/* Read every page of the index, and name again the chunks of all packs that no sound segment names.
 * *ret_packs: how many those are. After it index_locate recovers no more. A pack that cannot be read is
 * logged and left out. errors  NOMEM, CANCELLED, and those of listing the store; what was recovered until
 * then stays */
int index_recover(struct index *x, struct job *j, uint64_t *ret_packs, struct bk_error *err) BK_MUST_CHECK;

/* Whose log, memory and cancellation a recovery that a look-up starts takes; borrowed while the index lives.
 * Without one it is silent and has the default budget. */
void index_set_job(struct index *x, struct job *j);

/* index_find for who reads: the first chunk that is not there, or lies behind a damaged page, has the index
 * recovered, once; other look-ups wait meanwhile. Not for the write path, where "not there" is usual. */
int index_locate(struct index *x, const chunk_id *id, struct chunk_loc *ret,
                 struct bk_error *err) BK_MUST_CHECK;

#endif
