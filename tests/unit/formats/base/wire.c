#include "formats/base/wire.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/base/buf.h"

static const uint64_t values[] = {
    0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX,
};

static void what_is_written_reads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < BK_COUNT(values); i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(256);
        uint64_t v = values[i];
        assert_int_equal(bk_buf_u8(&b, (uint8_t)v, NULL), 0);
        assert_int_equal(bk_buf_u16(&b, (uint16_t)v, NULL), 0);
        assert_int_equal(bk_buf_u32(&b, (uint32_t)v, NULL), 0);
        assert_int_equal(bk_buf_u64(&b, v, NULL), 0);
        assert_int_equal(bk_buf_varint(&b, v, NULL), 0);
        assert_int_equal(bk_buf_svarint(&b, (int64_t)v, NULL), 0);
        assert_int_equal(bk_buf_bytes(&b, "bytes", 5, NULL), 0);

        struct bk_reader r = bk_reader_of(b.data, b.len);
        size_t n;
        assert_int_equal(bk_read_u8(&r), (uint8_t)v);
        assert_int_equal(bk_read_u16(&r), (uint16_t)v);
        assert_int_equal(bk_read_u32(&r), (uint32_t)v);
        assert_true(bk_read_u64(&r) == v);
        assert_true(bk_read_varint(&r) == v);
        assert_true(bk_read_svarint(&r) == (int64_t)v);
        assert_memory_equal(bk_read_bytes(&r, 5, &n), "bytes", 5);
        assert_int_equal(n, 5);
        assert_int_equal(bk_reader_end(&r, "test", NULL), 0);
    }
}

static void a_cut_anywhere_is_noticed(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(256);
    assert_int_equal(bk_buf_u32(&b, 7, NULL), 0);
    assert_int_equal(bk_buf_varint(&b, 1u << 20, NULL), 0);
    assert_int_equal(bk_buf_bytes(&b, "abc", 3, NULL), 0);
    for (size_t cut = 0; cut < b.len; cut++) {
        struct bk_error err = { 0 };
        size_t n;
        struct bk_reader r = bk_reader_of(b.data, cut);
        (void)bk_read_u32(&r);
        (void)bk_read_varint(&r);
        assert_null(bk_read_bytes(&r, 10, &n));
        assert_int_equal(n, 0);
        assert_int_equal(bk_reader_left(&r), 0);
        assert_int_equal(bk_reader_end(&r, "thing", &err), BK_E_CORRUPT);
        assert_non_null(strstr(err.text, "thing"));
    }
}

static void once_bad_stays_bad(void **state)
{
    (void)state;
    struct bk_reader r = bk_reader_of("\x01\x02\x03", 3);
    assert_int_equal(bk_read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(bk_read_u8(&r), 0); /* though three bytes are there */
    assert_null(bk_read_raw(&r, 0));
}

static void trailing_bytes_are_refused(void **state)
{
    (void)state;
    struct bk_reader r = bk_reader_of("\x01\x02", 2);
    (void)bk_read_u8(&r);
    assert_int_equal(bk_reader_end(&r, "x", NULL), BK_E_CORRUPT);
}

static void overlong_varints_are_refused(void **state)
{
    (void)state;
    static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 };
    static const uint8_t past64[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 };
    struct bk_reader r = bk_reader_of(eleven, sizeof eleven);
    assert_int_equal(bk_read_varint(&r), 0);
    assert_true(r.bad);
    r = bk_reader_of(past64, sizeof past64);
    assert_int_equal(bk_read_varint(&r), 0);
    assert_true(r.bad);
}

static void counts_and_lengths_meet_their_ceilings(void **state)
{
    (void)state;
    size_t n;
    struct bk_reader r = bk_reader_of("\x04"
                                      "abcd",
                                      5);
    assert_null(bk_read_bytes(&r, 3, &n));
    assert_true(r.bad);
    r = bk_reader_of("\x04"
                     "abcd",
                     5);
    assert_int_equal(bk_read_count(&r, 4, 1), 4);
    r = bk_reader_of("\x04"
                     "abcd",
                     5);
    assert_int_equal(bk_read_count(&r, 4, 2), 0); /* four of two bytes do not fit into four bytes */
    assert_true(r.bad);
    r = bk_reader_of("\x04"
                     "abcd",
                     5);
    assert_int_equal(bk_read_count(&r, 3, 1), 0);
    assert_true(r.bad);
    static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
    r = bk_reader_of(huge, sizeof huge);
    assert_null(bk_read_bytes(&r, SIZE_MAX, &n));
    assert_true(r.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_cut_anywhere_is_noticed),
        cmocka_unit_test(once_bad_stays_bad),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(overlong_varints_are_refused),
        cmocka_unit_test(counts_and_lengths_meet_their_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
