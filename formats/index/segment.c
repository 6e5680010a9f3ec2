#include "formats/index/segment_layout.h"

int segment_mac_new(const struct keyring *k, struct suite_mac **ret, struct bk_error *err)
{
    uint8_t key[SUITE_KEY];
    int r = keyring_derive(k, "index", key, err);
    if (r == 0)
        r = suite_mac_new(k->suite, key, ret, err);
    suite_wipe(key, sizeof key);
    return r;
}

int segment_digest(const struct suite_mac *mac, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                   uint8_t out[static SEGMENT_DIGEST], struct bk_error *err)
{
    uint8_t number[8];
    uint8_t tag[SUITE_HASH];
    bk_put_u64(number, page);
    const struct suite_piece message[] = { { number, sizeof number }, { data, SEGMENT_PAGE } };
    int r = suite_mac_pieces(mac, message, BK_COUNT(message), tag, err);
    if (r == 0)
        memcpy(out, tag, SEGMENT_DIGEST);
    return r;
}

void segment_clear(struct segment *s)
{
    free(s->resident);
    suite_mac_free(s->mac);
    *s = (struct segment){ 0 };
}

int segment_trailer_decode(const uint8_t in[static SEGMENT_TRAILER], uint64_t object_bytes,
                           uint64_t *ret_offset, uint64_t *ret_len, struct bk_error *err)
{
    uint64_t offset = bk_get_u64(in);
    uint64_t len = bk_get_u64(in + 8);
    uint64_t end;
    if (memcmp(in + 48, segment_magic, sizeof segment_magic) != 0)
        return bk_fail(err, BK_E_CORRUPT,
                       "an index segment does not end as they do: it is cut short or damaged");
    if (offset < SEGMENT_PAGE || offset % SEGMENT_PAGE || len > SEGMENT_RESIDENT_MAX ||
        __builtin_add_overflow(offset, len + SEGMENT_TRAILER, &end) || end != object_bytes)
        return bk_fail(err, BK_E_CORRUPT, "an index segment has impossible offsets");
    *ret_offset = offset;
    *ret_len = len;
    return 0;
}

/* Check the MAC of page 0, the resident part and the trailer's offsets, which lie in one piece. */
static int check_authentic(const struct segment *s, const uint8_t *trailer, struct bk_error *err)
{
    uint8_t tag[SUITE_HASH];
    int r = suite_mac(s->mac, s->resident, s->resident_len, tag, err);
    if (r < 0)
        return r;
    if (memcmp(tag, trailer + SEGMENT_TRAILER_OFFSETS, sizeof tag) != 0)
        return bk_fail(err, BK_E_CORRUPT, "it was not made with this repository's keys, or is damaged");
    return 0;
}

static int read_page0(struct segment *s, enum suite_id suite, uint64_t resident_offset, struct bk_error *err)
{
    const uint8_t *p = s->resident;
    struct object_header h;
    int r = object_header_decode(p, SEGMENT_PAGE, OBJECT_INDEX, SEGMENT_VERSION, &h, err);
    if (r < 0)
        return r;
    s->n_entries = bk_get_u64(p + 16);
    s->n_frames = bk_get_u64(p + 24);
    s->n_packs = bk_get_u64(p + 32);
    s->n_pages = bk_get_u32(p + 40);
    s->entries_page = bk_get_u32(p + 44);
    s->frames_page = bk_get_u32(p + 48);
    s->packs_page = bk_get_u32(p + 52);
    s->n_entry_pages = bk_get_u32(p + 56);
    s->n_superseded = bk_get_u32(p + 60);
    bool fits = h.suite == suite && s->n_entries <= SEGMENT_MAX && s->n_frames <= SEGMENT_MAX &&
                s->n_packs <= SEGMENT_MAX && s->n_entry_pages <= s->n_entries &&
                s->n_entry_pages >= segment_pages_for(s->n_entries, SEGMENT_PER_PAGE) &&
                s->entries_page == 1 && s->frames_page == 1 + s->n_entry_pages &&
                s->packs_page == s->frames_page + segment_pages_for(s->n_frames, SEGMENT_FRAMES_PER_PAGE) &&
                s->n_pages == s->packs_page + segment_pages_for(s->n_packs, SEGMENT_PACKS_PER_PAGE) &&
                s->n_superseded <= SEGMENT_SUPERSEDED_MAX &&
                resident_offset == (uint64_t)s->n_pages * SEGMENT_PAGE;
    return fits ? 0 : bk_fail(err, BK_E_CORRUPT, "its counts do not fit each other");
}

