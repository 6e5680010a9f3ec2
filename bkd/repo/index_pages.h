/* A cache of index pages, bounded and shared by all look-ups: sets of a few pages with a lock each, so that
 * threads meet rarely and a hit costs no search. Any thread. */
#ifndef BKD_REPO_INDEX_PAGES_H
#define BKD_REPO_INDEX_PAGES_H

#include "bkd/repo/index_segment.h"

struct index_pages;
int index_pages_new(size_t bytes, struct index_pages **ret, struct bk_error *err) BK_MUST_CHECK;
void index_pages_free(struct index_pages *c);
BK_AUTO(struct index_pages *, index_pages_free)
/* A copy of the page, from the cache or from the segment. */
int index_pages_get(struct index_pages *c, struct index_segment *s, uint32_t page,
                    uint8_t out[static SEGMENT_PAGE], struct bk_error *err) BK_MUST_CHECK;
size_t index_pages_bytes(const struct index_pages *c);

#endif
