#include "tests/unit/formats/fixture.h"

#include <stdio.h>

#include "formats/index/segment.h"

struct made {
    struct keyring keys;
    struct segment_entry *entries; /* as given in, unsorted */
    size_t n_entries;
    struct segment_frame *frames;
    size_t n_frames;
    struct segment_pack *packs;
    size_t n_packs;
    struct bk_buf object;
    struct segment seg;
};

static void made_clear(struct made *m)
{
    keyring_clear(&m->keys);
    free(m->entries);
    free(m->frames);
    free(m->packs);
    bk_buf_clear(&m->object);
    segment_clear(&m->seg);
}
BK_AUTO_CLEAR(struct made, made_clear)

static void fill(struct made *m, size_t n_entries, size_t n_frames, size_t n_packs)
{
    uint64_t seed = n_entries;
    *m = (struct made){
        .object = BK_BUF(1 << 28), .n_entries = n_entries, .n_frames = n_frames, .n_packs = n_packs
    };
    fixture_keyring(&m->keys, SUITE_AES256_GCM);
    m->entries = calloc(n_entries + 1, sizeof *m->entries);
    m->frames = calloc(n_frames + 1, sizeof *m->frames);
    m->packs = calloc(n_packs + 1, sizeof *m->packs);
    for (size_t i = 0; i < n_entries; i++) {
        fixture_random(fixture_next(&seed), m->entries[i].id.b, CHUNK_ID);
        m->entries[i].frame = (uint32_t)(fixture_next(&seed) % n_frames);
        m->entries[i].slot = (uint16_t)fixture_next(&seed);
    }
    for (size_t i = 0; i < n_frames; i++)
        m->frames[i] = (struct segment_frame){ .pack = (uint32_t)(fixture_next(&seed) % n_packs),
                                               .offset = (uint32_t)fixture_next(&seed),
                                               .stored_len = (uint32_t)fixture_next(&seed),
                                               .raw_len = (uint32_t)fixture_next(&seed) };
    for (size_t i = 0; i < n_packs; i++) {
        fixture_random(fixture_next(&seed), m->packs[i].name.b, PACK_NAME);
        m->packs[i].bytes = (uint32_t)fixture_next(&seed);
        m->packs[i].kind = i % 2;
    }
}

static int build(struct made *m, struct bk_error *err)
{
    bk_auto(free) struct segment_entry *copy = malloc((m->n_entries + 1) * sizeof *copy);
    memcpy(copy, m->entries, m->n_entries * sizeof *copy);
    struct segment_input in = { .entries = copy,
                                .n_entries = m->n_entries,
                                .frames = m->frames,
                                .n_frames = m->n_frames,
                                .packs = m->packs,
                                .n_packs = m->n_packs };
    return segment_build(&m->keys, &in, &m->object, err);
}

static int open_bytes(const struct keyring *k, const uint8_t *p, size_t len, struct segment *ret,
                      struct bk_error *err)
{
    uint64_t offset, resident_len;
    if (len < SEGMENT_TRAILER)
        return BK_E_CORRUPT;
    const uint8_t *trailer = p + len - SEGMENT_TRAILER;
    int r = segment_trailer_decode(trailer, len, &offset, &resident_len, err);
    if (r < 0)
        return r;
    return segment_open(k, p, p + offset, (size_t)resident_len, trailer, ret, err);
}

static void build_and_open(struct made *m)
{
    struct bk_error err = { 0 };
    assert_ok(build(m, &err));
    assert_ok(open_bytes(&m->keys, m->object.data, m->object.len, &m->seg, &err));
}

static const uint8_t *page_at(const struct made *m, uint32_t page)
{
    struct bk_error err = { 0 };
    const uint8_t *p = m->object.data + (size_t)page * SEGMENT_PAGE;
    assert_ok(segment_page_check(&m->seg, page, p, &err));
    return p;
}

