/* Content: what a file, disk or stream holds, as extents.
 *
 * An extent says where `len` bytes of the content come from: a part of a chunk, a hole (nothing
 * was allocated), or zeroes (allocated, but not worth storing). Content with few extents carries
 * them inline; more go into extent pages, metadata chunks that unchanged content shares between
 * snapshots. A leaf page covers one segment (config.segment_bytes) of the content, so that a change in one
 * segment re-writes one leaf; inner pages list up to CONTENT_FANOUT children.
 *
 *   depth 0   extents inline
 *   depth 1   root is a leaf page
 *   depth d   root is an inner page whose children have depth d-1
 *
 * docs/formats/content.md. Pure; any thread. */
#ifndef FORMATS_CONTENT_CONTENT_H
#define FORMATS_CONTENT_CONTENT_H

#include "formats/base/buf.h"
#include "formats/base/wire.h"
#include "formats/chunk/chunk.h"

enum {
    CONTENT_INLINE_MAX = 8,     /* extents */
    CONTENT_LEAF_MAX = 1 << 16, /* extents of one leaf page */
    CONTENT_FANOUT = 1024,      /* children of one inner page */
    CONTENT_DEPTH_MAX = 8,
    CONTENT_EXTENTS_MAX = 1 << 28, /* extents of a list in memory */
};
#define CONTENT_SIZE_MAX ((uint64_t)INT64_MAX) /* bytes; offsets into content fit an off_t */

enum extent_kind { EXTENT_DATA = 0, EXTENT_HOLE = 1, EXTENT_ZERO = 2 };

struct extent {
    uint64_t len; /* bytes, > 0 */
    enum extent_kind kind;
    uint32_t off; /* DATA: first byte within the chunk */
    chunk_id id;  /* DATA only */
};

/* A growable list. extents_add merges neighbouring holes, neighbouring zeroes, and data that goes on where
 * the extent before it ends in the same chunk. Errors leave the list as it was: USAGE an extent that is
 * empty, of no known kind or passes CHUNK_MAX within its chunk; LIMIT more than CONTENT_SIZE_MAX bytes or too
 * many extents. */
struct extents {
    struct extent *v; /* owned */
    size_t n, cap;
    uint64_t len; /* sum */
};
void extents_clear(struct extents *e);
BK_AUTO_CLEAR(struct extents, extents_clear)
int extents_add(struct extents *e, const struct extent *x, struct bk_error *err) BK_MUST_CHECK;

/* The root of some content, as it stands in a tree entry or snapshot. */
struct content {
    uint64_t size; /* bytes of content */
    uint8_t depth;
    chunk_id root;    /* depth > 0 */
    uint8_t n_inline; /* depth 0; 0 extents with size 0 is empty content */
    struct extent inline_[CONTENT_INLINE_MAX];
};

/* Appended to / read from a record in progress. decode marks the reader bad and returns CORRUPT when the
 * extents do not add up to size, a kind is unknown, or a length is 0; *ret is then unspecified, and of
 * inline_ it sets the first n_inline only (300,000 of these are read per run). encode: USAGE for what decode
 * would refuse; out keeps its length on any error. */
int content_encode(const struct content *c, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int content_decode(struct bk_reader *r, struct content *ret, struct bk_error *err) BK_MUST_CHECK;

/* Pages: plaintext of metadata chunks. */
int content_leaf_encode(const struct extents *e, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* The extents are appended to ret as by extents_add, so that they may merge with its last; after an error ret
 * holds what it held. */
int content_leaf_decode(const void *data, size_t len, struct extents *ret,
                        struct bk_error *err) BK_MUST_CHECK;

struct content_child {
    uint64_t len; /* bytes of content below it */
    chunk_id id;
};
/* depth of the page being written, 2..CONTENT_DEPTH_MAX */
int content_inner_encode(unsigned depth, const struct content_child *v, size_t n, struct bk_buf *out,
                         struct bk_error *err) BK_MUST_CHECK;
/* ret: owned array for the caller, freed with free(). CORRUPT when the page's depth is not `depth`. */
int content_inner_decode(const void *data, size_t len, unsigned depth, struct content_child **ret,
                         size_t *ret_n, struct bk_error *err) BK_MUST_CHECK;

#endif
