/* Browsing a snapshot: look paths up, list directories, read content. Only metadata is read until content is
 * asked for. One browser belongs to one thread (it uses one reader lane); several may share a reader. */
#ifndef BKD_RESTORE_BROWSE_H
#define BKD_RESTORE_BROWSE_H

#include "bkd/repo/reader.h"
#include "formats/snapshot/snapshot.h"

/* A tree entry with its own memory. */
struct node {
    struct tree_entry e; /* borrows from mem */
    struct bk_buf mem;
};
void node_clear(struct node *n);
BK_AUTO_CLEAR(struct node, node_clear)
int node_copy(const struct tree_entry *e, struct node *ret, struct bk_error *err) BK_MUST_CHECK;

/* Iterate a directory in name order: open -> next (1 entry borrowed until the following call, 0 end) -> free.
 */
struct browse_dir;
int browse_dir_open(struct reader *r, unsigned lane, const struct tree_dir *d, struct browse_dir **ret,
                    struct bk_error *err) BK_MUST_CHECK;
int browse_dir_next(struct browse_dir *b, struct tree_entry *ret, struct bk_error *err) BK_MUST_CHECK;
void browse_dir_free(struct browse_dir *b);
BK_AUTO(struct browse_dir *, browse_dir_free)

/* One name in a directory: 1 found, 0 not. Reads O(depth) pages. */
int browse_lookup(struct reader *r, unsigned lane, const struct tree_dir *d, const void *name,
                  size_t name_len, struct node *ret, struct bk_error *err) BK_MUST_CHECK;
/* An absolute or relative path, '/' separated, symlinks not followed; "" and "/" give a synthetic root
 * directory entry (name "/"). ABSENT names the component that is missing. */
int browse_path(struct reader *r, unsigned lane, const struct snapshot *s, const void *path, size_t path_len,
                struct node *ret, struct bk_error *err) BK_MUST_CHECK;

/* Depth-first walk below (and including, if it is not the synthetic root) an entry, parents before children,
 * names in order. path is the full path, without a leading '/', borrowed. fn: 0 goes on, 1 skips the
 * directory's inside, negative ends. */
typedef int browse_walk_fn(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                           struct bk_error *err);
int browse_walk(struct reader *r, unsigned lane, const struct tree_entry *top, const void *top_path,
                size_t top_path_len, browse_walk_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;

/* Content. extents: walks the extents from byte `offset` on, fn gets the content offset of each (the first is
 * cut to start at offset). */
typedef int browse_extent_fn(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err);
int browse_extents(struct reader *r, unsigned lane, const struct content *c, uint64_t offset, uint64_t len,
                   browse_extent_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;
/* The bytes of one extent into out. frame gets the frame that a chunk of id is in; it stays the getter's. */
typedef int browse_frame_fn(void *ctx, const struct chunk_loc *loc, const chunk_id *id,
                            struct frame_ref **ret, struct bk_error *err);
int browse_copy(struct reader *r, unsigned lane, const struct extent *x, browse_frame_fn *frame, void *ctx,
                uint8_t *out, struct bk_error *err) BK_MUST_CHECK;
/* Read into out; short only at the end of the content. */
int browse_read(struct reader *r, unsigned lane, const struct content *c, uint64_t offset, void *out,
                size_t len, size_t *ret_len, struct bk_error *err) BK_MUST_CHECK;

#endif
