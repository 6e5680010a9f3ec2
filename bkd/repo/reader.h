/* The read path: ids in, verified plaintext out.
 *
 * A reader holds pack keys and a cache of decoded frames (bounded), shared by its lanes. Everything it
 * returns has passed the frame's tag and the chunk's own name; a chunk that does not is CORRUPT, and the
 * error names pack, frame and chunk. Lanes: one thread each; the reader itself is shared. */
#ifndef BKD_REPO_READER_H
#define BKD_REPO_READER_H

#include "bkd/repo/index.h"
#include "formats/content/content.h"

struct reader;
int reader_new(struct repo *r, struct index *x, unsigned n_lanes, size_t cache_bytes, struct reader **ret,
               struct bk_error *err) BK_MUST_CHECK;
void reader_free(struct reader *r);
BK_AUTO(struct reader *, reader_free)
struct index *reader_index(const struct reader *r);

/* Be told, on the lane's thread, of packs out of which reader_chunk does not get what the index says is
 * there. Set it before the lanes start. */
typedef void reader_damage_fn(void *ctx, const pack_name *pack);
void reader_on_damage(struct reader *r, reader_damage_fn *fn, void *ctx);

/* Does the code say that bytes of the repository cannot be had, rather than that the run must end? */
bool reader_is_damage(int code);

/* One whole chunk; out is replaced. Where it turns out damaged, its other places are tried once. ABSENT when
 * the index does not know it. */
int reader_chunk(struct reader *r, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                 struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;

/* Are these x->len bytes, at most CHUNK_MAX, what the DATA extent x holds? A whole chunk proves itself by its
 * name, a part of one is compared with the chunk. 1, 0, or an error of reader_chunk. */
int reader_matches(struct reader *r, unsigned lane, const struct extent *x, const void *data,
                   struct bk_error *err) BK_MUST_CHECK;

/* A decoded frame, shared and counted. */
struct frame_ref;
/* loc: of any chunk in it. cached: leave it in the cache for others. */
int reader_frame(struct reader *r, unsigned lane, const struct chunk_loc *loc, bool cached,
                 struct frame_ref **ret, struct bk_error *err) BK_MUST_CHECK;
/* The frame if it is in the cache, else NULL: nothing is read. */
struct frame_ref *reader_peek(struct reader *r, const struct chunk_loc *loc);
/* Leave a frame in the cache for others: what reader_run gives is not there by itself. */
void reader_keep(struct reader *r, struct frame_ref *f);
/* The chunk at a slot, borrowed while the ref is held, its name verified against id (once per frame and
 * slot). */
int frame_ref_chunk(struct frame_ref *f, uint16_t slot, const chunk_id *id, const uint8_t **ret,
                    size_t *ret_len, struct bk_error *err) BK_MUST_CHECK;
void frame_ref_free(struct frame_ref *f); /* unref */
BK_AUTO(struct frame_ref *, frame_ref_free)

/* How many frames a run had best ask for. Of a store across a network a whole pack of the size that the
 * writer makes for it: each request costs both sides; of a disk fewer, so that the work is spread. */
enum { READER_RUN_FRAMES_MAX = 40 };
unsigned reader_run_frames(const struct reader *r);

/* Read several frames of one pack, sorted by offset, with merged ranges (gaps up to 256 KiB are read along):
 * fn is called for each in order; a damaged one is passed with f NULL and its error, and the run goes on when
 * fn returns 0. */
typedef int reader_run_fn(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage);
int reader_run(struct reader *r, unsigned lane, const struct chunk_loc *locs, size_t n, reader_run_fn *fn,
               void *ctx, struct bk_error *err) BK_MUST_CHECK;

#endif
