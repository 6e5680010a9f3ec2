#include "formats/object/config.h"

#include <setjmp.h>

#include <cmocka.h>

#include "formats/base/wire.h"
#include "formats/chunk/chunk.h"

static struct config sample(void)
{
    struct config c;
    config_defaults(&c);
    c.suite = SUITE_AES256_GCM;
    c.created_s = 1700000000;
    memcpy(c.repo_id, "0123456789abcdef", CONFIG_REPO_ID);
    return c;
}

static void defaults_read_back(void **state)
{
    (void)state;
    static const enum suite_id both[] = { SUITE_AES256_GCM, SUITE_SM4 };
    for (size_t i = 0; i < 2; i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
        struct config c = sample(), back;
        uint8_t digest[SUITE_HASH];
        c.suite = both[i];
        assert_int_equal(config_encode(&c, &b, NULL), 0);
        assert_int_equal(b.len, 102);
        assert_int_equal(config_decode(b.data, b.len, &back, digest, NULL), 0);
        assert_memory_equal(back.repo_id, c.repo_id, CONFIG_REPO_ID);
        assert_int_equal(back.suite, c.suite);
        assert_int_equal(back.created_s, c.created_s);
        assert_int_equal(back.chunker, CHUNKER_FASTCDC);
        assert_int_equal(back.chunk_min, 32 << 10);
        assert_int_equal(back.chunk_avg, 64 << 10);
        assert_int_equal(back.chunk_max, 256 << 10);
        assert_int_equal(back.segment_bytes, 64 << 20);
        assert_int_equal(back.frame_bytes, 512 << 10);
        assert_int_equal(back.pack_bytes, 64 << 20);
        uint8_t want[SUITE_HASH];
        assert_int_equal(suite_hash(c.suite, b.data, 70, want, NULL), 0);
        assert_memory_equal(digest, want, SUITE_HASH);
    }
}

static void no_altered_config_is_accepted(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    struct config c = sample(), back;
    uint8_t digest[SUITE_HASH];
    assert_int_equal(config_encode(&c, &b, NULL), 0);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(config_decode(b.data, b.len, &back, digest, NULL) < 0);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < b.len; cut++)
        assert_true(config_decode(b.data, cut, &back, digest, NULL) < 0);
    assert_int_equal(bk_buf_u8(&b, 0, NULL), 0);
    assert_int_equal(config_decode(b.data, b.len, &back, digest, NULL), BK_E_CORRUPT);
}

/* A config with its digest mended after the change at `at`. */
static int decode_changed(size_t at, size_t width, uint64_t value)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    struct config c = sample(), back;
    uint8_t digest[SUITE_HASH];
    assert_int_equal(config_encode(&c, &b, NULL), 0);
    for (size_t i = 0; i < width; i++)
        b.data[at + i] = (uint8_t)(value >> (8 * i));
    assert_int_equal(suite_hash(c.suite, b.data, 70, b.data + 70, NULL), 0);
    return config_decode(b.data, b.len, &back, digest, NULL);
}

static void ranges_are_checked_behind_a_good_digest(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(32, 8, 5), 0);
    assert_int_equal(decode_changed(40, 2, 2), BK_E_VERSION); /* chunker */
    assert_int_equal(decode_changed(42, 4, 0), BK_E_CORRUPT); /* min */
    assert_int_equal(decode_changed(42, 4, (64 << 10) + 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(46, 4, (256 << 10) + 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(50, 4, CHUNK_MAX), 0);
    assert_int_equal(decode_changed(50, 4, CHUNK_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(54, 8, (256 << 10) - 1), BK_E_CORRUPT); /* segment below a chunk */
    assert_int_equal(decode_changed(54, 8, CONFIG_SEGMENT_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(54, 8, UINT64_MAX), BK_E_CORRUPT);
    assert_int_equal(decode_changed(62, 4, CONFIG_FRAME_MIN - 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(62, 4, CONFIG_FRAME_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(66, 4, CONFIG_PACK_MIN - 1), BK_E_CORRUPT);
    assert_int_equal(decode_changed(66, 4, UINT32_MAX), BK_E_CORRUPT);
    assert_int_equal(decode_changed(6, 2, 2), BK_E_VERSION);
}

static void out_of_range_is_not_written(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    struct config c = sample();
    c.suite = 0;
    assert_int_equal(config_encode(&c, &b, NULL), BK_E_USAGE);
    c = sample();
    c.chunker = 7;
    assert_int_equal(config_encode(&c, &b, NULL), BK_E_USAGE);
    c = sample();
    c.frame_bytes = 1;
    assert_int_equal(config_encode(&c, &b, NULL), BK_E_USAGE);
    assert_int_equal(b.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_read_back),
        cmocka_unit_test(no_altered_config_is_accepted),
        cmocka_unit_test(ranges_are_checked_behind_a_good_digest),
        cmocka_unit_test(out_of_range_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
