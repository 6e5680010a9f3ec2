#include "bkctl/where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *snap, const char *path)
{
    bk_auto(where_clear) struct where w = { 0 };
    assert_int_equal(where_parse(text, &w, NULL), 0);
    assert_string_equal(w.snap, snap);
    if (path)
        assert_string_equal(w.path, path);
    else
        assert_null(w.path);
}

static void the_first_colon_parts_snapshot_and_path(void **state)
{
    (void)state;
    check("latest", "latest", NULL);
    check("latest:", "latest", "");
    check("latest:/etc", "latest", "/etc");
    check("3f2a:/a:b", "3f2a", "/a:b");
    check("3f2a:x", "3f2a", "x");
}

static void a_name_with_colons_ends_after_its_at(void **state)
{
    (void)state;
    check("host:/etc@latest", "host:/etc@latest", NULL);
    check("host:/etc@latest:/etc/fstab", "host:/etc@latest", "/etc/fstab");
    check("host:/a,/b@3f2a:/b/c:d@e", "host:/a,/b@3f2a", "/b/c:d@e");
    check("web@latest", "web@latest", NULL);
}

static void a_missing_snapshot_is_usage(void **state)
{
    (void)state;
    static const char *const bad[] = { "", ":", ":/etc" };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        struct where w = { 0 };
        struct bk_error err = { 0 };
        assert_int_equal(where_parse(bad[i], &w, &err), BK_E_USAGE);
        assert_null(w.snap);
        assert_true(err.hint[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_colon_parts_snapshot_and_path),
        cmocka_unit_test(a_name_with_colons_ends_after_its_at),
        cmocka_unit_test(a_missing_snapshot_is_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
