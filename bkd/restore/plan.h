/* Planned reading: extents in, in any order; their bytes out, in the order of the packs.
 *
 *     plan_new -> plan_add | plan_add_bare ... plan_submit -> plan_wait -> plan_free
 *
 * Items gather in a window. A submitted window is sorted by pack and offset, cut into units of neighbouring
 * frames and handed to the pool; every frame is read and decoded once per window and given to all its
 * destinations. One window is filled while the others are worked on. Units start in the order they were made,
 * whatever the order of the pool.
 *
 * add, submit and wait belong to one thread; the sink is called by the workers, `damage` also by that one
 * thread. */
#ifndef BKD_RESTORE_PLAN_H
#define BKD_RESTORE_PLAN_H

#include "bkd/job/job.h"
#include "bkd/job/pool.h"
#include "bkd/repo/reader.h"
#include "formats/content/content.h"

struct plan_item {
    struct chunk_loc loc;
    chunk_id id;
    uint32_t off; /* first byte within the chunk; bare: what the adder said */
    bool bare;    /* needs no chunk */
    uint64_t len; /* bytes; above 4 GiB only when bare */
    uint64_t at;  /* offset in the destination */
    void *dst;
};

struct plan_sink {
    void *ctx;
    /* n items, one after the other in the destination, whose len bytes lie together at p. An error is fatal.
     */
    int (*data)(void *ctx, unsigned worker, const struct plan_item *const *v, size_t n, const uint8_t *p,
                size_t len, struct bk_error *err);
    int (*bare)(void *ctx, unsigned worker, const struct plan_item *it, struct bk_error *err);
    /* The bytes of this item cannot be had. After a fatal error also called for all that is left. */
    void (*damage)(void *ctx, unsigned worker, const struct plan_item *it, const struct bk_error *why);
};

enum { PLAN_WINDOWS_MAX = 4 };
struct plan_opts {
    struct plan_sink sink;
    unsigned n_windows; /* 2..PLAN_WINDOWS_MAX */
    size_t first_items; /* size of the first window; doubles up to max_items; 0: only plan_submit submits */
    size_t max_items;
    bool dry_run; /* only add up what would be read */
};

struct plan;
/* Lanes 0..workers-1 of the reader are the pool's; lane `workers` is the adding thread's. */
int plan_new(struct reader *r, struct pool *pool, struct job *j, const struct plan_opts *o, struct plan **ret,
             struct bk_error *err) BK_MUST_CHECK;
/* x: a DATA extent of at most CHUNK_MAX bytes. A chunk that the index does not know goes to sink.damage at
 * once. */
int plan_add(struct plan *p, const struct extent *x, void *dst, uint64_t at,
             struct bk_error *err) BK_MUST_CHECK;
int plan_add_bare(struct plan *p, uint32_t what, void *dst, uint64_t at, uint64_t len,
                  struct bk_error *err) BK_MUST_CHECK;
/* Start the window; on return the next one is free: with 2 windows, the one submitted before this has been
 * done. */
int plan_submit(struct plan *p, struct bk_error *err) BK_MUST_CHECK;
/* Submit what is left and wait for all. The first fatal error. */
int plan_wait(struct plan *p, struct bk_error *err) BK_MUST_CHECK;
struct plan_totals {
    uint64_t frames, stored_bytes, raw_bytes;
};
void plan_totals(const struct plan *p, struct plan_totals *ret);
void plan_free(struct plan *p); /* waits; what was not submitted goes to sink.damage */
BK_AUTO(struct plan *, plan_free)

#endif
