#include "tests/unit/formats/fixture.h"

#include "formats/chunk/chunk.h"
#include "formats/chunk/chunker.h"

struct sizes {
    uint32_t min, avg, max;
};
static const struct sizes all_sizes[] = {
    { 512, 1024, 4096 }, { 1, 2, 3 },     { 1, 1, 1 },      { 64, 64, 64 },          { 100, 100, 300 },
    { 333, 1000, 1001 }, { 1, 700, 700 }, { 1, 4, 100000 }, { 32768, 65536, 98304 },
};

static struct chunker *chunker_of(const struct keyring *k, struct sizes s)
{
    struct bk_error err = { 0 };
    struct config conf = {
        .chunker = CHUNKER_FASTCDC, .chunk_min = s.min, .chunk_avg = s.avg, .chunk_max = s.max
    };
    struct chunker *c = NULL;
    assert_ok(chunker_new(k, &conf, &c, &err));
    return c;
}

static void gear_of(const struct keyring *k, uint64_t gear[static 256])
{
    struct bk_error err = { 0 };
    uint8_t key[SUITE_KEY], bytes[2048];
    assert_ok(suite_hkdf(k->suite, k->root, sizeof k->root, NULL, 0, "chunker", key, sizeof key, &err));
    assert_ok(suite_hkdf(k->suite, key, sizeof key, NULL, 0, "gear", bytes, sizeof bytes, &err));
    for (size_t i = 0; i < 256; i++)
        gear[i] = bk_get_u64(bytes + 8 * i);
}

/* docs/formats/chunker.md, a byte at a time; data is the whole rest of a segment */
static size_t model_cut(const uint64_t gear[static 256], struct sizes s, const uint8_t *data, size_t len)
{
    unsigned bits = 0;
    while ((uint32_t)2 << bits <= s.avg)
        bits++;
    unsigned early = bits + 2;
    unsigned late = bits > 2 ? bits - 2 : 1;
    if (len <= s.avg && len < s.max)
        return len;
    size_t end = len < s.max ? len : s.max;
    uint64_t h = 0;
    for (size_t i = s.min; i < end; i++) {
        h = h * 2 + gear[data[i]];
        unsigned want = i < s.avg ? early : late;
        if ((h << 1) >> (64 - want) == 0)
            return i + 1;
    }
    return end;
}

static void cuts_equal_the_naive_model(void **state)
{
    (void)state;
    static uint8_t data[600000];
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    uint64_t gear[256];
    gear_of(&k, gear);
    for (unsigned round = 0; round < 3; round++) {
        if (round == 0)
            fixture_random(5, data, sizeof data);
        else if (round == 1)
            fixture_text(6, data, sizeof data);
        else
            memset(data, 0, sizeof data);
        for (size_t i = 0; i < BK_COUNT(all_sizes); i++) {
            bk_auto(chunker_free) struct chunker *c = chunker_of(&k, all_sizes[i]);
            for (size_t at = 0; at < sizeof data;) {
                size_t n = chunker_cut(c, data + at, sizeof data - at, true);
                assert_int_equal(n, model_cut(gear, all_sizes[i], data + at, sizeof data - at));
                assert_true(n >= 1 && n <= all_sizes[i].max && n <= sizeof data - at);
                at += n;
            }
        }
    }
}

/* Hand over data in pieces of random size, as a reader would; write the cut points. */
static size_t cut_in_pieces(const struct chunker *c, const uint8_t *data, size_t len, size_t piece_max,
                            uint64_t seed, size_t *cuts)
{
    size_t n_cuts = 0;
    size_t read = 0;
    for (size_t at = 0; at < len;) {
        size_t n = read > at ? chunker_cut(c, data + at, read - at, read == len) : 0;
        if (n == 0) {
            assert_true(read < len);
            size_t piece = 1 + (size_t)(fixture_next(&seed) % piece_max);
            read = len - read < piece ? len : read + piece;
            continue;
        }
        at += n;
        cuts[n_cuts++] = at;
    }
    return n_cuts;
}

static void read_sizes_do_not_move_cuts(void **state)
{
    (void)state;
    static uint8_t data[100000];
    static size_t whole[sizeof data], pieces[sizeof data];
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    fixture_random(8, data, sizeof data);
    for (size_t i = 0; i < BK_COUNT(all_sizes); i++) {
        bk_auto(chunker_free) struct chunker *c = chunker_of(&k, all_sizes[i]);
        for (uint64_t seed = 0; seed < 20; seed++) {
            size_t len = sizeof data - seed * (all_sizes[i].avg / 8 + 1) % sizeof data;
            size_t n = cut_in_pieces(c, data, len, SIZE_MAX / 2, seed, whole);
            size_t m = cut_in_pieces(c, data, len, seed % 2 ? 3000 : 70000, seed, pieces);
            assert_int_equal(n, m);
            assert_memory_equal(whole, pieces, n * sizeof *whole);
        }
    }
}

