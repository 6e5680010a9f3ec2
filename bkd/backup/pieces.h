/* From chunks to content: extents gathered per segment, leaves and inner pages above them.
 *
 *     pieces_add (a segment's extents, or a leaf) ... -> pieces_join -> pieces_clear
 *
 * A piece is what one leaf page covers. Pieces with few extents keep them in memory until it is known whether
 * the whole content fits inline. One thread at a time. */
#ifndef BKD_BACKUP_PIECES_H
#define BKD_BACKUP_PIECES_H

#include "bkd/backup/sink.h"
#include "formats/content/content.h"

struct piece {
    uint64_t len;
    chunk_id leaf;      /* when few == NULL */
    struct extent *few; /* owned; n_few of them */
    size_t n_few;
};
struct pieces {
    struct piece *v; /* owned */
    size_t n, cap;
};
void pieces_clear(struct pieces *p);
BK_AUTO_CLEAR(struct pieces, pieces_clear)

/* Close a piece: x is emptied. More than CONTENT_INLINE_MAX extents are put as a leaf page at once. Nothing
 * for empty x. */
int pieces_add(struct pieces *p, struct sink *s, unsigned lane, struct extents *x,
               struct bk_error *err) BK_MUST_CHECK;
/* All pieces of `more` behind those of p; more is emptied. */
int pieces_append(struct pieces *p, struct pieces *more, struct bk_error *err) BK_MUST_CHECK;
/* The content: inline when all extents together are few, else pages. p is used up. */
int pieces_join(struct pieces *p, struct sink *s, unsigned lane, struct content *ret,
                struct bk_error *err) BK_MUST_CHECK;

#endif
