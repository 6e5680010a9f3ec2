#include "tests/unit/formats/fixture.h"

#include "formats/pack/pack.h"

enum { N_FRAMES = 5, CHUNKS_PER_FRAME = 3, CHUNK_BYTES = 40 };

/* A whole small pack, as the writer of packs will make them. */
struct made {
    struct keyring keys;
    struct suite_aead *aead;
    struct frame_codec *codec;
    struct bk_buf pack;
    struct pack_directory dir;
    struct pack_trailer trailer;
};

static void made_clear(struct made *m)
{
    keyring_clear(&m->keys);
    suite_aead_free(m->aead);
    frame_codec_free(m->codec);
    bk_buf_clear(&m->pack);
    pack_directory_clear(&m->dir);
}
BK_AUTO_CLEAR(struct made, made_clear)

static void add_frame(struct made *m, uint32_t number)
{
    struct bk_error err = { 0 };
    uint32_t lengths[CHUNKS_PER_FRAME];
    chunk_id ids[CHUNKS_PER_FRAME];
    uint8_t data[CHUNKS_PER_FRAME * CHUNK_BYTES];
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    fixture_random(number, data, sizeof data);
    fixture_random(100 + number, ids, sizeof ids);
    for (size_t i = 0; i < CHUNKS_PER_FRAME; i++)
        lengths[i] = CHUNK_BYTES;
    assert_ok(bk_buf_append(&plain, data, sizeof data, &err));
    assert_ok(frame_table_encode(&plain, lengths, CHUNKS_PER_FRAME, &err));
    size_t at = m->pack.len;
    assert_ok(frame_seal(m->codec, m->aead, CHUNK_DATA, number, plain.data, plain.len, &m->pack, &err));
    assert_ok(pack_directory_add(&m->dir, (uint32_t)at, (uint32_t)(m->pack.len - at), (uint32_t)plain.len,
                                 ids, CHUNKS_PER_FRAME, &err));
}

static void make(struct made *m, enum suite_id suite)
{
    struct bk_error err = { 0 };
    struct pack_header h = { .suite = suite, .epoch = 0, .kind = CHUNK_DATA };
    uint8_t key[SUITE_KEY], header[PACK_HEADER], trailer[PACK_TRAILER];
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    *m = (struct made){ .pack = BK_BUF(PACK_MAX_BYTES) };
    fixture_keyring(&m->keys, suite);
    fixture_random(77, h.salt, sizeof h.salt);
    assert_ok(keyring_object_key(&m->keys, 0, h.salt, "pack", key, &err));
    assert_ok(suite_aead_new(suite, key, &m->aead, &err));
    assert_ok(frame_codec_new(0, &m->codec, &err));
    pack_header_encode(&h, header);
    assert_ok(bk_buf_append(&m->pack, header, sizeof header, &err));
    for (uint32_t i = 0; i < N_FRAMES; i++)
        add_frame(m, i);
    assert_ok(pack_directory_encode(&m->dir, &plain, &err));
    m->trailer = (struct pack_trailer){ .dir_offset = m->pack.len,
                                        .n_frames = m->dir.n_frames,
                                        .n_chunks = m->dir.n_chunks };
    assert_ok(frame_seal(m->codec, m->aead, FRAME_DIRECTORY, PACK_DIRECTORY_NUMBER, plain.data, plain.len,
                         &m->pack, &err));
    m->trailer.dir_bytes = (uint32_t)(m->pack.len - m->trailer.dir_offset);
    pack_trailer_encode(&m->trailer, header, trailer);
    assert_ok(bk_buf_append(&m->pack, trailer, sizeof trailer, &err));
}

