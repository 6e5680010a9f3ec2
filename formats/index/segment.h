/* Index segments: immutable, sorted, authenticated page by page.
 *
 *   page 0    object header (16) | entries, frames, packs u64 each | pages, first entry page, first frame
 * page, first pack page, entry pages u32 each | zero entries   pages of SEGMENT_PAGE bytes; each holds up to
 * SEGMENT_PER_PAGE entries in id order: id 32, frame u32 (into the frame table), slot u16; the page's last
 * two bytes: how many, u16. Ids that share their first 8 bytes lie in the same page, so a fence never leaves
 * a doubt frames    pages of 16-byte lines: pack u32 (into the pack table), offset u32, stored u32, raw u32
 *   packs     pages of 40-byte lines: name 32, pack bytes u32, kind u8, zero
 *   resident  what a reader keeps in memory: page fences (first 8 bytes of the first id of each entry page,
 *             u64 big-endian value stored little-endian), page digests (16 bytes of HMAC per page 0..n),
 *             filter parameters and fingerprints
 *   trailer   resident offset u64, resident bytes u64, MAC 32 over (page 0 || resident || those 16 bytes),
 * magic 8
 *
 * The MAC key is HKDF(root, "index"): nobody without it can make us believe that a chunk is stored. A page is
 * checked when it is first used. The object is called index/<hash of all bytes>. Nothing in it tells a
 * chunk's length. At most SEGMENT_MAX entries. Pure functions; immutable after decode; any thread. */
#ifndef FORMATS_INDEX_SEGMENT_H
#define FORMATS_INDEX_SEGMENT_H

#include "formats/index/fuse.h"
#include "formats/pack/pack.h"

enum {
    SEGMENT_PAGE = 2048,
    SEGMENT_ENTRY = 38,
    SEGMENT_PER_PAGE = SEGMENT_PAGE / SEGMENT_ENTRY, /* 53 */
    SEGMENT_FRAME = 16,
    SEGMENT_FRAMES_PER_PAGE = SEGMENT_PAGE / SEGMENT_FRAME,
    SEGMENT_PACK = 40,
    SEGMENT_PACKS_PER_PAGE = SEGMENT_PAGE / SEGMENT_PACK,
    SEGMENT_MAX = 1 << 22, /* entries */
    SEGMENT_TRAILER = 56,
    SEGMENT_AROUND = SEGMENT_PAGE + 16, /* bytes, beside the resident part, that the trailer's MAC covers */
    SEGMENT_DIGEST = 16,
    SEGMENT_RESIDENT_MAX = 16 << 20, /* bytes */
    SEGMENT_SUPERSEDED_AT = 64,      /* in page 0: the names that it supersedes */
    SEGMENT_SUPERSEDED_MAX = (SEGMENT_PAGE - SEGMENT_SUPERSEDED_AT) / SUITE_HASH, /* 62 */
    SEGMENT_VERSION = 1,
};

struct segment_entry {
    chunk_id id;
    uint32_t frame;
    uint16_t slot;
};
struct segment_frame {
    uint32_t pack;
    uint32_t offset;
    uint32_t stored_len;
    uint32_t raw_len;
};
struct segment_pack {
    pack_name name;
    uint32_t bytes;
    uint8_t kind; /* enum chunk_kind */
};

/* The hash in the name of a segment. */
typedef struct {
    uint8_t b[SUITE_HASH];
} segment_name;

/* What a segment is built from. Arrays are borrowed; entries are sorted in place and equal ids keep the first
 * only. */
struct segment_input {
    struct segment_entry *entries;
    size_t n_entries;
    const struct segment_frame *frames;
    size_t n_frames;
    const struct segment_pack *packs;
    size_t n_packs;
    const segment_name *superseded; /* segments that say nothing which this one and those put before it do not
                                       say, but for packs that go */
    size_t n_superseded;            /* at most SEGMENT_SUPERSEDED_MAX */
};
/* By (id, frame, slot). Ids are hashes: that they are evenly spread makes it fast. */
void segment_sort(struct segment_entry *e, size_t n);

/* The whole object is appended to out. The same input gives the same bytes.
 *   errors  LIMIT  more than SEGMENT_MAX of anything, or more ids that share 8 bytes than a page holds
 *           USAGE  an entry or frame refers past its table
 *           NOMEM  about 40 bytes per entry are taken beside out
 *           after any of them out is as before (entries may be sorted) */
