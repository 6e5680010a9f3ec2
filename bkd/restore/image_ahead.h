/* How an image looks inside; shared by image.c and image_ahead.c. */
#ifndef BKD_RESTORE_IMAGE_AHEAD_H
#define BKD_RESTORE_IMAGE_AHEAD_H

#include "bkd/job/pool.h"
#include "bkd/restore/flights.h"
#include "bkd/restore/image.h"
#include "bkd/restore/pages.h"

enum { IMAGE_STREAMS = 8, IMAGE_TOLD = 64 };

struct images {
    struct reader *reader; /* borrowed */
    struct job *job;       /* borrowed */
    struct images_opts o;
    struct pages *pages;
    struct flights flights;
    struct pool *pool;
    atomic_uint pending; /* tasks of the pool */
    atomic_bool ending;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t free_lane;
    unsigned *lanes; /* stack of those that are free */
    unsigned n_lanes;
    struct image *first;
};

/* A client that goes through the content, as far as can be told. */
struct image_stream {
    uint64_t next;  /* where its next call is expected */
    uint64_t ahead; /* up to where was read ahead */
    unsigned hits;
    uint64_t used; /* when, in calls */
};

struct image {
    struct images *set;
    struct image *sibling;
    char *name;
    struct content content;
    struct page *inline_;                 /* of a content without pages */
    pthread_mutex_t lock;                 /* guards what follows */
    struct image_stream v[IMAGE_STREAMS]; /* of all clients */
    uint64_t calls;
    uint64_t told[IMAGE_TOLD]; /* places whose damage was logged, + 1 */
    size_t n_told;
};

/* The frame of a chunk, decoded once however many ask. */
int image_frame(struct images *s, unsigned lane, const struct chunk_loc *loc, const chunk_id *id,
                struct frame_ref **ret, struct bk_error *err) BK_MUST_CHECK;
int image_walk(struct image *m, unsigned lane, uint64_t from, uint64_t to, browse_extent_fn *fn, void *ctx,
               struct bk_error *err) BK_MUST_CHECK;
/* A call was made: read ahead where it goes on from an earlier one. */
void image_follow(struct image *m, uint64_t offset, uint64_t len);

#endif
