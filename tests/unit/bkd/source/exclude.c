#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/source/exclude.h"
#include "bkd/source/glob.h"

static bool excluded(const char *const *patterns, size_t n, const char *path, bool is_dir)
{
    struct bk_error err = { 0 };
    struct exclude *x = NULL;
    if (exclude_new(patterns, n, &x, &err) < 0)
        fail_msg("%s", err.text);
    const char *slash = strrchr(path, '/');
    size_t dir = slash == path ? 1 : (size_t)(slash - path);
    bool r = exclude_match(x, path, dir, slash + 1, strlen(slash + 1), is_dir);
    exclude_free(x);
    return r;
}

static void patterns_match_as_documented(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool dir, match;
    } t[] = {
        { "*.o", "/a/b.o", false, true },
        { "*.o", "/b.o", false, true },
        { "*.o", "/a/b.c", false, false },
        { "*.o", "/a.o/b", false, false },
        { "core", "/x/y/core", false, true },
        { "core", "/x/y/core2", false, false },
        { "core/", "/x/core", false, false },
        { "core/", "/x/core", true, true },
        { "/core", "/core", false, true },
        { "/core", "/x/core", false, false },
        { "/a/b", "/a/b", false, true },
        { "/a/b", "/x/a/b", false, false },
        { "a/b", "/x/a/b", false, true },
        { "a/b", "/a/b", false, true },
        { "a/b", "/a/x/b", false, false },
        { "a/b", "/xa/b", false, false },
        { "a/**/b", "/a/b", false, true },
        { "a/**/b", "/a/x/y/b", false, true },
        { "a/**/b", "/x/a/y/b", false, true },
        { "/a/**/b", "/x/a/y/b", false, false },
        { "/a/**", "/a/x", false, true },
        { "/a/**", "/a/x/y", true, true },
        { "/a/**", "/a", true, false },
        { "a/**", "/q/a/x", false, true },
        { "a/**", "/q/a", true, false },
        { "**", "/anything/at/all", false, true },
        { "**/b", "/b", false, true },
        { "**/b", "/a/b", false, true },
        { "/**/b", "/a/q/b", false, true },
        { "/**", "/x", false, true },
        { "/*/b", "/a/b", false, true },
        { "/*/b", "/a/x/b", false, false },
        { "a?c", "/abc", false, true },
        { "a?c", "/a/c", false, false },
        { "[a-c]x", "/bx", false, true },
        { "[a-c]x", "/dx", false, false },
        { "[!a-c]x", "/dx", false, true },
        { "[^a-c]x", "/bx", false, false },
        { "[]]x", "/]x", false, true },
        { "[a", "/[a", false, true },
        { "\\*", "/*", false, true },
        { "\\*", "/x", false, false },
        { "\\!x", "/!x", false, true },
        { "a//b", "/a/b", false, true },
        { "a*b*c", "/aXXbYYbc", false, true },
        { "a*b*c", "/aXXcYYb", false, false },
        { "a/**/b/**/c", "/a/1/b/2/3/c", false, true },
        { "a/**/b/**/c", "/a/1/2/3/c", false, false },
        { "x/a/b", "/x/x/a/b", false, true },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (excluded(&t[i].pattern, 1, t[i].path, t[i].dir) != t[i].match)
            fail_msg("pattern '%s' on '%s'%s: expected %d", t[i].pattern, t[i].path, t[i].dir ? "/" : "",
                     t[i].match);
}

static void the_last_match_decides(void **state)
{
    (void)state;
    const char *p[] = { "*.log", "!keep.log", "/tmp/keep.log" };
    assert_true(excluded(p, 3, "/a/x.log", false));
    assert_false(excluded(p, 3, "/a/keep.log", false));
    assert_true(excluded(p, 3, "/tmp/keep.log", false));
    assert_false(excluded(p, 3, "/tmp/other", false));
    assert_false(excluded(NULL, 0, "/tmp/other", false));
}

static void patterns_that_name_nothing_are_refused(void **state)
{
    (void)state;
    const char *bad[] = { "", "/", "!", "!/", "//" };
    for (size_t i = 0; i < 5; i++) {
        struct bk_error err = { 0 };
        struct exclude *x = NULL;
        assert_int_equal(exclude_new(&bad[i], 1, &x, &err), BK_E_USAGE);
        assert_null(x);
    }
}

/* The obvious, exponential matcher. */
static bool naive(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return naive(p + 1, t) || (*t && naive(p, t + 1));
    return *t && (*p == '?' || *p == *t) && naive(p + 1, t + 1);
}

static void globs_agree_with_a_naive_matcher(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        char p[8], t[10];
        size_t np = 0, nt = 0;
        seed = seed * 1664525 + 1013904223;
        uint32_t bits = seed >> 4;
        for (np = 0; np < bits % 7; np++)
            p[np] = "ab*?"[bits >> (2 * np + 3) & 3];
        seed = seed * 1664525 + 1013904223;
        bits = seed >> 4;
        for (nt = 0; nt < bits % 9; nt++)
            t[nt] = "ab"[bits >> (nt + 4) & 1];
        p[np] = t[nt] = '\0';
        if (glob_match(p, np, t, nt) != naive(p, t))
            fail_msg("'%s' on '%s'", p, t);
    }
}

/* The same for components: '*' of the naive matcher stands for a component "**". */
static void components_agree_with_a_naive_matcher(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int i = 0; i < 100000; i++) {
        char p[8], t[8], pattern[64] = "", path[64] = "";
        seed = seed * 1664525 + 1013904223;
        uint32_t bits = seed >> 4;
        size_t np = 1 + bits % 5, nt = 1 + (bits >> 3) % 6;
        for (size_t k = 0; k < np; k++)
            p[k] = k + 1 == np ? "ab"[bits >> 8 & 1] : "ab*"[(bits >> (9 + 2 * k)) % 3];
        for (size_t k = 0; k < nt; k++)
            t[k] = "ab"[bits >> (18 + k) & 1];
        p[np] = t[nt] = '\0';
        for (size_t k = 0; k < np; k++)
            strcat(pattern, p[k] == '*' ? "/**" : p[k] == 'a' ? "/a" : "/b");
        for (size_t k = 0; k < nt; k++)
            strcat(path, t[k] == 'a' ? "/a" : "/b");
        const char *v = pattern;
        if (excluded(&v, 1, path, false) != naive(p, t))
            fail_msg("'%s' on '%s'", pattern, path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_documented),
        cmocka_unit_test(the_last_match_decides),
        cmocka_unit_test(patterns_that_name_nothing_are_refused),
        cmocka_unit_test(globs_agree_with_a_naive_matcher),
        cmocka_unit_test(components_agree_with_a_naive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
