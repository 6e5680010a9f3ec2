/* The write path: chunks in, packs and index out.
 *
 *     writer_new -> writer_put ... (one lane per worker) -> writer_finish -> writer_free
 *
 * writer_put names the chunk, asks the index and the chunks of this run, and appends what is new to the
 * lane's frame; full frames are compressed and sealed into the lane's pack; full packs go to an uploader
 * thread. Metadata chunks of all lanes share one pack. Index segments are put every writer_opts.index_every
 * new chunks, after the packs they name, so that an interrupted run is continued by the next and memory is
 * bounded. After an error every later call returns that error. Lanes: one thread each; finish and abandon
 * when no lane is at work. Counts new_bytes and stored_bytes of the job. An index page that turns out damaged
 * does not stop the run: what it held is stored again. */
#ifndef BKD_REPO_WRITER_H
#define BKD_REPO_WRITER_H

#include "bkd/repo/index.h"

struct writer;
struct writer_opts {
    unsigned n_lanes;
    int level;            /* zstd; 0 stores without compression; default 1 is set by the caller */
    size_t memory_bytes;  /* bounds packs in memory */
    uint32_t index_every; /* new chunks per segment at most; 0: 262144 */
};
int writer_new(struct repo *r, struct index *x, struct job *j, const struct writer_opts *o,
               struct writer **ret, struct bk_error *err) BK_MUST_CHECK;
/* data: 1..CHUNK_MAX bytes, borrowed for the call. */
int writer_put(struct writer *w, unsigned lane, enum chunk_kind kind, const void *data, size_t len,
               chunk_id *ret, struct bk_error *err) BK_MUST_CHECK;
/* n of them, in this order: cheaper than one by one. ret: n ids, of no use after an error. */
int writer_put_many(struct writer *w, unsigned lane, enum chunk_kind kind, const struct suite_piece *chunks,
                    size_t n, chunk_id *ret, struct bk_error *err) BK_MUST_CHECK;
/* As writer_put, for a chunk that is moved: the caller has verified that id is its name and knows that it
 * lies in no pack that stays; neither is looked at again. What this run put in its segment at hand is not
 * stored twice. */
int writer_put_moved(struct writer *w, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                     const void *data, size_t len, struct bk_error *err) BK_MUST_CHECK;
/* The pack cannot be read, in part at least: what is put from now on and lies nowhere else is stored again.
 * Any thread. */
int writer_distrust(struct writer *w, const pack_name *pack, struct bk_error *err) BK_MUST_CHECK;
/* All packs durable, then the last index segment durable. Nothing may be put after it. */
int writer_finish(struct writer *w, struct bk_error *err) BK_MUST_CHECK;
/* Orderly stop after cancellation: what is sealed becomes findable for the next run. Best effort after an
 * error, which is returned. */
int writer_abandon(struct writer *w, struct bk_error *err) BK_MUST_CHECK;

struct writer_totals {
    uint64_t chunks; /* put, known ones included */
    uint64_t new_chunks, new_bytes;
    uint64_t stored_bytes; /* packs and index segments, durable */
    uint64_t packs;
};
void writer_totals(const struct writer *w, struct writer_totals *ret);
void writer_free(struct writer *w); /* stops the uploader; nothing is put */
BK_AUTO(struct writer *, writer_free)

#endif
