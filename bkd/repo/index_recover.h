/* What of the index was lost or damaged is read again from the packs themselves. For the reading side nothing
 * is written to the repository, so that one that cannot be written to restores as well.
 *
 * The segments that are built lie in files without a name (in TMPDIR, /var/tmp, or else in memory) and go
 * with the index; what stays in memory is what any segment takes. Any thread. */
#ifndef BKD_REPO_INDEX_RECOVER_H
#define BKD_REPO_INDEX_RECOVER_H

#include "bkd/repo/index.h"

/* Which packs are asked what they hold. */
enum index_ask {
    INDEX_ASK_NONE,
    INDEX_ASK_UNNAMED, /* those that no sound segment names */
    INDEX_ASK_ALL,     /* the rest as well: a segment may name a pack and lack some of its chunks */
};

/* Read every page of the index, and name again the chunks of packs, first of those that no sound segment
 * names, then of those that hold what no segment says. *ret_packs: how many packs were found to say more than
 * the index. Does nothing that was done before. A pack that cannot be read is logged and left out. errors
 * NOMEM, CANCELLED, and those of listing the store; what was recovered until then stays */
int index_recover(struct index *x, struct job *j, enum index_ask ask, uint64_t *ret_packs,
                  struct bk_error *err) BK_MUST_CHECK;

/* Whose log, memory and cancellation a recovery that a look-up starts takes; borrowed while the index lives.
 * Without one it is silent and has the default budget. */
void index_set_job(struct index *x, struct job *j);

/* What is recovered is put, for who has a session; where the store forbids it or is full, it is kept beside.
 */
void index_recovery_puts(struct index *x);

/* index_find for who reads: the first chunk that is not there, or lies behind a damaged page, has the index
 * recovered, once, and all packs asked if that did not find it (not after
 * index_adopt_packs); other look-ups wait meanwhile. Not for the
 * write path, where "not there" is usual. */
int index_locate(struct index *x, const chunk_id *id, struct chunk_loc *ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* The same when the pack that was named is not there. */
int index_locate_elsewhere(struct index *x, const chunk_id *id, const pack_name *gone, struct chunk_loc *ret,
                           struct bk_error *err) BK_MUST_CHECK;

#endif