static void short_files_are_one_chunk(void **state)
{
    (void)state;
    static uint8_t data[65537];
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    bk_auto(chunker_free) struct chunker *c = chunker_of(&k, (struct sizes){ 4096, 65536, 98304 });
    for (uint64_t seed = 0; seed < 20; seed++) {
        fixture_random(seed, data, sizeof data);
        for (size_t len = 1; len <= 65536; len = len * 3 + 1)
            assert_int_equal(chunker_cut(c, data, len, true), len);
        assert_int_equal(chunker_cut(c, data, 65536, true), 65536);
        assert_int_equal(chunker_cut(c, data, 65536, false), 0);
    }
}

static void an_insertion_changes_few_chunks(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    static uint8_t data[LEN], edited[LEN + 7];
    static size_t before[LEN], after[LEN];
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    bk_auto(chunker_free) struct chunker *c = chunker_of(&k, (struct sizes){ 2048, 4096, 16384 });
    fixture_random(9, data, LEN);
    memcpy(edited, data, LEN / 2);
    memcpy(edited + LEN / 2, "inserts", 7);
    memcpy(edited + LEN / 2 + 7, data + LEN / 2, LEN / 2);
    size_t n = cut_in_pieces(c, data, LEN, SIZE_MAX / 2, 0, before);
    size_t m = cut_in_pieces(c, edited, LEN + 7, SIZE_MAX / 2, 0, after);
    size_t same = 0;
    for (size_t i = 0, j = 0; i < n; i++) {
        size_t want = before[i] > LEN / 2 ? before[i] + 7 : before[i];
        while (j < m && after[j] < want)
            j++;
        same += j < m && after[j] == want;
    }
    assert_in_range(n, LEN / 8192, LEN / 2048);
    assert_true(same + 6 >= n);
}

static void boundaries_are_secret(void **state)
{
    (void)state;
    static uint8_t data[200000];
    static size_t mine[sizeof data], yours[sizeof data];
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    struct sizes s = { 512, 1024, 16384 };
    bk_auto(chunker_free) struct chunker *c = chunker_of(&k, s);
    k.root[31] ^= 0x80;
    bk_auto(chunker_free) struct chunker *other = chunker_of(&k, s);
    fixture_random(10, data, sizeof data);
    size_t n = cut_in_pieces(c, data, sizeof data, SIZE_MAX / 2, 0, mine);
    size_t m = cut_in_pieces(other, data, sizeof data, SIZE_MAX / 2, 0, yours);
    size_t same = 0;
    for (size_t i = 0, j = 0; i < n; i++) {
        while (j < m && yours[j] < mine[i])
            j++;
        same += j < m && yours[j] == mine[i];
    }
    assert_true(same <= 4); /* the end, and chance */
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    static const struct sizes bad[] = { { 0, 1, 1 }, { 2, 1, 3 }, { 1, 4, 3 }, { 1, 1, CHUNK_MAX + 1 } };
    struct bk_error err = { 0 };
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, SUITE_AES256_GCM);
    struct chunker *c = NULL;
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        struct config conf = { .chunker = CHUNKER_FASTCDC,
                               .chunk_min = bad[i].min,
                               .chunk_avg = bad[i].avg,
                               .chunk_max = bad[i].max };
        assert_int_equal(chunker_new(&k, &conf, &c, &err), BK_E_USAGE);
    }
    struct config conf = {
        .chunker = (enum config_chunker)99, .chunk_min = 1, .chunk_avg = 2, .chunk_max = 3
    };
    assert_int_equal(chunker_new(&k, &conf, &c, &err), BK_E_UNSUPPORTED);
    assert_null(c);
}

static void cuts_are_pinned(void **state)
{
    (void)state;
    static uint8_t data[2000000];
    static size_t cuts[sizeof data];
    static const struct {
        enum suite_id suite;
        const char *want;
    } pins[] = {
        { SUITE_AES256_GCM, "7afbba915f969461bf8295b05d9bc714367ce61ef88d5ed25e505b0ef08714e3" },
        { SUITE_SM4, "2308d090fe03c072047d52ef24e3fb6a949bfecc8479f45868340f82b105cc9f" },
    };
    fixture_random(11, data, sizeof data);
    for (size_t i = 0; i < BK_COUNT(pins); i++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        fixture_keyring(&k, pins[i].suite);
        bk_auto(chunker_free) struct chunker *c = chunker_of(&k, (struct sizes){ 8192, 16384, 65536 });
        size_t n = cut_in_pieces(c, data, sizeof data, SIZE_MAX / 2, 0, cuts);
        bk_auto(bk_buf_clear) struct bk_buf list = BK_BUF(1 << 20);
        struct bk_error err = { 0 };
        for (size_t j = 0; j < n; j++)
            assert_ok(bk_buf_u64(&list, cuts[j], &err));
        assert_pinned(list.data, list.len, pins[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_equal_the_naive_model),
        cmocka_unit_test(read_sizes_do_not_move_cuts),
        cmocka_unit_test(short_files_are_one_chunk),
        cmocka_unit_test(an_insertion_changes_few_chunks),
        cmocka_unit_test(boundaries_are_secret),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(cuts_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
