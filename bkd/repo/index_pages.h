/* A cache of index pages, bounded and shared by all look-ups: sets of a few pages with a lock each, so that
 * threads meet rarely and a hit costs no search. Any thread. */
#ifndef BKD_REPO_INDEX_PAGES_H
#define BKD_REPO_INDEX_PAGES_H

#include "bkd/repo/index_segment.h"

struct index_pages;
int index_pages_new(size_t bytes, struct index_pages **ret, struct bk_error *err) BK_MUST_CHECK;
void index_pages_free(struct index_pages *c);
BK_AUTO(struct index_pages *, index_pages_free)
/* A look at a page where the cache has it, read from the segment if it must be: at random a page is seldom
 * there, and copying it in and out would cost more than finding an entry in it. Between hold and release a
 * thread holds one page, and does nothing but look at it. */
struct index_page {
    const uint8_t *data; /* SEGMENT_PAGE bytes */
    struct index_set *set;
};
int index_pages_hold(struct index_pages *c, struct index_segment *s, uint32_t page, struct index_page *ret,
                     struct bk_error *err) BK_MUST_CHECK;
void index_pages_release(struct index_page *p);
size_t index_pages_bytes(const struct index_pages *c);

#endif
