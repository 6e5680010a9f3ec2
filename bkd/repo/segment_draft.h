/* What the next index segment will say, gathered pack by pack. One thread. */
#ifndef BKD_REPO_SEGMENT_DRAFT_H
#define BKD_REPO_SEGMENT_DRAFT_H

#include "bkd/repo/index.h"

/* At this many entries a draft must be put: the next pack's still fit below SEGMENT_MAX. */
enum { SEGMENT_DRAFT_FULL = SEGMENT_MAX / 2 };

struct segment_draft {
    struct segment_entry *entries;
    size_t n_entries, cap_entries;
    struct segment_frame *frames;
    size_t n_frames, cap_frames;
    struct segment_pack *packs;
    size_t n_packs, cap_packs;
    const segment_name
        *superseded; /* borrowed: what the segment stands for, at most SEGMENT_SUPERSEDED_MAX */
    size_t n_superseded;
};
void segment_draft_clear(struct segment_draft *d);
BK_AUTO_CLEAR(struct segment_draft, segment_draft_clear)

/* After NOMEM the draft holds what it held before. */
int segment_draft_add(struct segment_draft *d, const struct segment_pack *p, const struct pack_directory *dir,
                      struct bk_error *err) BK_MUST_CHECK;
/* What becomes of a segment: index_put_segment, index_keep_segment. */
typedef int segment_draft_fn(struct index *x, const struct segment_input *in, uint64_t *ret_bytes,
                             struct bk_error *err);
/* Make it a segment and start over; nothing happens when it is empty. A segment holds one place of a chunk,
 * so that packs which have a chunk in common go into different segments, each with all that is in it: no
 * place is forgotten, and a pack that is named is known in full. On error the draft is kept; some of it may
 * have been put. */
int segment_draft_end(struct segment_draft *d, struct index *x, segment_draft_fn *take, uint64_t *ret_bytes,
                      struct bk_error *err) BK_MUST_CHECK;
/* The same with index_put_segment. */
int segment_draft_put(struct segment_draft *d, struct index *x, uint64_t *ret_bytes,
                      struct bk_error *err) BK_MUST_CHECK;

#endif
