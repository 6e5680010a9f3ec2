#include "formats/index/segment_layout.h"

enum { BUCKET_BITS = 12 };

struct build {
    const struct segment_input *in;
    size_t n_entries; /* after equal ids were dropped */
    size_t n_entry_pages;
    size_t frames_page, packs_page, n_pages;
    uint8_t *pages; /* into out */
};

static int compare_entries(const void *a, const void *b)
{
    const struct segment_entry *x = a;
    const struct segment_entry *y = b;
    int order = chunk_id_cmp(&x->id, &y->id);
    if (order)
        return order;
    if (x->frame != y->frame)
        return x->frame < y->frame ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static size_t bucket_of(const struct segment_entry *e)
{
    return (size_t)e->id.b[0] << (BUCKET_BITS - 8) | e->id.b[1] >> (16 - BUCKET_BITS);
}

/* Ids are evenly spread. One pass carries each entry to its bucket, in place, so that what is left to
 * sort fits the cache: qsort over all of them takes three times as long. */
static void sort_entries(struct segment_entry *e, size_t n)
{
    uint32_t next[1 << BUCKET_BITS];
    uint32_t end[1 << BUCKET_BITS] = { 0 };
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        end[bucket_of(&e[i])]++;
    for (size_t b = 0; b < BK_COUNT(end); b++) {
        next[b] = sum;
        sum += end[b];
        end[b] = sum;
    }
    uint32_t start = 0;
    for (size_t b = 0; b < BK_COUNT(end); start = end[b++]) {
        while (next[b] < end[b]) {
            struct segment_entry carried = e[next[b]];
            for (size_t to; (to = bucket_of(&carried)) != b;) {
                struct segment_entry there = e[next[to]];
                e[next[to]++] = carried;
                carried = there;
            }
            e[next[b]++] = carried;
        }
        if (end[b] - start > 1)
            qsort(e + start, end[b] - start, sizeof *e, compare_entries);
    }
}

static bool is_sorted(const struct segment_entry *e, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (compare_entries(&e[i - 1], &e[i]) > 0)
            return false;
    return true;
}

void segment_sort(struct segment_entry *e, size_t n)
{
    if (!is_sorted(e, n))
        sort_entries(e, n);
}

static size_t sort_unique(struct segment_entry *e, size_t n)
{
    if (n == 0)
        return 0;
    segment_sort(e, n);
    size_t kept = 1;
    for (size_t i = 1; i < n; i++)
        if (chunk_id_cmp(&e[kept - 1].id, &e[i].id) != 0)
            e[kept++] = e[i];
    return kept;
}

static int check_input(const struct segment_input *in, struct bk_error *err)
{
    if (in->n_entries > SEGMENT_MAX || in->n_frames > SEGMENT_MAX || in->n_packs > SEGMENT_MAX)
        return bk_fail(err, BK_E_LIMIT, "an index segment of %zu chunks, %zu frames and %zu packs is too big",
                       in->n_entries, in->n_frames, in->n_packs);
    if (in->n_superseded > SEGMENT_SUPERSEDED_MAX)
        return bk_fail(err, BK_E_LIMIT, "an index segment cannot supersede %zu others", in->n_superseded);
    for (size_t i = 0; i < in->n_entries; i++)
        if (in->entries[i].frame >= in->n_frames)
            return bk_fail(err, BK_E_USAGE, "an index entry refers to frame %u of %zu", in->entries[i].frame,
                           in->n_frames);
    for (size_t i = 0; i < in->n_frames; i++)
        if (in->frames[i].pack >= in->n_packs)
            return bk_fail(err, BK_E_USAGE, "an index frame refers to pack %u of %zu", in->frames[i].pack,
                           in->n_packs);
    return 0;
}

/* How many entries from `first` on share a page: as many as fit, less a tail that shares its
 * prefix with the entry after it. 0 when no page can hold all of one prefix. */
static size_t page_fill(const struct segment_entry *e, size_t n, size_t first)
{
    size_t end = first + SEGMENT_PER_PAGE;
    if (end >= n)
        return n - first;
    uint64_t next = segment_prefix(e[end].id.b);
    while (end > first && segment_prefix(e[end - 1].id.b) == next)
        end--;
    return end - first;
}

static int plan(struct build *b, struct bk_error *err)
{
    const struct segment_input *in = b->in;
    b->n_entry_pages = 0;
    for (size_t i = 0; i < b->n_entries; b->n_entry_pages++) {
        size_t n = page_fill(in->entries, b->n_entries, i);
        if (n == 0)
            return bk_fail(err, BK_E_LIMIT, "more than %d chunk ids begin with the same 8 bytes",
                           SEGMENT_PER_PAGE);
        i += n;
    }
    b->frames_page = 1 + b->n_entry_pages;
    b->packs_page = b->frames_page + (size_t)segment_pages_for(in->n_frames, SEGMENT_FRAMES_PER_PAGE);
    b->n_pages = b->packs_page + (size_t)segment_pages_for(in->n_packs, SEGMENT_PACKS_PER_PAGE);
    return 0;
}

static void put_page0(const struct build *b, enum suite_id suite)
{
    uint8_t *p = b->pages;
    object_header_encode(
        &(struct object_header){ .kind = OBJECT_INDEX, .version = SEGMENT_VERSION, .suite = suite }, p);
    bk_put_u64(p + 16, b->n_entries);
    bk_put_u64(p + 24, b->in->n_frames);
    bk_put_u64(p + 32, b->in->n_packs);
    bk_put_u32(p + 40, (uint32_t)b->n_pages);
    bk_put_u32(p + 44, 1);
    bk_put_u32(p + 48, (uint32_t)b->frames_page);
    bk_put_u32(p + 52, (uint32_t)b->packs_page);
    bk_put_u32(p + 56, (uint32_t)b->n_entry_pages);
    bk_put_u32(p + 60, (uint32_t)b->in->n_superseded);
    for (size_t i = 0; i < b->in->n_superseded; i++)
        memcpy(p + SEGMENT_SUPERSEDED_AT + i * SUITE_HASH, b->in->superseded[i].b, SUITE_HASH);
}

static void put_entries(const struct build *b, uint8_t *fences)
{
    uint8_t *page = b->pages + SEGMENT_PAGE;
    for (size_t i = 0; i < b->n_entries; page += SEGMENT_PAGE, fences += 8) {
        size_t n = page_fill(b->in->entries, b->n_entries, i);
        bk_put_u64(fences, segment_prefix(b->in->entries[i].id.b));
        for (size_t k = 0; k < n; k++) {
            const struct segment_entry *e = &b->in->entries[i + k];
            uint8_t *p = page + k * SEGMENT_ENTRY;
            memcpy(p, e->id.b, CHUNK_ID);
            bk_put_u32(p + 32, e->frame);
            bk_put_u16(p + 36, e->slot);
        }
        bk_put_u16(page + SEGMENT_COUNT_AT, (uint16_t)n);
        i += n;
    }
}

static void put_tables(const struct build *b)
{
    uint8_t *frames = b->pages + b->frames_page * SEGMENT_PAGE;
    for (size_t i = 0; i < b->in->n_frames; i++) {
        const struct segment_frame *f = &b->in->frames[i];
        uint8_t *p = frames + i * SEGMENT_FRAME; /* 128 lines fill a page exactly */
        bk_put_u32(p, f->pack);
        bk_put_u32(p + 4, f->offset);
        bk_put_u32(p + 8, f->stored_len);
        bk_put_u32(p + 12, f->raw_len);
    }
    uint8_t *packs = b->pages + b->packs_page * SEGMENT_PAGE;
    for (size_t i = 0; i < b->in->n_packs; i++) {
        const struct segment_pack *s = &b->in->packs[i];
        uint8_t *p =
            packs + i / SEGMENT_PACKS_PER_PAGE * SEGMENT_PAGE + i % SEGMENT_PACKS_PER_PAGE * SEGMENT_PACK;
        memcpy(p, s->name.b, PACK_NAME);
        bk_put_u32(p + 32, s->bytes);
        p[36] = s->kind;
    }
}

static int put_filter(const struct build *b, struct bk_buf *resident, struct bk_error *err)
{
    uint64_t *keys = malloc((b->n_entries ? b->n_entries : 1) * sizeof *keys);
    if (!keys)
        return bk_fail(err, BK_E_NOMEM, "no memory for the filter of an index segment");
    for (size_t i = 0; i < b->n_entries; i++)
        keys[i] = bk_get_u64(b->in->entries[i].id.b);
    size_t at = resident->len;
    uint8_t *params;
    struct fuse f;
    int r = bk_buf_extend(resident, FUSE_PARAMS, &params, err);
    if (r == 0)
        r = fuse_build(keys, b->n_entries, &f, resident, err);
    free(keys);
    if (r == 0)
        fuse_encode(&f, resident->data + at);
    return r;
}

/* Fill the pages in out, and gather in `mac_input` what the trailer's MAC covers: page 0,
 * the resident part, its offset and length. */
static int put_all(struct build *b, const struct keyring *k, const struct suite_mac *mac,
                   struct bk_buf *mac_input, struct bk_error *err)
{
    uint8_t *p;
    put_page0(b, k->suite);
    size_t fences = SEGMENT_PAGE;
    size_t digests = fences + b->n_entry_pages * 8;
    int r = bk_buf_extend(mac_input, digests + b->n_pages * SEGMENT_DIGEST, &p, err);
    if (r < 0)
        return r;
    memcpy(p, b->pages, SEGMENT_PAGE);
    put_entries(b, p + fences);
    put_tables(b);
    for (size_t i = 0; i < b->n_pages && r == 0; i++)
        r = segment_digest(mac, (uint32_t)i, b->pages + i * SEGMENT_PAGE, p + digests + i * SEGMENT_DIGEST,
                           err);
    if (r == 0)
        r = put_filter(b, mac_input, err);
    size_t resident_len = mac_input->len - SEGMENT_PAGE;
    if (r == 0)
        r = bk_buf_u64(mac_input, b->n_pages * SEGMENT_PAGE, err);
    if (r == 0)
        r = bk_buf_u64(mac_input, resident_len, err);
    return r;
}

static int build(struct build *b, const struct keyring *k, struct bk_buf *out, struct bk_error *err)
{
    bk_auto(suite_mac_free) struct suite_mac *mac = NULL;
    bk_auto(bk_buf_clear) struct bk_buf mac_input =
        BK_BUF(SEGMENT_PAGE + SEGMENT_RESIDENT_MAX + SEGMENT_TRAILER);
    int r = segment_mac_new(k, &mac, err);
    if (r == 0)
        r = plan(b, err);
    if (r == 0)
        r = bk_buf_extend(out, b->n_pages * SEGMENT_PAGE, &b->pages, err);
    if (r < 0)
        return r;
    memset(b->pages, 0, b->n_pages * SEGMENT_PAGE);
    r = put_all(b, k, mac, &mac_input, err);
    uint8_t tag[SUITE_HASH];
    if (r == 0)
        r = suite_mac(mac, mac_input.data, mac_input.len, tag, err);
    if (r == 0)
        r = bk_buf_append(out, mac_input.data + SEGMENT_PAGE, mac_input.len - SEGMENT_PAGE, err);
    if (r == 0)
        r = bk_buf_append(out, tag, sizeof tag, err);
    if (r == 0)
        r = bk_buf_append(out, segment_magic, sizeof segment_magic, err);
    return r;
}

int segment_build(const struct keyring *k, const struct segment_input *in, struct bk_buf *out,
                  struct bk_error *err)
{
    size_t before = out->len;
    int r = check_input(in, err);
    if (r == 0) {
        struct build b = { .in = in, .n_entries = sort_unique(in->entries, in->n_entries) };
        r = build(&b, k, out, err);
    }
    if (r < 0) {
        out->len = before;
        return bk_context(err, "build an index segment");
    }
    return 0;
}