int segment_build(const struct keyring *k, const struct segment_input *in, struct bk_buf *out,
                  struct bk_error *err) BK_MUST_CHECK;

/* A segment opened for look-up: everything but the pages. */
struct segment {
    uint64_t n_entries, n_frames, n_packs;
    uint32_t n_pages;      /* of all regions, page 0 included */
    uint32_t entries_page; /* first page of each region */
    uint32_t frames_page;
    uint32_t packs_page;
    uint32_t n_entry_pages;
    uint32_t n_superseded;
    struct fuse filter;
    uint8_t *resident; /* owned: page 0, fences, digests, filter */
    size_t resident_len;
    const uint8_t *fences; /* into resident */
    const uint8_t *digests;
    struct suite_mac *mac; /* owned */
};
void segment_clear(struct segment *s);
BK_AUTO_CLEAR(struct segment, segment_clear)

/* Where the resident part lies, from the last SEGMENT_TRAILER bytes. */
int segment_trailer_decode(const uint8_t in[static SEGMENT_TRAILER], uint64_t object_bytes,
                           uint64_t *ret_offset, uint64_t *ret_len, struct bk_error *err) BK_MUST_CHECK;
/* page0: SEGMENT_PAGE bytes; resident: as said by the trailer, copied. CORRUPT when the MAC does not fit,
 * VERSION when page 0 asks for a newer reader. */
int segment_open(const struct keyring *k, const uint8_t page0[static SEGMENT_PAGE], const uint8_t *resident,
                 size_t resident_len, const uint8_t trailer[static SEGMENT_TRAILER], struct segment *ret,
                 struct bk_error *err) BK_MUST_CHECK;

/* The same for SEGMENT_AROUND + resident_len bytes that are in one piece already and come from malloc: page
 * 0, the resident part, the first SEGMENT_AROUND - SEGMENT_PAGE bytes of the trailer. Taken on success. */
int segment_open_adopt(const struct keyring *k, uint8_t *piece, size_t resident_len,
                       const uint8_t trailer[static SEGMENT_TRAILER], struct segment *ret,
                       struct bk_error *err) BK_MUST_CHECK;

/* The i-th segment that this one supersedes, i < n_superseded: who has this one need not ask that one. */
void segment_superseded(const struct segment *s, uint32_t i, segment_name *ret);

/* Check a page that was read: CORRUPT when its digest does not fit. */
int segment_page_check(const struct segment *s, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                       struct bk_error *err) BK_MUST_CHECK;
/* The entry page that would hold id, or -1 when the filter says that the segment has not got it. */
int64_t segment_page_of(const struct segment *s, const chunk_id *id);
/* The same in two steps, for a caller with many segments: see fuse_aim. */
void segment_aim(const struct segment *s, const chunk_id *id, struct fuse_aim *ret);
int64_t segment_page_aimed(const struct segment *s, const chunk_id *id, const struct fuse_aim *a);
/* Look in one checked entry page: 1 found, 0 not there. `page` must be what segment_page_of said. */
int segment_page_find(const struct segment *s, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                      const chunk_id *id, struct segment_entry *ret);
/* Lines of checked pages. page_of: the page that holds line i. CORRUPT when i is out of range. */
int segment_frame_page(const struct segment *s, uint64_t i, uint32_t *ret_page,
                       struct bk_error *err) BK_MUST_CHECK;
void segment_frame_line(const uint8_t data[static SEGMENT_PAGE], uint64_t i, struct segment_frame *ret);
int segment_pack_page(const struct segment *s, uint64_t i, uint32_t *ret_page,
                      struct bk_error *err) BK_MUST_CHECK;
void segment_pack_line(const uint8_t data[static SEGMENT_PAGE], uint64_t i, struct segment_pack *ret);
/* Number of entries in a checked entry page, 0..SEGMENT_PER_PAGE, and entry i of it. To walk all entries:
 * pages entries_page .. entries_page + n_entry_pages. */
unsigned segment_page_count(const uint8_t data[static SEGMENT_PAGE]);
void segment_page_entry(const uint8_t data[static SEGMENT_PAGE], unsigned i, struct segment_entry *ret);

#endif