/* Found, and where? */
static int look_up(const struct made *m, const chunk_id *id, struct segment_entry *ret)
{
    int64_t page = segment_page_of(&m->seg, id);
    if (page < 0)
        return 0;
    assert_in_range(page, m->seg.entries_page, m->seg.entries_page + m->seg.n_entry_pages - 1);
    return segment_page_find(&m->seg, (uint32_t)page, m->object.data + (size_t)page * SEGMENT_PAGE, id, ret);
}

static void every_entry_frame_and_pack_is_found(void **state)
{
    (void)state;
    static const size_t sizes[][3] = { { 0, 0, 0 },       { 1, 1, 1 },        { 52, 3, 1 },
                                       { 53, 128, 51 },   { 54, 129, 52 },    { 106, 127, 103 },
                                       { 1000, 300, 10 }, { 30000, 5000, 60 } };
    for (size_t i = 0; i < BK_COUNT(sizes); i++) {
        struct bk_error err = { 0 };
        bk_auto(made_clear) struct made m;
        fill(&m, sizes[i][0], sizes[i][1], sizes[i][2]);
        build_and_open(&m);
        assert_int_equal(m.seg.n_entries, m.n_entries);
        for (uint32_t p = 0; p < m.seg.n_pages; p++)
            page_at(&m, p);
        for (size_t e = 0; e < m.n_entries; e++) {
            struct segment_entry got;
            assert_int_equal(look_up(&m, &m.entries[e].id, &got), 1);
            assert_memory_equal(got.id.b, m.entries[e].id.b, CHUNK_ID);
            assert_int_equal(got.frame, m.entries[e].frame);
            assert_int_equal(got.slot, m.entries[e].slot);
        }
        uint32_t page;
        for (size_t f = 0; f < m.n_frames; f++) {
            struct segment_frame got;
            assert_ok(segment_frame_page(&m.seg, f, &page, &err));
            segment_frame_line(page_at(&m, page), f, &got);
            assert_memory_equal(&got, &m.frames[f], sizeof got);
        }
        for (size_t s = 0; s < m.n_packs; s++) {
            struct segment_pack got;
            assert_ok(segment_pack_page(&m.seg, s, &page, &err));
            segment_pack_line(page_at(&m, page), s, &got);
            assert_memory_equal(got.name.b, m.packs[s].name.b, PACK_NAME);
            assert_int_equal(got.bytes, m.packs[s].bytes);
            assert_int_equal(got.kind, m.packs[s].kind);
        }
        assert_int_equal(segment_frame_page(&m.seg, m.n_frames, &page, &err), BK_E_CORRUPT);
        assert_int_equal(segment_pack_page(&m.seg, m.n_packs, &page, &err), BK_E_CORRUPT);
    }
}

static void strangers_are_not_found(void **state)
{
    (void)state;
    bk_auto(made_clear) struct made m;
    fill(&m, 20000, 10, 1);
    build_and_open(&m);
    struct segment_entry got;
    size_t passed = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        chunk_id id;
        fixture_random(i << 20, id.b, CHUNK_ID);
        passed += segment_page_of(&m.seg, &id) >= 0;
        assert_int_equal(look_up(&m, &id, &got), 0);
    }
    assert_in_range(passed, 200, 600);
    for (size_t e = 0; e < 1000; e++) { /* the same first 8 bytes: the filter passes, the page decides */
        chunk_id id = m.entries[e].id;
        id.b[31] ^= 1;
        assert_int_equal(look_up(&m, &id, &got), 0);
    }
}

