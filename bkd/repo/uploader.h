/* The uploader: threads that name sealed packs, put them, and tell the index once they are durable. One for a
 * disk; as many as a store across a network wants (struct store, parallel).
 *
 *     uploader_new -> uploader_adopt ... -> uploader_finish -> uploader_free
 *
 * Waiting packs are bounded in bytes: uploader_adopt holds its caller back. Order is the protocol: a segment
 * is put only after every pack that it names; only when the index answers for a chunk does the set of pending
 * chunks forget it. The first error is kept; what comes after it is dropped. Any thread may adopt. */
#ifndef BKD_REPO_UPLOADER_H
#define BKD_REPO_UPLOADER_H

#include "bkd/repo/index.h"
#include "bkd/repo/packer.h"
#include "bkd/repo/pending.h"

struct uploader_opts {
    struct index *index; /* all borrowed */
    struct job *job;
    struct pending *pending;
    struct packed_pool *pool;
    size_t queue_bytes;   /* one pack may always wait, however big */
    uint32_t index_every; /* entries per segment */
    unsigned n_threads;   /* packs put at once; 0: one */
};
struct uploader_totals {
    uint64_t packs, stored_bytes;
};

struct uploader;
int uploader_new(const struct uploader_opts *o, struct uploader **ret, struct bk_error *err) BK_MUST_CHECK;
void uploader_adopt(struct uploader *u, struct packed *p);
/* Cheap while all is well: 0 or the first error. */
int uploader_check(struct uploader *u, struct bk_error *err) BK_MUST_CHECK;
/* Wait for the queue, put the last segment, end the threads. 0 or the first error. */
int uploader_finish(struct uploader *u, struct bk_error *err) BK_MUST_CHECK;
void uploader_totals(const struct uploader *u, struct uploader_totals *ret);
void uploader_free(struct uploader *u); /* without finish: what waits is dropped */
BK_AUTO(struct uploader *, uploader_free)

#endif
