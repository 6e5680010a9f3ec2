/* The index: which chunk lies where. All index segments of the repository, their filters in memory and their
 * pages read on demand through a small cache; RAM stays near 1.6 bytes per chunk. A lost or damaged segment
 * is made good from the packs' directories: for the reading side without a write (index_recover.h), for good
 * by a backup (index_adopt_packs).
 *
 *     index_open -> index_find ... , index_add_segment -> index_free
 *
 * Look-ups from any thread. */
#ifndef BKD_REPO_INDEX_H
#define BKD_REPO_INDEX_H

#include "bkd/repo/repo.h"
#include "formats/index/segment.h"

struct index;
struct chunk_loc {
    pack_name pack;
    enum chunk_kind kind;
    uint32_t offset;     /* of the frame in the pack */
    uint32_t stored_len; /* of the frame */
    uint32_t raw_len;
    uint16_t slot;  /* of the chunk in the frame */
    bool recovered; /* no segment of the repository says so: index_recover.h */
    bool shunned;   /* not to be relied on by who writes: index_guard.h */
};

/* damaged: called per segment that is unreadable or fails its check, which is then left out; may be NULL
 * (then the first such segment fails the open). */
typedef void index_damage_fn(void *ctx, const char *object, const struct bk_error *why);
/* For who has told it before, or will. */
void index_ignore_damage(void *ctx, const char *object, const struct bk_error *why);
int index_open(struct repo *r, index_damage_fn *damaged, void *ctx, struct index **ret,
               struct bk_error *err) BK_MUST_CHECK;
/* How many were left out. */
unsigned index_n_damaged(const struct index *x);
void index_free(struct index *x);
BK_AUTO(struct index *, index_free)

/* 1 found, 0 not there, negative on error. */
int index_find(struct index *x, const chunk_id *id, struct chunk_loc *ret,
               struct bk_error *err) BK_MUST_CHECK;
/* Like index_find, of the places in other packs than this one: a chunk that was stored twice outlives one of
 * them. */
int index_find_elsewhere(struct index *x, const chunk_id *id, const pack_name *not_in, struct chunk_loc *ret,
                         struct bk_error *err) BK_MUST_CHECK;
/* Is it in a segment of the repository? What was only recovered or is shunned does not count: who writes must
 * not rely on it. One page read at most, where nothing is shunned. */
int index_has(struct index *x, const chunk_id *id, struct bk_error *err) BK_MUST_CHECK;
/* A segment that was just put joins. */
int index_add_segment(struct index *x, const char *object, struct bk_error *err) BK_MUST_CHECK;
/* Packs that no sound segment names: read their directories, put new segments for them. Counts packs adopted.
 * Packs whose directory is damaged are scanned frame by frame. From now on a look-up that recovers puts what
 * it finds as well, and asks such packs only: a backup stores again what it cannot find. */
int index_adopt_packs(struct index *x, struct job *j, uint64_t *ret_packs,
                      struct bk_error *err) BK_MUST_CHECK;

/* Walk all packs that sound segments name (each once, sorted by name). A segment counts as sound until a page
 * of it turned out not to be. */
typedef int index_pack_fn(void *ctx, const struct segment_pack *p, struct bk_error *err);
int index_each_pack(struct index *x, index_pack_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;
/* Build a segment of `in` (its entries are sorted in place), put it, let it join; *ret_bytes: its size. What
 * packs it names must be durable. Damaged bytes under its name are replaced. */
int index_put_segment(struct index *x, const struct segment_input *in, uint64_t *ret_bytes,
                      struct bk_error *err) BK_MUST_CHECK;
/* The same, but the segment lies in a file without a name and goes with the index. */
int index_keep_segment(struct index *x, const struct segment_input *in, uint64_t *ret_bytes,
                       struct bk_error *err) BK_MUST_CHECK;
struct repo *index_repo(const struct index *x);
uint64_t index_entries(const struct index *x);
size_t index_resident_bytes(const struct index *x);

#endif
