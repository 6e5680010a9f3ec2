/* Inside of a copy: what its parts share. For each snapshot, in this order:
 *
 *     learn.c    names that an older copy gives away: its pages beside the source's
 *     gather.c   all pages of the snapshot that are not translated: which chunks are wanted
 *     mover.c    the wanted chunks, by the order of the packs, into the target
 *     rewrite.c  the same pages again, bottom-up, with the new names
 *     losses.c   what could not be read */
#ifndef BKD_COPY_STATE_H
#define BKD_COPY_STATE_H

#include "bkd/backup/old.h"
#include "bkd/copy/copy.h"
#include "bkd/copy/losses.h"
#include "bkd/copy/mover.h"
#include "bkd/copy/pairs.h"
#include "bkd/job/pool.h"
#include "bkd/repo/idset.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/session.h"
#include "bkd/repo/writer.h"

struct copy {
    struct repo *from, *to;
    struct job *job;
    struct copy_opts o;
    struct session *held; /* in from, or NULL */
    struct catalog source, target;
    struct copied *there; /* owned; one per item of source */

    /* opened by the first copy_one */
    struct pool *pool;
    struct index *from_index;
    struct reader *from_reader; /* lanes: the pool's, then the one of this thread */
    unsigned lane;              /* of this thread */
    struct pairs *pairs;
    struct idset learned; /* pages of the source whose children are in pairs, or cannot be */

    /* of the target, as of a session */
    struct session *anchor; /* under which the index was opened; it may have ended */
    struct index *to_index;
    struct reader *to_reader;

    /* of the snapshot at hand */
    struct session *session;
    struct writer *writer;
    struct mover *mover;
    struct idset seen; /* pages that were gathered */
    struct losses losses;
    struct copy_result result;
};

struct copied {
    const struct snapshot *snap; /* in target, or own */
    struct snapshot own;         /* a copy made in this run: id, name, times and counts only */
};

/* A metadata page of the source. */
int copy_page(struct copy *c, const chunk_id *id, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* Does the code say that something cannot be read, rather than that the copy must end? */
bool copy_lost(int code);

/* learn.c: the pairs of both trees' roots and streams; p and t: a snapshot of the source and its copy. */
int learn_snapshot(struct copy *c, const struct snapshot *p, const struct snapshot *t,
                   struct bk_error *err) BK_MUST_CHECK;
/* The pages of a directory whose own pair is known; pages: of the source. */
int learn_dir(struct copy *c, const struct tree_dir *dir, const struct old_dir *pages,
              struct bk_error *err) BK_MUST_CHECK;
/* What a page names, when its own pair is known. Once per page; nothing when its copy cannot be read or is no
 * copy of it. depth: of a content page. */
int learn_tree_page(struct copy *c, const chunk_id *id, struct bk_error *err) BK_MUST_CHECK;
int learn_content_page(struct copy *c, const chunk_id *id, unsigned depth,
                       struct bk_error *err) BK_MUST_CHECK;

/* gather.c: want all chunks of s that have no pair. p: an older snapshot that was learned, or NULL. */
int gather_snapshot(struct copy *c, const struct snapshot *s, const struct snapshot *p,
                    struct bk_error *err) BK_MUST_CHECK;

/* rewrite.c: the streams of s get the names of the target, in place. */
int rewrite_snapshot(struct copy *c, struct snapshot *s, struct bk_error *err) BK_MUST_CHECK;
/* 1 when parts of it were lost, else 0. */
int rewrite_content(struct copy *c, struct content *content, struct bk_error *err) BK_MUST_CHECK;

#endif
