#include "formats/snapshot/minimum.h"
#include "tests/unit/formats/support.h"

static void minimums_come_back(void **state)
{
    (void)state;
    bk_auto(minimum_clear) struct minimum m = { .number = 2, .seconds = 86400, .when_ns = 1 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    m.who = strdup("a@b");
    assert_int_equal(minimum_encode(&m, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "0101020303"
               "80a305"
               "040102"
               "0603614062");
    assert_int_equal(minimum_decode(b.data, b.len, &back, NULL), 0);
    assert_int_equal(back.number, 2);
    assert_int_equal(back.seconds, 86400);
    assert_int_equal(back.when_ns, 1);
    assert_string_equal(back.who, "a@b");
    for (size_t n = 0; n < b.len; n++) {
        struct minimum none = { 0 };
        int r = minimum_decode(b.data, n, &none, NULL);
        assert_true(r < 0 || n == b.len - 5); /* without who */
        minimum_clear(&none);
    }
}

static void lengths_out_of_range_are_refused(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct minimum back = { 0 };
    static const uint8_t none[] = { 1, 1, 1, 3, 1, 0, 4, 1, 0 };
    static const uint8_t endless[] = { 1, 1, 1, 3, 9, 255, 255, 255, 255, 255, 255, 255, 255, 127, 4, 1, 0 };
    assert_int_equal(minimum_decode(none, sizeof none, &back, NULL), BK_E_CORRUPT);
    assert_int_equal(minimum_decode(endless, sizeof endless, &back, NULL), BK_E_CORRUPT);
    struct minimum m = { .number = 1, .seconds = MINIMUM_SECONDS_MAX + 1 };
    assert_int_equal(minimum_encode(&m, &b, NULL), BK_E_USAGE);
    assert_int_equal(b.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimums_come_back),
        cmocka_unit_test(lengths_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
