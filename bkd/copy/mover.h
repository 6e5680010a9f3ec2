/* Chunks out of one repository into another: wanted in any order, read in the order of the packs.
 *
 *     mover_new -> mover_want ... mover_wait -> mover_free
 *
 * Wanted chunks gather in a window. A full one is sorted by pack and offset, cut into runs of neighbouring
 * frames and given to the pool, while the next one fills; every frame is read and decoded once per window.
 * What was moved has a pair; what has none after mover_wait cannot be read. want and wait belong to one
 * thread. */
#ifndef BKD_COPY_MOVER_H
#define BKD_COPY_MOVER_H

#include "bkd/copy/pairs.h"
#include "bkd/job/job.h"
#include "bkd/job/pool.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"

struct mover;
struct mover_opts {      /* all borrowed */
    struct reader *from; /* its lanes 0.. are the pool's */
    struct writer *to;   /* the same */
    struct pairs *pairs;
    struct pool *pool;
    struct job *job;
    size_t window; /* chunks */
};
int mover_new(const struct mover_opts *o, struct mover **ret, struct bk_error *err) BK_MUST_CHECK;
/* A data chunk. Nothing is done for one that has a pair. Errors are the target's, and the source's that are
 * no damage. */
int mover_want(struct mover *m, const chunk_id *id, struct bk_error *err) BK_MUST_CHECK;
/* All are moved, or lost. */
int mover_wait(struct mover *m, struct bk_error *err) BK_MUST_CHECK;
struct mover_totals {
    uint64_t chunks, frames;
    uint64_t read_bytes; /* of frames */
    uint64_t lost;       /* chunks */
};
void mover_totals(const struct mover *m, struct mover_totals *ret);
void mover_free(struct mover *m); /* waits */
BK_AUTO(struct mover *, mover_free)

#endif