/* Read a pack from its bytes alone; every frame must hold what make() put there. */
static int read_all(const struct keyring *k, const uint8_t *p, size_t len, struct pack_directory *d,
                    struct bk_error *err)
{
    struct pack_header h;
    struct pack_trailer t;
    uint8_t key[SUITE_KEY];
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    bk_auto(frame_codec_free) struct frame_codec *c = NULL;
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    int r = pack_header_decode(p, len, &h, err);
    if (r < 0)
        return r;
    if (len < PACK_HEADER + PACK_TRAILER)
        return BK_E_CORRUPT;
    r = pack_trailer_decode(p + len - PACK_TRAILER, p, len, &t, err);
    if (r < 0)
        return r;
    r = keyring_object_key(k, h.epoch, h.salt, "pack", key, err);
    if (r == 0)
        r = suite_aead_new(h.suite, key, &a, err);
    if (r == 0)
        r = frame_codec_new(0, &c, err);
    if (r == 0)
        r = frame_open(c, a, FRAME_DIRECTORY, PACK_DIRECTORY_NUMBER, p + t.dir_offset, t.dir_bytes, &plain,
                       err);
    if (r == 0)
        r = pack_directory_decode(plain.data, plain.len, &t, d, err);
    for (uint32_t i = 0; r == 0 && i < d->n_frames; i++) {
        struct pack_frame f = d->frames[i];
        struct frame_table table;
        r = frame_open(c, a, (uint8_t)h.kind, i, p + f.offset, f.stored_len, &plain, err);
        if (r == 0)
            r = frame_table_decode(plain.data, plain.len, &table, err);
        if (r < 0)
            break;
        uint8_t want[CHUNKS_PER_FRAME * CHUNK_BYTES];
        chunk_id ids[CHUNKS_PER_FRAME];
        fixture_random(i, want, sizeof want);
        fixture_random(100 + i, ids, sizeof ids);
        assert_int_equal(plain.len, f.raw_len);
        assert_int_equal(table.n_chunks, CHUNKS_PER_FRAME);
        assert_int_equal(f.n_chunks, CHUNKS_PER_FRAME);
        assert_memory_equal(plain.data, want, sizeof want);
        assert_memory_equal(d->ids + f.first_chunk, ids, sizeof ids);
    }
    return r;
}

static void a_pack_reads_back(void **state)
{
    (void)state;
    static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };
    static const char *const want[] = { "a5ec8942e41783d8fb2a1355661b495df3c1f045bd424fd5ea558b7cec64e06c",
                                        "4601f38be99e693f5d54eef0a3f7bd5384e767a9cfc6f2206df181920ac4289b" };
    for (size_t s = 0; s < BK_COUNT(suites); s++) {
        struct bk_error err = { 0 };
        bk_auto(made_clear) struct made m;
        bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
        make(&m, suites[s]);
        assert_ok(read_all(&m.keys, m.pack.data, m.pack.len, &d, &err));
        assert_int_equal(d.n_frames, N_FRAMES);
        assert_int_equal(d.n_chunks, N_FRAMES * CHUNKS_PER_FRAME);
        assert_pinned(m.pack.data, m.pack.len, want[s]);
    }
}

static void damage_is_noticed_or_harmless(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(made_clear) struct made m;
    make(&m, SUITE_AES256_GCM);
    unsigned harmless = 0;
    for (size_t i = 0; i < m.pack.len; i++) {
        for (unsigned flip = 1; flip < 256; flip = flip == 1 ? 0x80 : flip == 0x80 ? 0xff : 256) {
            bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
            m.pack.data[i] ^= (uint8_t)flip;
            int r = read_all(&m.keys, m.pack.data, m.pack.len, &d, &err);
            harmless += r == 0;
            m.pack.data[i] ^= (uint8_t)flip;
        }
    }
    /* only the frames' xxh3 fields are outside every tag and checksum on this path */
    assert_int_equal(harmless, 3 * 8 * (N_FRAMES + 1));
    for (size_t len = 0; len < m.pack.len; len++) {
        bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
        bk_auto(free) uint8_t *copy = malloc(len + 1);
        memcpy(copy, m.pack.data, len);
        assert_true(read_all(&m.keys, copy, len, &d, &err) < 0);
    }
}

