#include "formats/base/buf.h"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static void grows_and_keeps_its_bytes(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(bk_buf_u8(&b, (uint8_t)(i * 7), NULL), 0);
    assert_int_equal(b.len, 100000);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (uint8_t)(i * 7));
}

static void ceiling_holds_and_a_refusal_changes_nothing(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(10);
    assert_int_equal(bk_buf_append(&b, "12345678", 8, &err), 0);
    assert_int_equal(bk_buf_append(&b, "abc", 3, &err), BK_E_LIMIT);
    assert_int_equal(bk_buf_u32(&b, 1, &err), BK_E_LIMIT);
    assert_int_equal(bk_buf_bytes(&b, "ab", 2, &err), BK_E_LIMIT); /* the length byte would fit */
    assert_int_equal(bk_buf_reserve(&b, SIZE_MAX, &err), BK_E_LIMIT);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.data, "12345678", 8);
    assert_int_equal(bk_buf_append(&b, "ab", 2, &err), 0);
    assert_int_equal(b.len, 10);
}

static void fields_are_little_endian(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(64);
    assert_int_equal(bk_buf_u16(&b, 0x0102, NULL), 0);
    assert_int_equal(bk_buf_u32(&b, 0x03040506, NULL), 0);
    assert_int_equal(bk_buf_u64(&b, 0x0708090a0b0c0d0e, NULL), 0);
    assert_int_equal(b.len, 14);
    assert_memory_equal(b.data, "\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07", 14);
}

static void varints_have_their_known_bytes(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(64);
    assert_int_equal(bk_buf_varint(&b, 0, NULL), 0);
    assert_int_equal(bk_buf_varint(&b, 127, NULL), 0);
    assert_int_equal(bk_buf_varint(&b, 128, NULL), 0);
    assert_int_equal(bk_buf_varint(&b, 300, NULL), 0);
    assert_int_equal(bk_buf_svarint(&b, -1, NULL), 0);
    assert_int_equal(bk_buf_svarint(&b, 1, NULL), 0);
    assert_int_equal(bk_buf_bytes(&b, "xy", 2, NULL), 0);
    assert_int_equal(b.len, 11);
    assert_memory_equal(b.data, "\x00\x7f\x80\x01\xac\x02\x01\x02\x02xy", 11);
}

static void clear_leaves_a_usable_buffer(void **state)
{
    (void)state;
    struct bk_buf b = BK_BUF(4);
    assert_int_equal(bk_buf_append(&b, "abcd", 4, NULL), 0);
    bk_buf_clear(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(bk_buf_append(&b, NULL, 0, NULL), 0);
    assert_int_equal(bk_buf_append(&b, "efgh", 4, NULL), 0);
    assert_int_equal(bk_buf_append(&b, "i", 1, NULL), BK_E_LIMIT);
    bk_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_its_bytes),
        cmocka_unit_test(ceiling_holds_and_a_refusal_changes_nothing),
        cmocka_unit_test(fields_are_little_endian),
        cmocka_unit_test(varints_have_their_known_bytes),
        cmocka_unit_test(clear_leaves_a_usable_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
