/* Content in order, read ahead: extents go in, their bytes come out in the same order on the same thread,
 * while workers decode what follows. Memory is two windows, whatever the length.
 *
 *     feed_new -> feed_mark | feed_extent ... -> feed_finish -> feed_free
 *
 * An error of a callback ends everything and is returned by the call that delivered. One thread. */
#ifndef BKD_RESTORE_FEED_H
#define BKD_RESTORE_FEED_H

#include "bkd/job/job.h"
#include "bkd/job/pool.h"
#include "bkd/repo/reader.h"
#include "formats/content/content.h"

struct feed_ops {
    void *ctx;
    int (*mark)(void *ctx, void *mark, struct bk_error *err); /* takes the mark over */
    void (*drop)(void *ctx, void *mark);                      /* a mark that is never delivered */
    int (*data)(void *ctx, const uint8_t *p, size_t len, struct bk_error *err);
    int (*zero)(void *ctx, uint64_t len, struct bk_error *err); /* a hole or zeroes */
    int (*damage)(void *ctx, uint64_t len, const struct bk_error *why,
                  struct bk_error *err); /* bytes that cannot be had */
};

struct feed;
int feed_new(struct reader *r, struct pool *pool, struct job *j, const struct feed_ops *ops,
             size_t window_bytes, struct feed **ret, struct bk_error *err) BK_MUST_CHECK;
/* Delivered between the extents that were added before and after. On an error the mark stays the caller's. */
int feed_mark(struct feed *f, void *mark, struct bk_error *err) BK_MUST_CHECK;
int feed_extent(struct feed *f, const struct extent *x, struct bk_error *err) BK_MUST_CHECK;
/* All the extents of some content; pages of it that cannot be read are damage. */
int feed_content(struct feed *f, const struct content *c, struct bk_error *err) BK_MUST_CHECK;
int feed_finish(struct feed *f, struct bk_error *err) BK_MUST_CHECK;
void feed_free(struct feed *f);
BK_AUTO(struct feed *, feed_free)

#endif