static unsigned count_frames(const uint8_t *p, size_t len, uint32_t *found)
{
    size_t pos = 0, offset;
    struct frame_header h;
    unsigned n = 0;
    *found = 0;
    while (pack_scan(p, len, &pos, &offset, &h)) {
        assert_true(offset + FRAME_HEADER + h.stored_len == pos && pos <= len);
        if (h.kind != FRAME_DIRECTORY)
            *found |= (uint32_t)1 << h.number;
        n++;
    }
    assert_int_equal(pos, len);
    return n;
}

static void scan_finds_every_whole_frame(void **state)
{
    (void)state;
    bk_auto(made_clear) struct made m;
    uint32_t found;
    make(&m, SUITE_AES256_GCM);
    assert_int_equal(count_frames(m.pack.data, m.pack.len, &found), N_FRAMES + 1);
    assert_int_equal(found, (1 << N_FRAMES) - 1);
    for (size_t i = 0; i < m.pack.len; i++) {
        m.pack.data[i] ^= 0x10;
        bool outside = i < PACK_HEADER || i >= m.pack.len - PACK_TRAILER;
        assert_int_equal(count_frames(m.pack.data, m.pack.len, &found), N_FRAMES + outside);
        for (uint32_t f = 0; f < N_FRAMES; f++) {
            bool hit = i >= m.dir.frames[f].offset && i < m.dir.frames[f].offset + m.dir.frames[f].stored_len;
            assert_int_equal(found >> f & 1, !hit);
        }
        m.pack.data[i] ^= 0x10;
    }
    for (size_t len = 0; len < m.pack.len; len += 3) { /* a lost end */
        bk_auto(free) uint8_t *copy = malloc(len + 1);
        memcpy(copy, m.pack.data, len);
        unsigned whole = 0;
        for (uint32_t f = 0; f < N_FRAMES; f++)
            whole += m.dir.frames[f].offset + m.dir.frames[f].stored_len <= len;
        whole += m.trailer.dir_offset + m.trailer.dir_bytes <= len;
        assert_int_equal(count_frames(copy, len, &found), whole);
    }
    assert_int_equal(
        count_frames((const uint8_t *)"BKF1BKF1BKF1BKF1BKF1BKF1BKF1BKF1BKF1BKF1BKF1BKF1", 48, &found), 0);
}

static void headers_and_trailers_are_strict(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct pack_header h;
    struct pack_trailer t;
    uint8_t header[PACK_HEADER], trailer[PACK_TRAILER];
    pack_header_encode(&(struct pack_header){ .suite = SUITE_SM4, .epoch = 9, .kind = CHUNK_META }, header);
    assert_ok(pack_header_decode(header, sizeof header, &h, &err));
    assert_int_equal(h.suite, SUITE_SM4);
    assert_int_equal(h.epoch, 9);
    assert_int_equal(h.kind, CHUNK_META);
    for (size_t len = 0; len < sizeof header; len++)
        assert_int_equal(pack_header_decode(header, len, &h, &err), BK_E_CORRUPT);
    header[20] = 2;
    assert_int_equal(pack_header_decode(header, sizeof header, &h, &err), BK_E_CORRUPT);
    header[20] = 1;

    const struct pack_trailer good = { .dir_offset = 1056, .dir_bytes = 104, .n_frames = 1, .n_chunks = 1 };
    const uint64_t bytes = 1056 + 104 + PACK_TRAILER;
    pack_trailer_encode(&good, header, trailer);
    assert_ok(pack_trailer_decode(trailer, header, bytes, &t, &err));
    assert_int_equal(pack_trailer_decode(trailer, header, bytes + 1, &t, &err), BK_E_CORRUPT);
    static const struct pack_trailer bad[] = {
        { .dir_offset = 55, .dir_bytes = 1105 },
        { .dir_offset = 1160, .dir_bytes = 0 },
        { .dir_offset = UINT64_MAX - 40, .dir_bytes = 1240 },
        { .dir_offset = 1056, .dir_bytes = 104, .n_frames = PACK_MAX_FRAMES + 1 },
        { .dir_offset = 1056, .dir_bytes = 104, .n_chunks = PACK_MAX_CHUNKS + 1 },
    };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        pack_trailer_encode(&bad[i], header, trailer);
        assert_int_equal(pack_trailer_decode(trailer, header, bytes, &t, &err), BK_E_CORRUPT);
    }
}

