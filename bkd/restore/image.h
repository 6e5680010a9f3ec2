/* Contents at random places, for many threads at once: what is served as a disk.
 *
 *     images_new -> image_new ... -> image_read | image_extents | image_ahead (any thread) -> images_free
 *
 * A call takes a lane of the reader and waits while none is free. Extent pages stay decoded (pages.h), a
 * frame that two calls need is decoded once (flights.h), and where calls follow each other through the
 * content, workers decode what comes next. Memory: the reader's cache, the pages', a frame or two for each
 * caller, and for each worker what a run of neighbouring frames takes, some ahead_unit. docs/design/nbd.md */
#ifndef BKD_RESTORE_IMAGE_H
#define BKD_RESTORE_IMAGE_H

#include "bkd/job/job.h"
#include "bkd/restore/browse.h"

struct images_opts {
    unsigned n_workers;  /* read ahead; they have the lanes from 0 on */
    unsigned n_callers;  /* how many calls read at once; the lanes after those */
    size_t page_bytes;   /* decoded extent pages to keep */
    uint64_t ahead;      /* how far to read ahead, bytes of content; 0: not at all */
    uint64_t ahead_unit; /* what a worker takes at once */
};
/* What suits the repository's store and the job's budget; the reader then has this many lanes. */
void images_suit(const struct repo *repo, const struct job *j, struct images_opts *ret);
static inline unsigned images_lanes(const struct images_opts *o)
{
    return o->n_workers + o->n_callers;
}

struct images;
/* The reader and the job are borrowed. Damage is told to the job's log, each place once. */
int images_new(struct reader *r, struct job *j, const struct images_opts *o, struct images **ret,
               struct bk_error *err) BK_MUST_CHECK;
void images_free(struct images *s); /* with its images; no call is under way */
BK_AUTO(struct images *, images_free)

/* Owned by the images. name: for people. errors NOMEM, CORRUPT */
struct image;
int image_new(struct images *s, const struct content *c, const char *name, struct image **ret,
              struct bk_error *err) BK_MUST_CHECK;
uint64_t image_size(const struct image *m);
/* Exactly len bytes, which lie within the content: USAGE. After any other error out holds what is no content.
 * errors: of reader_frame; damage names the bytes that it hits */
int image_read(struct image *m, uint64_t offset, void *out, size_t len, struct bk_error *err) BK_MUST_CHECK;
/* As browse_extents. */
int image_extents(struct image *m, uint64_t offset, uint64_t len, browse_extent_fn *fn, void *ctx,
                  struct bk_error *err) BK_MUST_CHECK;
/* These bytes are wanted soon. Does nothing when the workers have enough to do. */
void image_ahead(struct image *m, uint64_t offset, uint64_t len);

#endif
