/* Decoded frames, the least recently used go first, bounded in bytes. One lock; nothing is decoded or freed
 * under it. Any thread. */
#ifndef BKD_REPO_FRAME_CACHE_H
#define BKD_REPO_FRAME_CACHE_H

#include "bkd/repo/frame_ref.h"

struct frame_cache;
int frame_cache_new(size_t bytes, struct frame_cache **ret, struct bk_error *err) BK_MUST_CHECK;
void frame_cache_free(struct frame_cache *c);
BK_AUTO(struct frame_cache *, frame_cache_free)

/* A reference for the caller, or NULL. */
struct frame_ref *frame_cache_get(struct frame_cache *c, const pack_name *pack, uint32_t offset);
/* Keeps a reference of its own. A frame bigger than the whole cache, or one that is there, is not kept. */
void frame_cache_put(struct frame_cache *c, struct frame_ref *f);
size_t frame_cache_bytes(struct frame_cache *c);

#endif
