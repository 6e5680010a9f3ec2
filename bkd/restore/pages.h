/* Extent pages of contents, decoded and kept, so that who reads at random places decodes none twice in a row.
 * Bounded in bytes; the least recently used go first. One lock; nothing is read, decoded or freed under it.
 * Any thread, each with a lane of the reader. docs/formats/content.md, "Pages" */
#ifndef BKD_RESTORE_PAGES_H
#define BKD_RESTORE_PAGES_H

#include <stdatomic.h>

#include "bkd/repo/reader.h"
#include "formats/content/content.h"

/* Shared and counted, immutable. */
struct page {
    atomic_uint refs;
    chunk_id id;
    unsigned depth; /* 1: a leaf */
    size_t n;
    uint64_t *ends;                 /* n: where each element ends, in bytes from the start of the page */
    struct extent *extents;         /* of a leaf */
    struct content_child *children; /* of an inner page */
    size_t memory_bytes;
    /* the cache's own, under its lock */
    struct page *newer, *older, *chain;
};
/* Takes the extents over on success. */
int page_of_extents(struct extents *x, struct page **ret, struct bk_error *err) BK_MUST_CHECK;
static inline uint64_t page_bytes(const struct page *p)
{
    return p->n ? p->ends[p->n - 1] : 0;
}
/* The element that byte `at` of the page is in; at < page_bytes. */
size_t page_find(const struct page *p, uint64_t at);
void page_free(struct page *p); /* unref */
BK_AUTO(struct page *, page_free)

struct pages;
int pages_new(struct reader *r, size_t limit_bytes, struct pages **ret, struct bk_error *err) BK_MUST_CHECK;
void pages_free(struct pages *p);
BK_AUTO(struct pages *, pages_free)
/* The page of that depth, 1..CONTENT_DEPTH_MAX. errors: of reader_chunk, CORRUPT */
int pages_get(struct pages *p, unsigned lane, unsigned depth, const chunk_id *id, struct page **ret,
              struct bk_error *err) BK_MUST_CHECK;

#endif
