/* The names in a directory, sorted as trees sort them.
 *
 *     listing_read | listing_add ... listing_sort -> listing_name -> listing_clear
 *
 * 16 bytes per name besides the name itself, so that a directory of a million fits. One thread writes, many
 * may read. */
#ifndef BKD_SOURCE_LISTING_H
#define BKD_SOURCE_LISTING_H

#include "formats/base/buf.h"

struct listing_item {
    uint64_t key;   /* first 8 bytes, big-endian: most comparisons end here */
    uint32_t off;   /* of the NUL-terminated name in bytes */
    uint8_t len;    /* 1..255 */
    uint8_t d_type; /* DT_*, may be DT_UNKNOWN */
};
struct listing {
    struct bk_buf bytes;
    struct listing_item *v; /* owned */
    size_t n, cap;
};

void listing_clear(struct listing *l);
BK_AUTO_CLEAR(struct listing, listing_clear)

/* len 1..255, else LIMIT. */
int listing_add(struct listing *l, const char *name, size_t len, uint8_t d_type,
                struct bk_error *err) BK_MUST_CHECK;
/* A name that came twice stays once: a directory that changes while it is read may show one again. */
void listing_sort(struct listing *l);

/* Everything but "." and "..", sorted, into an empty listing. The directory is read from its current
 * position. On a read error what was read so far is there and sorted. IO, NOMEM, LIMIT (names pass 4 GiB). */
int listing_read(int fd, struct listing *ret, struct bk_error *err) BK_MUST_CHECK;

static inline const char *listing_name(const struct listing *l, size_t i)
{
    return (const char *)l->bytes.data + l->v[i].off;
}

/* Where a name stands, SIZE_MAX when it does not. */
size_t listing_find(const struct listing *l, const char *name);

#endif