static int read_resident(struct segment *s, size_t resident_len, struct bk_error *err)
{
    size_t fences = (size_t)s->n_entry_pages * 8;
    size_t digests = (size_t)s->n_pages * SEGMENT_DIGEST;
    if (resident_len < fences + digests + FUSE_PARAMS)
        return bk_fail(err, BK_E_CORRUPT, "its resident part is too short");
    s->fences = s->resident + SEGMENT_PAGE;
    s->digests = s->fences + fences;
    const uint8_t *params = s->digests + digests;
    int r = fuse_decode(params, resident_len - fences - digests - FUSE_PARAMS, &s->filter, err);
    if (r < 0)
        return r;
    s->filter.fingerprints = params + FUSE_PARAMS;
    for (uint32_t i = 1; i < s->n_entry_pages; i++)
        if (bk_get_u64(s->fences + (size_t)(i - 1) * 8) >= bk_get_u64(s->fences + (size_t)i * 8))
            return bk_fail(err, BK_E_CORRUPT, "its fences do not ascend");
    return 0;
}

static int resident_fits(size_t len, const uint8_t *trailer, struct bk_error *err)
{
    if (len <= SEGMENT_RESIDENT_MAX && len == bk_get_u64(trailer + 8))
        return 0;
    return bk_fail(err, BK_E_CORRUPT, "the resident part has %zu bytes, the trailer says otherwise", len);
}

int segment_open_adopt(const struct keyring *k, uint8_t *piece, size_t resident_len,
                       const uint8_t trailer[static SEGMENT_TRAILER], struct segment *ret,
                       struct bk_error *err)
{
    struct segment s = { .resident = piece, .resident_len = SEGMENT_AROUND + resident_len };
    int r = resident_fits(resident_len, trailer, err);
    if (r == 0)
        r = segment_mac_new(k, &s.mac, err);
    if (r == 0)
        r = check_authentic(&s, trailer, err);
    if (r == 0)
        r = read_page0(&s, k->suite, bk_get_u64(trailer), err);
    if (r == 0)
        r = read_resident(&s, resident_len, err);
    if (r < 0) {
        suite_mac_free(s.mac);
        return bk_context(err, "open an index segment");
    }
    *ret = s;
    return 0;
}

int segment_open(const struct keyring *k, const uint8_t page0[static SEGMENT_PAGE], const uint8_t *resident,
                 size_t resident_len, const uint8_t trailer[static SEGMENT_TRAILER], struct segment *ret,
                 struct bk_error *err)
{
    int r = resident_fits(resident_len, trailer, err);
    if (r < 0)
        return bk_context(err, "open an index segment");
    bk_auto(free) uint8_t *piece = malloc(SEGMENT_AROUND + resident_len);
    if (!piece)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu bytes of index", resident_len);
    memcpy(piece, page0, SEGMENT_PAGE);
    memcpy(piece + SEGMENT_PAGE, resident, resident_len);
    memcpy(piece + SEGMENT_PAGE + resident_len, trailer, SEGMENT_TRAILER_OFFSETS);
    r = segment_open_adopt(k, piece, resident_len, trailer, ret, err);
    if (r == 0)
        (void)bk_steal(piece);
    return r;
}

void segment_superseded(const struct segment *s, uint32_t i, segment_name *ret)
{
    memcpy(ret->b, s->resident + SEGMENT_SUPERSEDED_AT + (size_t)i * SUITE_HASH, SUITE_HASH);
}

int segment_page_check(const struct segment *s, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                       struct bk_error *err)
{
    if (page >= s->n_pages)
        return bk_fail(err, BK_E_CORRUPT, "an index segment has %u pages, not page %u", s->n_pages, page);
    uint8_t digest[SEGMENT_DIGEST];
    int r = segment_digest(s->mac, page, data, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, s->digests + (size_t)page * SEGMENT_DIGEST, sizeof digest) != 0)
        return bk_fail(err, BK_E_CORRUPT, "page %u of an index segment is damaged", page);
    return 0;
}

static uint64_t fence(const struct segment *s, size_t i)
{
    return bk_get_u64(s->fences + i * 8);
}

/* The last i with fence(i) <= prefix; fence(0) <= prefix holds. Ids are evenly spread, so the place is
 * guessed first, and then bracketed in growing steps: a few memory lines are touched, and fences of
 * any other shape only cost more steps. */
