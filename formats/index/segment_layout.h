/* What the builder and the reader of a segment must agree on. Private to formats/index. */
#ifndef FORMATS_INDEX_SEGMENT_LAYOUT_H
#define FORMATS_INDEX_SEGMENT_LAYOUT_H

#include "formats/base/wire.h"
#include "formats/index/segment.h"

enum { SEGMENT_COUNT_AT = SEGMENT_PAGE - 2, SEGMENT_TRAILER_OFFSETS = 16 };

static const uint8_t segment_magic[8] = { 'B', 'K', 'I', 'E', 'N', 'D', '0', '1' };

/* The first 8 bytes of an id as a number whose order is that of the ids. */
static inline uint64_t segment_prefix(const uint8_t *id)
{
    return (uint64_t)id[0] << 56 | (uint64_t)id[1] << 48 | (uint64_t)id[2] << 40 | (uint64_t)id[3] << 32 |
           (uint64_t)id[4] << 24 | (uint64_t)id[5] << 16 | (uint64_t)id[6] << 8 | (uint64_t)id[7];
}

static inline uint64_t segment_pages_for(uint64_t n, uint64_t per_page)
{
    return (n + per_page - 1) / per_page;
}

/* The MAC of the index key, and the digest of a page under it. */
int segment_mac_new(const struct keyring *k, struct suite_mac **ret, struct bk_error *err) BK_MUST_CHECK;
int segment_digest(const struct suite_mac *mac, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                   uint8_t out[static SEGMENT_DIGEST], struct bk_error *err) BK_MUST_CHECK;

#endif