static void walking_the_pages_gives_sorted_unique_entries(void **state)
{
    (void)state;
    bk_auto(made_clear) struct made m;
    fill(&m, 5000, 10, 1);
    for (size_t i = 0; i < 1000; i++) { /* copies elsewhere: the smallest (frame, slot) stays */
        m.entries[4000 + i] = m.entries[i];
        m.entries[4000 + i].frame = m.entries[i].frame ? m.entries[i].frame - 1 : 5;
    }
    build_and_open(&m);
    assert_int_equal(m.seg.n_entries, 4000);
    struct segment_entry last = { 0 }, e;
    size_t n = 0;
    for (uint32_t p = 0; p < m.seg.n_entry_pages; p++) {
        const uint8_t *data = page_at(&m, m.seg.entries_page + p);
        unsigned count = segment_page_count(data);
        for (unsigned i = 0; i < count; i++, n++) {
            segment_page_entry(data, i, &e);
            assert_true(n == 0 || chunk_id_cmp(&last.id, &e.id) < 0);
            last = e;
        }
    }
    assert_int_equal(n, 4000);
    for (size_t i = 0; i < 1000; i++) {
        uint32_t frame = m.entries[i].frame;
        assert_int_equal(look_up(&m, &m.entries[i].id, &e), 1);
        assert_int_equal(e.frame, frame ? frame - 1 : 0);
    }
}

static void equal_prefixes_stay_together(void **state)
{
    (void)state;
    static const size_t runs[] = { 2, 30, 53, 54 };
    for (size_t r = 0; r < BK_COUNT(runs); r++) {
        struct bk_error err = { 0 };
        struct segment_entry got;
        bk_auto(made_clear) struct made m;
        fill(&m, 2000, 10, 1);
        /* groups of `run` ids with one prefix, at all alignments to the pages */
        for (size_t i = 0; i < m.n_entries; i++)
            if (i / 60 % 2 == 0 && i % 60 < runs[r])
                memcpy(m.entries[i].id.b, m.entries[i / 60 * 60].id.b, 8);
        if (runs[r] > SEGMENT_PER_PAGE) {
            assert_int_equal(build(&m, &err), BK_E_LIMIT);
            assert_int_equal(m.object.len, 0);
            continue;
        }
        build_and_open(&m);
        for (size_t e = 0; e < m.n_entries; e++)
            assert_int_equal(look_up(&m, &m.entries[e].id, &got), 1);
    }
}

static void uneven_ids_are_found(void **state)
{
    (void)state;
    bk_auto(made_clear) struct made m;
    struct segment_entry got;
    fill(&m, 20000, 10, 1);
    for (size_t i = 0; i < m.n_entries; i++) {
        memset(m.entries[i].id.b, i % 3 == 0 ? 0xff : 0, 5); /* both ends, nothing between */
        if (i % 1000 == 1)
            m.entries[i].id.b[0] = 0x80;
    }
    build_and_open(&m);
    for (size_t e = 0; e < m.n_entries; e++)
        assert_int_equal(look_up(&m, &m.entries[e].id, &got), 1);
    static const uint8_t ends[] = { 0x00, 0xff };
    for (size_t i = 0; i < 2; i++) {
        chunk_id id;
        memset(id.b, ends[i], CHUNK_ID);
        assert_int_equal(look_up(&m, &id, &got), 0);
    }
}

static void damage_is_always_noticed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(made_clear) struct made m;
    fill(&m, 120, 20, 3);
    build_and_open(&m);
    size_t resident_at = (size_t)m.seg.n_pages * SEGMENT_PAGE;
    for (size_t i = 0; i < m.object.len; i++) {
        bk_auto(segment_clear) struct segment s = { 0 };
        m.object.data[i] ^= (uint8_t)(1 << i % 8);
        int r = open_bytes(&m.keys, m.object.data, m.object.len, &s, &err);
        if (i < SEGMENT_PAGE || i >= resident_at) {
            assert_int_equal(r, BK_E_CORRUPT);
        } else {
            assert_int_equal(r, 0);
            for (uint32_t p = 0; p < s.n_pages; p++) {
                const uint8_t *data = m.object.data + (size_t)p * SEGMENT_PAGE;
                assert_int_equal(segment_page_check(&s, p, data, &err),
                                 p == i / SEGMENT_PAGE ? BK_E_CORRUPT : 0);
            }
        }
        m.object.data[i] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t len = 0; len < m.object.len; len += len < 300 ? 1 : 97) {
        bk_auto(segment_clear) struct segment s = { 0 };
        bk_auto(free) uint8_t *copy = malloc(len + 1);
        memcpy(copy, m.object.data, len);
        assert_int_equal(open_bytes(&m.keys, copy, len, &s, &err), BK_E_CORRUPT);
    }
    /* a whole page in the place of another */
    assert_int_equal(segment_page_check(&m.seg, 1, page_at(&m, 2), &err), BK_E_CORRUPT);
    assert_int_equal(segment_page_check(&m.seg, m.seg.n_pages, page_at(&m, 2), &err), BK_E_CORRUPT);
}