static size_t last_fence(const struct segment *s, uint64_t prefix)
{
    size_t n = s->n_entry_pages;
    size_t lo = (size_t)((unsigned __int128)prefix * n >> 64);
    size_t hi = lo;
    size_t step = 4;
    if (fence(s, lo) <= prefix) {
        do {
            lo = hi;
            hi = n - lo > step ? lo + step : n;
            step *= 2;
        } while (hi < n && fence(s, hi) <= prefix);
    } else {
        do {
            hi = lo;
            lo = hi > step ? hi - step : 0;
            step *= 2;
        } while (fence(s, lo) > prefix);
    }
    while (hi - lo > 1) { /* fence(lo) <= prefix < fence(hi), n counting as infinity */
        size_t mid = lo + (hi - lo) / 2;
        if (fence(s, mid) <= prefix)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void segment_aim(const struct segment *s, const chunk_id *id, struct fuse_aim *ret)
{
    fuse_aim(&s->filter, bk_get_u64(id->b), ret);
}

int64_t segment_page_of(const struct segment *s, const chunk_id *id)
{
    struct fuse_aim a = { 0 };
    segment_aim(s, id, &a);
    return segment_page_aimed(s, id, &a);
}

int64_t segment_page_aimed(const struct segment *s, const chunk_id *id, const struct fuse_aim *a)
{
    if (!fuse_hit(&s->filter, a) || s->n_entry_pages == 0)
        return -1;
    uint64_t prefix = segment_prefix(id->b);
    if (prefix < fence(s, 0))
        return -1;
    return (int64_t)(s->entries_page + last_fence(s, prefix));
}

unsigned segment_page_count(const uint8_t data[static SEGMENT_PAGE])
{
    unsigned n = bk_get_u16(data + SEGMENT_COUNT_AT);
    return n < SEGMENT_PER_PAGE ? n : SEGMENT_PER_PAGE;
}

void segment_page_entry(const uint8_t data[static SEGMENT_PAGE], unsigned i, struct segment_entry *ret)
{
    const uint8_t *p = data + (size_t)i * SEGMENT_ENTRY;
    memcpy(ret->id.b, p, CHUNK_ID);
    ret->frame = bk_get_u32(p + 32);
    ret->slot = bk_get_u16(p + 36);
}

int segment_page_find(const struct segment *s, uint32_t page, const uint8_t data[static SEGMENT_PAGE],
                      const chunk_id *id, struct segment_entry *ret)
{
    if (page < s->entries_page || page - s->entries_page >= s->n_entry_pages)
        return 0;
    unsigned lo = 0;
    unsigned hi = segment_page_count(data);
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int order = memcmp(data + (size_t)mid * SEGMENT_ENTRY, id->b, CHUNK_ID);
        if (order == 0) {
            segment_page_entry(data, mid, ret);
            return 1;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

int segment_frame_page(const struct segment *s, uint64_t i, uint32_t *ret_page, struct bk_error *err)
{
    if (i >= s->n_frames)
        return bk_fail(err, BK_E_CORRUPT, "an index segment has %llu frames, not frame %llu",
                       (unsigned long long)s->n_frames, (unsigned long long)i);
    *ret_page = s->frames_page + (uint32_t)(i / SEGMENT_FRAMES_PER_PAGE);
    return 0;
}

void segment_frame_line(const uint8_t data[static SEGMENT_PAGE], uint64_t i, struct segment_frame *ret)
{
    const uint8_t *p = data + i % SEGMENT_FRAMES_PER_PAGE * SEGMENT_FRAME;
    *ret = (struct segment_frame){
        .pack = bk_get_u32(p),
        .offset = bk_get_u32(p + 4),
        .stored_len = bk_get_u32(p + 8),
        .raw_len = bk_get_u32(p + 12),
    };
}

int segment_pack_page(const struct segment *s, uint64_t i, uint32_t *ret_page, struct bk_error *err)
{
    if (i >= s->n_packs)
        return bk_fail(err, BK_E_CORRUPT, "an index segment has %llu packs, not pack %llu",
                       (unsigned long long)s->n_packs, (unsigned long long)i);
    *ret_page = s->packs_page + (uint32_t)(i / SEGMENT_PACKS_PER_PAGE);
    return 0;
}

void segment_pack_line(const uint8_t data[static SEGMENT_PAGE], uint64_t i, struct segment_pack *ret)
{
    const uint8_t *p = data + i % SEGMENT_PACKS_PER_PAGE * SEGMENT_PACK;
    memcpy(ret->name.b, p, PACK_NAME);
    ret->bytes = bk_get_u32(p + 32);
    ret->kind = p[36];
}
