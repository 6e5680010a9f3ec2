/* The three bytes every metadata page starts with, and the wire form of one extent.
 *
 *     kind u8 | version u8 | mandatory flags u8
 *
 * The kind keeps one sort of page from being read as another; a flag that a reader does not know changes
 * the meaning of what follows, so it refuses the page (VERSION). docs/formats/content.md, "Pages".
 * Shared by content/ and tree/. Pure; any thread. */
#ifndef FORMATS_CONTENT_PAGE_H
#define FORMATS_CONTENT_PAGE_H

#include "formats/content/content.h"

enum page_kind {
    PAGE_LEAF = 0x4c,  /* 'L': extents */
    PAGE_INNER = 0x49, /* 'I': children of a content */
    PAGE_TREE = 0x54,  /* 'T': directory entries */
    PAGE_INDEX = 0x58, /* 'X': children of a directory */
};
enum { PAGE_VERSION = 1, PAGE_HEADER = 3 /* bytes */ };

int page_begin(enum page_kind kind, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* Past the header. CORRUPT: not a page of this kind; VERSION: a newer version or an unknown flag. */
int page_open(enum page_kind kind, struct bk_reader *r, struct bk_error *err) BK_MUST_CHECK;

/* One extent onto out. rest: the extent ends the content, so that its length need not be written. The extent
 * is valid (extent_check). out may hold a part of it after an error. */
int extent_put(const struct extent *x, bool rest, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* The next extent, checked. rest: what its length is if it is not written, 0 where it must be written. false,
 * with the reader bad, when it is cut short or breaks a rule. */
bool extent_get(struct bk_reader *r, uint64_t rest, struct extent *ret);
/* The rule an extent breaks, as a message id, or NULL. */
const char *extent_check(const struct extent *x);

#endif
