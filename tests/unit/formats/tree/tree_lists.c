#include "tests/unit/formats/tree/sample.h"

static void xattrs_come_back(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    assert_int_equal(tree_xattr_append(&b, "user.a", "one", 3, NULL), 0);
    assert_int_equal(tree_xattr_append(&b, "user.empty", NULL, 0, NULL), 0);
    assert_hex(b.data, b.len, "07757365722e6100036f6e650b757365722e656d7074790000");

    struct bk_reader r = bk_reader_of(b.data, b.len);
    const char *name;
    const uint8_t *value;
    size_t len;
    assert_int_equal(tree_xattr_next(&r, &name, &value, &len, NULL), 1);
    assert_string_equal(name, "user.a");
    assert_int_equal(len, 3);
    assert_memory_equal(value, "one", 3);
    assert_int_equal(tree_xattr_next(&r, &name, &value, &len, NULL), 1);
    assert_string_equal(name, "user.empty");
    assert_int_equal(len, 0);
    assert_int_equal(tree_xattr_next(&r, &name, &value, &len, NULL), 0);
}

static void xattrs_have_ceilings(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    bk_auto(free) char *big = calloc(1, TREE_XATTRS_MAX);
    assert_non_null(big);
    assert_int_equal(tree_xattr_append(&b, "", "x", 1, NULL), BK_E_USAGE);
    assert_int_equal(tree_xattr_append(&b, "a", big, TREE_XATTRS_MAX, NULL), BK_E_LIMIT);
    assert_int_equal(b.len, 0);
    memset(big, 'n', 256);
    assert_int_equal(tree_xattr_append(&b, big, "x", 1, NULL), BK_E_LIMIT);
    big[255] = '\0';
    assert_int_equal(tree_xattr_append(&b, big, "x", 1, NULL), 0);
}

static void read_xattrs(const void *p, size_t n)
{
    struct bk_reader r = bk_reader_of(p, n);
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    const char *name;
    const uint8_t *value;
    size_t len;
    int rc;
    while ((rc = tree_xattr_next(&r, &name, &value, &len, NULL)) > 0)
        assert_int_equal(tree_xattr_append(&b, name, value, len, NULL), 0);
    assert_true(rc == 0 || rc == BK_E_CORRUPT);
}

static void damaged_xattrs_fail_or_are_valid(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    assert_int_equal(tree_xattr_append(&b, "user.a", "one", 3, NULL), 0);
    assert_int_equal(tree_xattr_append(&b, "security.capability", "\1\0\0\2", 4, NULL), 0);
    damage(b.data, b.len, read_xattrs);
    struct bk_reader r = bk_reader_of("\x03"
                                      "a\0\0\0",
                                      5); /* a NUL too many in the name */
    const char *name;
    const uint8_t *value;
    size_t len;
    assert_int_equal(tree_xattr_next(&r, &name, &value, &len, NULL), BK_E_CORRUPT);
    assert_int_equal(tree_xattr_next(&r, &name, &value, &len, NULL), BK_E_CORRUPT);
}

static struct tree_exception exception(enum tree_trouble t, const char *path, const char *detail)
{
    return (struct tree_exception){ .trouble = t,
                                    .sys = 13,
                                    .path = (const uint8_t *)path,
                                    .path_len = strlen(path),
                                    .detail = (const uint8_t *)detail,
                                    .detail_len = strlen(detail) };
}

static void exceptions_come_back(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    struct tree_exception x = exception(TROUBLE_UNREADABLE, "/a", "open"),
                          y = exception(TROUBLE_SKIPPED, "/b", ""), back;
    assert_int_equal(tree_exception_append(&b, &x, NULL), 0);
    assert_int_equal(tree_exception_append(&b, &y, NULL), 0);
    assert_hex(b.data, b.len, "0a010d022f61046f70656e06060d022f6200");
    struct bk_reader r = bk_reader_of(b.data, b.len);
    assert_int_equal(tree_exception_next(&r, &back, NULL), 1);
    assert_int_equal(back.trouble, TROUBLE_UNREADABLE);
    assert_int_equal(back.sys, 13);
    assert_same_bytes(back.path, back.path_len, x.path, x.path_len);
    assert_same_bytes(back.detail, back.detail_len, x.detail, x.detail_len);
    assert_int_equal(tree_exception_next(&r, &back, NULL), 1);
    assert_int_equal(back.trouble, TROUBLE_SKIPPED);
    assert_int_equal(back.detail_len, 0);
    assert_int_equal(tree_exception_next(&r, &back, NULL), 0);
}

static void impossible_exceptions_are_refused(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    struct tree_exception x = exception((enum tree_trouble)0, "/a", "");
    assert_int_equal(tree_exception_append(&b, &x, NULL), BK_E_USAGE);
    x = exception(TROUBLE_CHANGED, "/a", "");
    x.path = (const uint8_t *)"/\0";
    assert_int_equal(tree_exception_append(&b, &x, NULL), BK_E_USAGE);
    x.path_len = TREE_PATH_MAX + 1;
    assert_int_equal(tree_exception_append(&b, &x, NULL), BK_E_LIMIT);
    assert_int_equal(b.len, 0);
}

static void read_exceptions(const void *p, size_t n)
{
    struct bk_reader r = bk_reader_of(p, n);
    struct tree_exception x;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    int rc;
    while ((rc = tree_exception_next(&r, &x, NULL)) > 0)
        assert_int_equal(tree_exception_append(&b, &x, NULL), 0);
    assert_true(rc == 0 || rc == BK_E_CORRUPT);
}

static void damaged_exceptions_fail_or_are_valid(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_exception x = exception(TROUBLE_PARTIAL, "/var/lib/x", "read at 4096");
    for (int i = 0; i < 3; i++)
        assert_int_equal(tree_exception_append(&b, &x, NULL), 0);
    damage(b.data, b.len, read_exceptions);
}

static void every_trouble_has_a_text(void **state)
{
    (void)state;
    for (int t = TROUBLE_UNREADABLE; t <= TROUBLE_SKIPPED; t++)
        assert_string_not_equal(tree_trouble_text((enum tree_trouble)t),
                                tree_trouble_text((enum tree_trouble)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xattrs_come_back),
        cmocka_unit_test(xattrs_have_ceilings),
        cmocka_unit_test(damaged_xattrs_fail_or_are_valid),
        cmocka_unit_test(exceptions_come_back),
        cmocka_unit_test(impossible_exceptions_are_refused),
        cmocka_unit_test(damaged_exceptions_fail_or_are_valid),
        cmocka_unit_test(every_trouble_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
