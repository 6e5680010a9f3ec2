#include "tests/unit/bkd/source/place.h"

#include <dirent.h>

#include "bkd/source/listing.h"

static void a_directory_is_listed_sorted_by_bytes(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    const char *names[] = {
        "b",        "a",       "aa",        "a\xff", "a\x01", "longer-than-eight-b", "longer-than-eight-a",
        "longer-t", ".hidden", "new\nline", longest
    };
    for (size_t i = 0; i < 11; i++)
        put_file(names[i], "", 0);
    put_dir("dir");
    int fd = open(place, O_RDONLY | O_DIRECTORY);
    struct listing l = { 0 };
    assert_int_equal(listing_read(fd, &l, &err), 0);
    assert_int_equal(l.n, 12);
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(listing_name(&l, i - 1), listing_name(&l, i)) < 0);
    for (size_t i = 0; i < 11; i++) {
        size_t k = listing_find(&l, names[i]);
        assert_true(k < l.n);
        assert_int_equal(l.v[k].len, strlen(names[i]));
    }
    uint8_t type = l.v[listing_find(&l, "dir")].d_type;
    assert_true(type == DT_DIR || type == DT_UNKNOWN);
    assert_true(listing_find(&l, "none") == SIZE_MAX);
    listing_clear(&l);
    close(fd);
}

static void many_names_need_little_memory_each(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct listing l = { 0 };
    for (int i = 0; i < 100000; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "file-%u", (unsigned)i * 2654435761u);
        assert_int_equal(listing_add(&l, name, (size_t)n, DT_REG, &err), 0);
    }
    listing_sort(&l);
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(listing_name(&l, i - 1), listing_name(&l, i)) < 0);
    assert_true(l.bytes.cap + l.cap * sizeof *l.v < 8 << 20);
    assert_int_equal(listing_add(&l, "", 0, DT_REG, &err), BK_E_LIMIT);
    listing_clear(&l);
}

static void a_name_that_comes_twice_stays_once(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct listing l = { 0 };
    const char *names[] = { "b", "a-longer-name", "b", "a-longer-name", "c", "a-longer-namf" };
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(listing_add(&l, names[i], strlen(names[i]), DT_REG, &err), 0);
    listing_sort(&l);
    assert_int_equal(l.n, 4);
    assert_string_equal(listing_name(&l, 0), "a-longer-name");
    assert_string_equal(listing_name(&l, 1), "a-longer-namf");
    assert_string_equal(listing_name(&l, 2), "b");
    assert_string_equal(listing_name(&l, 3), "c");
    listing_clear(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_directory_is_listed_sorted_by_bytes, place_make, place_remove),
        cmocka_unit_test(many_names_need_little_memory_each),
        cmocka_unit_test(a_name_that_comes_twice_stays_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