static void another_repository_is_not_believed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(made_clear) struct made m;
    bk_auto(segment_clear) struct segment s = { 0 };
    fill(&m, 100, 2, 1);
    build_and_open(&m);
    m.keys.root[5] ^= 4;
    assert_int_equal(open_bytes(&m.keys, m.object.data, m.object.len, &s, &err), BK_E_CORRUPT);
}

static void trailers_are_strict(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    static const uint64_t bad[][3] = {
        { 2048, 100, 2048 + 100 + 57 },
        { 0, 100, 156 },
        { 2049, 100, 2049 + 156 },
        { UINT64_MAX - 2047, 2048, 56 },
        { 2048, UINT64_MAX, 2103 },
        { 2048, SEGMENT_RESIDENT_MAX + 1ull, 2048 + 56 + SEGMENT_RESIDENT_MAX + 1ull },
    };
    uint8_t t[SEGMENT_TRAILER] = { 0 };
    uint64_t offset, len;
    memcpy(t + 48, "BKIEND01", 8);
    bk_put_u64(t, 2048);
    bk_put_u64(t + 8, 100);
    assert_ok(segment_trailer_decode(t, 2048 + 100 + 56, &offset, &len, &err));
    assert_int_equal(offset, 2048);
    assert_int_equal(len, 100);
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        bk_put_u64(t, bad[i][0]);
        bk_put_u64(t + 8, bad[i][1]);
        assert_int_equal(segment_trailer_decode(t, bad[i][2], &offset, &len, &err), BK_E_CORRUPT);
    }
}

static void dangling_references_are_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(made_clear) struct made m;
    fill(&m, 10, 3, 2);
    m.entries[4].frame = 3;
    assert_int_equal(build(&m, &err), BK_E_USAGE);
    m.entries[4].frame = 2;
    m.frames[1].pack = 2;
    assert_int_equal(build(&m, &err), BK_E_USAGE);
    m.frames[1].pack = 1;
    m.object.limit = 5000; /* no room: out is as before */
    assert_ok(bk_buf_append(&m.object, "before", 6, &err));
    assert_int_equal(build(&m, &err), BK_E_LIMIT);
    assert_int_equal(m.object.len, 6);
}

static void segments_are_pinned(void **state)
{
    (void)state;
    static const char *const want[] = { "13ca569df23e37b90bfc4d06f67596fc11138a67cc8ee0a8e4defb3dc05217b9",
                                        "59a92492c0417b07686395f12f17498bf603bf624ee47d55f079bc180a1ecc87" };
    static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };
    for (size_t i = 0; i < BK_COUNT(suites); i++) {
        bk_auto(made_clear) struct made m;
        fill(&m, 3000, 200, 60);
        keyring_clear(&m.keys);
        fixture_keyring(&m.keys, suites[i]);
        build_and_open(&m);
        assert_pinned(m.object.data, m.object.len, want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_frame_and_pack_is_found),
        cmocka_unit_test(strangers_are_not_found),
        cmocka_unit_test(walking_the_pages_gives_sorted_unique_entries),
        cmocka_unit_test(equal_prefixes_stay_together),
        cmocka_unit_test(uneven_ids_are_found),
        cmocka_unit_test(damage_is_always_noticed),
        cmocka_unit_test(another_repository_is_not_believed),
        cmocka_unit_test(trailers_are_strict),
        cmocka_unit_test(dangling_references_are_refused),
        cmocka_unit_test(segments_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
