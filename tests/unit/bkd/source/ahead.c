#include "tests/unit/bkd/source/place.h"

#include <errno.h>
#include <time.h>

#include "bkd/source/ahead.h"
#include "bkd/source/meta.h"

static struct ahead *all_below(const char *path)
{
    struct bk_error err = { 0 };
    struct ahead *a;
    assert_int_equal(ahead_start(&path, 1, 77, &a, &err), 0);
    ahead_finish(a);
    assert_int_equal(ahead_started_ns(a), 77);
    return a;
}

static bool take(struct ahead *a, const char *path, struct ahead_dir *ret)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    bool taken = ahead_take(a, fd, ret);
    close(fd);
    return taken;
}

static void make_tree(void)
{
    put_dir("d");
    put_dir("d/e");
    put_dir("d/empty");
    put_file("b", "12345", 5);
    put_file("d/a", "1", 1);
    put_file("d/e/x", "12", 2);
    assert_int_equal(symlink("d", at("link")), 0);
}

static void what_was_asked_is_what_a_walk_would_see(void **state)
{
    (void)state;
    static const char *const dirs[] = { "", "d", "d/e", "d/empty" };
    static const size_t n[] = { 3, 3, 1, 0 };
    make_tree();
    struct ahead *a = all_below(place);
    for (size_t i = 0; i < 4; i++) {
        struct ahead_dir d;
        int fd = open(at(dirs[i]), O_RDONLY | O_DIRECTORY);
        assert_true(ahead_take(a, fd, &d));
        assert_int_equal(d.list.n, n[i]);
        for (size_t k = 0; k < d.list.n; k++) {
            struct statx st;
            assert_int_equal(meta_stat(fd, listing_name(&d.list, k), false, &st), 0);
            assert_true(d.stats[k].stx_mask);
            assert_int_equal(d.stats[k].stx_ino, st.stx_ino);
            assert_int_equal(d.stats[k].stx_mode, st.stx_mode);
            assert_int_equal(d.stats[k].stx_size, st.stx_size);
        }
        close(fd);
        ahead_dir_clear(&d);
    }
    ahead_free(a);
}

static void each_directory_is_given_out_once(void **state)
{
    (void)state;
    struct ahead_dir d, again;
    make_tree();
    struct ahead *a = all_below(place);
    assert_true(take(a, at("d"), &d));
    assert_false(take(a, at("d"), &again));
    assert_true(take(a, at("d/e"), &again));
    ahead_dir_clear(&d);
    ahead_dir_clear(&again);
    ahead_free(a);
}

/* A clock tick must pass, or the change cannot be told. */
static void changed_later(const char *dir, const char *name)
{
    struct statx before, now;
    assert_int_equal(meta_stat(AT_FDCWD, dir, true, &before), 0);
    do {
        put_file(name, "", 0);
        assert_int_equal(unlink(at(name)), 0);
        assert_int_equal(meta_stat(AT_FDCWD, dir, true, &now), 0);
    } while (!memcmp(&before.stx_ctime, &now.stx_ctime, sizeof now.stx_ctime));
    put_file(name, "", 0);
}

static void a_directory_that_changed_is_not_given_out(void **state)
{
    (void)state;
    struct ahead_dir d;
    make_tree();
    struct ahead *a = all_below(place);
    changed_later(at("d"), "d/new");
    assert_false(take(a, at("d"), &d));
    assert_true(take(a, at("d/e"), &d));
    ahead_dir_clear(&d);
    ahead_free(a);
}

static void links_are_not_followed_and_what_is_missing_is_passed_over(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct ahead_dir d;
    struct ahead *a;
    make_tree();
    char link[512], file[512], gone[512], inner[512];
    snprintf(link, sizeof link, "%s", at("link"));
    snprintf(file, sizeof file, "%s", at("b"));
    snprintf(gone, sizeof gone, "%s", at("gone"));
    snprintf(inner, sizeof inner, "%s", at("d/e"));
    const char *const paths[] = { link, gone, file, inner };
    assert_int_equal(ahead_start(paths, 4, 0, &a, &err), 0);
    ahead_finish(a);
    assert_false(take(a, at("d"), &d));
    assert_true(take(a, at("d/e"), &d));
    ahead_dir_clear(&d);
    ahead_free(a);
}

static void it_can_be_stopped_at_any_time(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    make_tree();
    const char *path = place;
    for (long us = 0; us < 400; us += 20) {
        struct ahead *a;
        struct ahead_dir d;
        assert_int_equal(ahead_start(&path, 1, 0, &a, &err), 0);
        nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
        ahead_stop(a);
        ahead_stop(a);
        if (take(a, place, &d)) { /* the names are whole even when not all were asked about */
            assert_int_equal(d.list.n, 3);
            ahead_dir_clear(&d);
        }
        ahead_free(a);
    }
}

static void a_directory_past_the_limit_comes_without_metadata(void **state)
{
    (void)state;
    enum { N = AHEAD_NAMES_MAX + 1 };
    struct ahead_dir d;
    put_dir("many");
    put_file("file", "", 0);
    int fd = open(at("many"), O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        /* links of one file; a new one when it has too many */
        if (linkat(AT_FDCWD, at("file"), fd, name, 0) < 0) {
            assert_int_equal(errno, EMLINK);
            assert_int_equal(unlink(at("file")), 0);
            put_file("file", "", 0);
            assert_int_equal(linkat(AT_FDCWD, at("file"), fd, name, 0), 0);
        }
    }
    close(fd);
    struct ahead *a = all_below(place);
    assert_true(take(a, at("many"), &d));
    assert_int_equal(d.list.n, N);
    assert_null(d.stats);
    ahead_dir_clear(&d);
    ahead_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_asked_is_what_a_walk_would_see, place_make, place_remove),
        cmocka_unit_test_setup_teardown(each_directory_is_given_out_once, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_directory_that_changed_is_not_given_out, place_make, place_remove),
        cmocka_unit_test_setup_teardown(links_are_not_followed_and_what_is_missing_is_passed_over, place_make,
                                        place_remove),
        cmocka_unit_test_setup_teardown(it_can_be_stopped_at_any_time, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_directory_past_the_limit_comes_without_metadata, place_make,
                                        place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
