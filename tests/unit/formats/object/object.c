#include "formats/object/object.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void encode(uint8_t out[static OBJECT_HEADER])
{
    const struct object_header h = {
        .kind = OBJECT_SNAPSHOT, .version = 2, .optional = 0x0102, .suite = SUITE_SM4
    };
    object_header_encode(&h, out);
}

static void header_has_its_documented_bytes(void **state)
{
    (void)state;
    uint8_t b[OBJECT_HEADER];
    encode(b);
    assert_memory_equal(b, "BKO1\x05\x00\x02\x00\x00\x00\x00\x00\x02\x01\x02\x00", OBJECT_HEADER);
}

static void header_reads_back(void **state)
{
    (void)state;
    uint8_t b[OBJECT_HEADER];
    struct object_header h;
    encode(b);
    assert_int_equal(object_header_decode(b, sizeof b, OBJECT_SNAPSHOT, 2, &h, NULL), 0);
    assert_int_equal(h.kind, OBJECT_SNAPSHOT);
    assert_int_equal(h.version, 2);
    assert_int_equal(h.optional, 0x0102);
    assert_int_equal(h.suite, SUITE_SM4);
    assert_int_equal(object_peek_kind(b, sizeof b), OBJECT_SNAPSHOT);
}

static int decode_with(size_t at, uint8_t value, struct bk_error *err)
{
    uint8_t b[OBJECT_HEADER];
    struct object_header h;
    encode(b);
    b[at] = value;
    return object_header_decode(b, sizeof b, OBJECT_SNAPSHOT, 2, &h, err);
}

static void strangers_are_corrupt(void **state)
{
    (void)state;
    uint8_t b[OBJECT_HEADER];
    struct object_header h;
    encode(b);
    for (size_t n = 0; n < OBJECT_HEADER; n++) {
        assert_int_equal(object_header_decode(b, n, OBJECT_SNAPSHOT, 2, &h, NULL), BK_E_CORRUPT);
        assert_int_equal(object_peek_kind(b, n), 0);
    }
    assert_int_equal(object_header_decode(b, sizeof b, OBJECT_VOID, 2, &h, NULL), BK_E_CORRUPT);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(decode_with(i, 0xee, NULL), BK_E_CORRUPT);
    assert_int_equal(decode_with(6, 0, NULL), BK_E_CORRUPT);  /* version 0 */
    assert_int_equal(decode_with(15, 1, NULL), BK_E_CORRUPT); /* reserved */
    b[4] = 200;
    assert_int_equal(object_peek_kind(b, sizeof b), 0);
}

static void what_is_newer_is_refused_with_a_hint(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        const char *names;
    } v[] = {
        { 6, 3, "version 3" },      { 7, 1, "version 258" }, { 8, 1, "0x00000001" },
        { 11, 0x80, "0x80000000" }, { 14, 9, "(9)" },        { 14, 0, "(0)" },
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct bk_error err = { 0 };
        assert_int_equal(decode_with(v[i].at, v[i].value, &err), BK_E_VERSION);
        assert_non_null(strstr(err.text, v[i].names));
        assert_string_not_equal(err.hint, "");
        assert_int_equal(decode_with(v[i].at, v[i].value, NULL), BK_E_VERSION);
    }
    assert_int_equal(decode_with(13, 0xff, NULL), 0); /* optional features pass */
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (unsigned k = OBJECT_CONFIG; k <= OBJECT_RETENTION; k++)
        assert_string_not_equal(object_kind_name(k), "unknown");
    assert_string_equal(object_kind_name(0), "unknown");
    assert_string_equal(object_kind_name(13), "unknown");
    assert_string_equal(object_kind_name(70000), "unknown");
}

static void hex_goes_both_ways(void **state)
{
    (void)state;
    uint8_t in[256], out[256];
    char hex[513];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    object_hex(in, sizeof in, hex);
    assert_memory_equal(hex, "000102", 6);
    assert_string_equal(hex + 506, "fdfeff");
    assert_int_equal(object_unhex(hex, out, sizeof out), 0);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(object_unhex("aBcD", out, 2), 0);
    assert_memory_equal(out, "\xab\xcd", 2);
}

static void malformed_hex_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "a", "abc", "abcde", "abcg", "ab d", "ab\377d", "0x12", "abcd " };
    uint8_t out[2] = { 7, 7 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(object_unhex(bad[i], out, 2), -1);
    assert_memory_equal(out, "\7\7", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_has_its_documented_bytes),
        cmocka_unit_test(header_reads_back),
        cmocka_unit_test(strangers_are_corrupt),
        cmocka_unit_test(what_is_newer_is_refused_with_a_hint),
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(malformed_hex_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
