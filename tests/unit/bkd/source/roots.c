#include "tests/unit/bkd/source/place.h"

#include "bkd/source/roots.h"

static void paths_become_absolute_by_their_letters(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } t[] = {
        { "/", "/" },
        { "/a/b", "/a/b" },
        { "/a//b/", "/a/b" },
        { "/a/./b/.", "/a/b" },
        { "/a/../b", "/b" },
        { "/../..", "/" },
        { "x", "/cwd/d/x" },
        { ".", "/cwd/d" },
        { "..", "/cwd" },
        { "../../..", "/" },
        { "./x/../y", "/cwd/d/y" },
        { "/a/...", "/a/..." },
        { "/.a/..b", "/.a/..b" },
        { "//", "/" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct bk_error err = { 0 };
        char *got = NULL;
        assert_int_equal(roots_absolute("/cwd/d", t[i].path, &got, &err), 0);
        assert_string_equal(got, t[i].want);
        free(got);
    }
    struct bk_error err = { 0 };
    char *got = NULL;
    assert_int_equal(roots_absolute("/", "", &got, &err), BK_E_USAGE);
}

static const struct roots_node *walk(const struct roots_node *n, const char *path)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strtok(copy, "/"); p && n; p = strtok(NULL, "/"))
        n = roots_child(n, p);
    return n;
}

static void roots_share_what_is_above_them(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    put_dir("a");
    put_dir("a/b");
    put_dir("c");
    put_file("c/f", "", 0);
    assert_int_equal(symlink("/nowhere", at("dangling")), 0);
    char p[5][128];
    const char *names[] = { "c/f", "a", "a/b", "dangling", "c/f" };
    const char *v[5];
    for (int i = 0; i < 5; i++) {
        snprintf(p[i], sizeof p[i], "%s/%s", place, names[i]);
        v[i] = p[i];
    }
    struct roots_node *top = NULL;
    assert_int_equal(roots_new(v, 5, &top, &err), 0);
    assert_false(top->whole);
    const struct roots_node *n = walk(top, place);
    assert_non_null(n);
    assert_false(n->whole);
    assert_int_equal(n->n, 3);
    assert_string_equal(n->children[0]->name, "a");
    assert_string_equal(n->children[1]->name, "c");
    assert_string_equal(n->children[2]->name, "dangling");
    assert_true(n->children[0]->whole);
    assert_true(n->children[0]->given);
    assert_int_equal(n->children[0]->n, 1); /* a/b: named, if only for its file system */
    assert_int_equal(roots_count(top), 4);
    assert_false(n->children[1]->whole);
    assert_true(n->children[1]->children[0]->whole);
    assert_null(roots_child(n, "b"));
    roots_free(top);
}

static void a_root_below_a_root_stays_named(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    put_dir("a");
    put_dir("a/b");
    put_dir("a/b/c");
    for (int swap = 0; swap < 2; swap++) {
        char p[2][128];
        snprintf(p[swap], sizeof p[swap], "%s/a", place);
        snprintf(p[!swap], sizeof p[!swap], "%s/a/b/c", place);
        const char *v[] = { p[0], p[1] };
        struct roots_node *top = NULL;
        assert_int_equal(roots_new(v, 2, &top, &err), 0);
        const struct roots_node *a = roots_child(walk(top, place), "a");
        assert_true(a->whole && a->given);
        const struct roots_node *b = roots_child(a, "b");
        assert_non_null(b);
        assert_true(b->whole && !b->given);
        const struct roots_node *c = roots_child(b, "c");
        assert_non_null(c);
        assert_true(c->whole && c->given);
        assert_int_equal(c->n, 0);
        assert_int_equal(roots_count(top), 2);
        assert_int_equal(roots_count(b), 1);
        assert_int_equal(roots_count(NULL), 0);
        roots_free(top);
    }
}

static void a_path_that_is_not_there_stops_before_anything(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct roots_node *top = NULL;
    const char *v[] = { "/", at("none") };
    assert_int_equal(roots_new(v, 2, &top, &err), BK_E_ABSENT);
    assert_null(top);
    assert_int_equal(roots_new(v, 0, &top, &err), BK_E_USAGE);
    assert_int_equal(roots_new(v, 1, &top, &err), 0);
    assert_true(top->whole);
    roots_free(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_become_absolute_by_their_letters),
        cmocka_unit_test_setup_teardown(roots_share_what_is_above_them, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_root_below_a_root_stays_named, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_path_that_is_not_there_stops_before_anything, place_make,
                                        place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
