#include "formats/base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void context_goes_in_front_and_keeps_the_code(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    assert_int_equal(bk_fail(&err, BK_E_CORRUPT, "frame %d", 7), BK_E_CORRUPT);
    assert_int_equal(bk_context(&err, "pack %s", "7f3a"), BK_E_CORRUPT);
    assert_int_equal(bk_context(&err, "restore"), BK_E_CORRUPT);
    assert_string_equal(err.text, "restore: pack 7f3a: frame 7");
    assert_int_equal(err.code, BK_E_CORRUPT);
}

static void system_errors_become_codes(void **state)
{
    (void)state;
    static const struct {
        int sys, code;
    } want[] = {
        { ENOSPC, BK_E_NOSPACE }, { EDQUOT, BK_E_NOSPACE }, { ENOENT, BK_E_ABSENT }, { EEXIST, BK_E_EXISTS },
        { EACCES, BK_E_PERM },    { EPERM, BK_E_PERM },     { EROFS, BK_E_PERM },    { ENOMEM, BK_E_NOMEM },
        { EIO, BK_E_IO },         { EPIPE, BK_E_IO },
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct bk_error err = { 0 };
        assert_int_equal(bk_fail_errno(&err, want[i].sys, "write x"), want[i].code);
        assert_int_equal(err.sys, want[i].sys);
        assert_memory_equal(err.text, "write x: ", 9);
        assert_non_null(strstr(err.text, strerror(want[i].sys)));
    }
}

static void a_missing_struct_still_carries_the_code(void **state)
{
    (void)state;
    assert_int_equal(bk_fail(NULL, BK_E_LIMIT, "x"), BK_E_LIMIT);
    assert_int_equal(bk_fail_errno(NULL, ENOENT, "x"), BK_E_ABSENT);
    assert_int_equal(bk_context(NULL, "x"), BK_E_FAILED);
    assert_int_equal(bk_hint(NULL, "x"), BK_E_FAILED);
    bk_error_clear(NULL);
}

static void hint_stays_until_the_next_failure(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_fail(&err, BK_E_NOSPACE, "full");
    assert_int_equal(bk_hint(&err, "free %d bytes", 5), BK_E_NOSPACE);
    bk_context(&err, "write");
    assert_string_equal(err.hint, "free 5 bytes");
    bk_fail(&err, BK_E_IO, "other");
    assert_string_equal(err.hint, "");
}

static void long_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    char lots[2 * BK_ERROR_TEXT];
    memset(lots, 'a', sizeof lots - 1);
    lots[sizeof lots - 1] = '\0';
    struct {
        struct bk_error err;
        char guard[8];
    } g = { .guard = "guarded" };
    bk_fail(&g.err, BK_E_FAILED, "%s", lots);
    bk_context(&g.err, "%s", lots);
    bk_fail_errno(&g.err, EIO, "%s", lots);
    bk_hint(&g.err, "%s", lots);
    assert_int_equal(strlen(g.err.text), BK_ERROR_TEXT - 1);
    assert_int_equal(strlen(g.err.hint), BK_ERROR_HINT - 1);
    assert_string_equal(g.guard, "guarded");
}

static void every_code_has_name_text_and_status(void **state)
{
    (void)state;
#define X(name, status, text)                              \
    assert_string_equal(bk_code_name(BK_E_##name), #name); \
    assert_string_equal(bk_code_text(BK_E_##name), text);  \
    assert_int_equal(bk_code_exit(BK_E_##name), status);
    BK_CODES(X)
#undef X
    assert_string_equal(bk_code_name(0), "OK");
    assert_int_equal(bk_code_exit(0), 0);
    assert_string_equal(bk_code_name(-999), "UNKNOWN");
    assert_int_equal(bk_code_exit(-999), 1);
    assert_int_equal(bk_code_exit(5), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_goes_in_front_and_keeps_the_code),
        cmocka_unit_test(system_errors_become_codes),
        cmocka_unit_test(a_missing_struct_still_carries_the_code),
        cmocka_unit_test(hint_stays_until_the_next_failure),
        cmocka_unit_test(long_texts_are_cut_not_overrun),
        cmocka_unit_test(every_code_has_name_text_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
