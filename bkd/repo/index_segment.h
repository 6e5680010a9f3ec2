/* One index segment as the index holds it: opened, with a way to its pages. Immutable but for the bits that
 * say which pages were checked; any thread. */
#ifndef BKD_REPO_INDEX_SEGMENT_H
#define BKD_REPO_INDEX_SEGMENT_H

#include <stdatomic.h>

#include "bkd/repo/repo.h"
#include "formats/index/segment.h"

struct index_segment {
    struct segment seg;
    struct repo *repo;   /* borrowed */
    struct store *store; /* its */
    uint32_t number;     /* in the index, for the page cache */
    segment_name name;   /* of one in the repository */
    int fd;              /* -1: the store has no files */
    uint64_t bytes;
    size_t resident_bytes; /* memory held */
    atomic_uchar *checked; /* a bit per page */
    bool recovered;        /* in a file without a name: not in the repository */
    uint8_t *shunned; /* owned: a bit per line of the pack table, of packs not to be relied on; NULL: none */
    atomic_bool gone; /* a collector has put others in its place: not looked into any more */
    atomic_bool damaged; /* a page of it could not be read: what it names counts as not named */
    char object[REPO_PATH];
};

/* Reads trailer, page 0 and the resident part. CORRUPT, ABSENT, IO ... */
int index_segment_load(struct repo *r, const char *object, struct index_segment **ret,
                       struct bk_error *err) BK_MUST_CHECK;
/* The same for a segment's bytes in a file, whose descriptor is taken on success. label: for people. */
int index_segment_load_adopt_fd(struct repo *r, const char *label, int fd, uint64_t bytes,
                                struct index_segment **ret, struct bk_error *err) BK_MUST_CHECK;
void index_segment_free(struct index_segment *s);
BK_AUTO(struct index_segment *, index_segment_free)

/* One page, checked against its digest when it is read for the first time. */
int index_segment_page(struct index_segment *s, uint32_t page, uint8_t out[static SEGMENT_PAGE],
                       struct bk_error *err) BK_MUST_CHECK;

#endif
