/* A lane gathers new chunks into frames and frames into packs, in the order they come. One thread at a time.
 */
#ifndef BKD_REPO_LANE_H
#define BKD_REPO_LANE_H

#include "bkd/repo/packer.h"
#include "bkd/repo/uploader.h"

struct lane;
struct lane_opts {
    enum chunk_kind kind;
    int level;
    size_t frame_bytes, pack_bytes;
    struct packed_pool *pool; /* borrowed, as the uploader */
    struct uploader *uploader;
};
int lane_new(struct repo *r, const struct lane_opts *o, struct lane **ret,
             struct bk_error *err) BK_MUST_CHECK;
void lane_free(struct lane *l);
BK_AUTO(struct lane *, lane_free)

/* data: 1..CHUNK_MAX bytes, copied. A frame that is full is sealed, a pack that is full goes to the uploader,
 * which may wait. */
int lane_add(struct lane *l, const chunk_id *id, const void *data, size_t len,
             struct bk_error *err) BK_MUST_CHECK;
/* Seal the frame under construction, as far as it goes. */
int lane_flush(struct lane *l, struct bk_error *err) BK_MUST_CHECK;
/* Send the pack under construction, with the frames it has. */
int lane_send(struct lane *l, struct bk_error *err) BK_MUST_CHECK;

#endif