static void directories_with_gaps_are_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    static const struct {
        uint32_t offset[2];
        uint32_t stored[2];
        uint64_t end;
    } cases[] = {
        { { 56, 156 }, { 100, 200 }, 356 },       /* right */
        { { 57, 157 }, { 100, 200 }, 357 },       /* late start */
        { { 56, 157 }, { 100, 200 }, 357 },       /* gap */
        { { 56, 155 }, { 100, 200 }, 355 },       /* overlap */
        { { 56, 156 }, { 100, 200 }, 357 },       /* gap at the end */
        { { 56, 56 }, { 0, 200 }, 256 },          /* empty */
        { { 56, 55 }, { UINT32_MAX, 200 }, 255 }, /* wraps */
    };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        bk_auto(pack_directory_clear) struct pack_directory d = { 0 }, back = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1000);
        chunk_id id = { { 1 } };
        for (size_t f = 0; f < 2; f++)
            assert_ok(pack_directory_add(&d, cases[i].offset[f], cases[i].stored[f], 10, &id, 1, &err));
        assert_ok(pack_directory_encode(&d, &out, &err));
        struct pack_trailer t = { .dir_offset = cases[i].end, .n_frames = 2, .n_chunks = 2 };
        assert_int_equal(pack_directory_decode(out.data, out.len, &t, &back, &err), i ? BK_E_CORRUPT : 0);
        t.n_chunks = 4; /* and counts that differ */
        t.n_frames = 1;
        assert_int_equal(pack_directory_decode(out.data, out.len, &t, &d, &err), BK_E_CORRUPT);
    }
}

static void directories_grow_after_decoding(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pack_directory_clear) struct pack_directory d = { 0 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(FRAME_MAX_RAW);
    chunk_id ids[40] = { { { 0 } } };
    uint32_t offset = PACK_HEADER;
    for (uint32_t i = 0; i < 41; i++, offset += 100) {
        ids[0].b[0] = (uint8_t)i;
        assert_ok(pack_directory_add(&d, offset, 100, 10, ids, i % 40, &err));
    }
    assert_ok(pack_directory_encode(&d, &out, &err));
    struct pack_trailer t = { .dir_offset = offset, .n_frames = d.n_frames, .n_chunks = d.n_chunks };
    assert_ok(pack_directory_decode(out.data, out.len, &t, &back, &err));
    for (uint32_t i = 0; i < 100; i++)
        assert_ok(pack_directory_add(&back, offset, 100, 10, ids, 40, &err));
    assert_int_equal(back.n_frames, 141);
    assert_memory_equal(back.ids, d.ids, d.n_chunks * sizeof *d.ids);
    assert_int_equal(back.frames[140].first_chunk + 40, back.n_chunks);
}

static void a_full_directory_says_so(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(FRAME_MAX_RAW);
    bk_auto(free) chunk_id *ids = calloc(FRAME_MAX_CHUNKS, sizeof *ids);
    int r;
    while ((r = pack_directory_add(&d, 0, 100, 10, ids, 60000, &err)) == 0)
        ;
    assert_int_equal(r, BK_E_LIMIT);
    assert_int_equal(d.n_chunks, 240000);
    assert_ok(pack_directory_encode(&d, &out, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_reads_back),
        cmocka_unit_test(damage_is_noticed_or_harmless),
        cmocka_unit_test(scan_finds_every_whole_frame),
        cmocka_unit_test(headers_and_trailers_are_strict),
        cmocka_unit_test(directories_with_gaps_are_refused),
        cmocka_unit_test(directories_grow_after_decoding),
        cmocka_unit_test(a_full_directory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
