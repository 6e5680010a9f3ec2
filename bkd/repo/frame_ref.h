/* A decoded frame, shared and counted; each chunk in it is named once. Any thread. */
#ifndef BKD_REPO_FRAME_REF_H
#define BKD_REPO_FRAME_REF_H

#include <stdatomic.h>

#include "bkd/repo/reader.h"

struct frame_ref {
    atomic_uint refs;
    const struct chunk_namer *namer; /* borrowed */
    pack_name pack;
    enum chunk_kind kind;
    uint32_t offset; /* in the pack */
    struct bk_buf plain;
    uint32_t n_chunks;
    uint32_t *starts;     /* n_chunks + 1 of them, bytes into plain */
    size_t memory_bytes;  /* all of it, for the cache */
    pthread_mutex_t lock; /* guards what follows */
    uint8_t *named;       /* a bit per slot: ids[slot] is computed */
    chunk_id *ids;
    /* the cache's own, under its lock */
    struct frame_ref *newer, *older, *chain;
};

/* plain: its contents are taken over on success. CORRUPT when the table does not add up. */
int frame_ref_adopt_plain(const struct chunk_namer *n, const struct chunk_loc *loc, struct bk_buf *plain,
                          struct frame_ref **ret, struct bk_error *err) BK_MUST_CHECK;
struct frame_ref *frame_ref_share(struct frame_ref *f);

#endif
