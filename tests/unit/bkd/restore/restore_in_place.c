#include "restore_fixture.h"

static uint8_t big[300000];

static void in_place_only_what_differs_is_written(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 5);
    snap_file(b, "f", big, sizeof big);
    snap_file(b, "same", "same", 4);
    snap_end(b);
    restore_clean(b, (struct restore_opts){ .target = t });
    struct restore_report rep = restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_int_equal(rep.n_kept, 2);
    assert_int_equal(rep.bytes_written, 0);

    int fd = open(join(t, "f"), O_WRONLY);
    assert_int_equal(pwrite(fd, "XX", 2, 100000), 2);
    close(fd);
    struct stat before, after;
    assert_int_equal(stat(join(t, "f"), &before), 0);
    rep = restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_int_equal(rep.n_kept, 1);
    assert_int_equal(rep.bytes_written, 4096);
    assert_content(join(t, "f"), big, sizeof big);
    assert_int_equal(stat(join(t, "f"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(after.st_mtim.tv_nsec, 123456789);

    /* damage that size and time do not show */
    fd = open(join(t, "f"), O_WRONLY);
    assert_int_equal(pwrite(fd, "YY", 2, 5000), 2);
    close(fd);
    struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { 1500000000, 123456789 } };
    assert_int_equal(utimensat(AT_FDCWD, join(t, "f"), ts, 0), 0);
    rep = restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_int_equal(rep.n_kept, 2);
    rep = restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true, .compare = true });
    assert_int_equal(rep.bytes_written, 4096);
    assert_content(join(t, "f"), big, sizeof big);
    temp_drop(t);
    snap_clear(b);
}

static void a_file_shared_with_elsewhere_is_not_written_through(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir(), *out = temp_dir();
    snap_file(b, "f", "snapshot", 8);
    snap_end(b);
    spill(join(out, "mine"), "precious", 8);
    assert_int_equal(link(join(out, "mine"), join(t, "f")), 0);
    restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_content(join(out, "mine"), "precious", 8);
    assert_content(join(t, "f"), "snapshot", 8);
    temp_drop(t);
    temp_drop(out);
    snap_clear(b);
}

static void extras_are_deleted_only_on_request(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir(), *out = temp_dir();
    snap_dir(b, "d");
    snap_file(b, "d/f", "x", 1);
    snap_end(b);
    spill(join(out, "outside"), "y", 1);
    assert_int_equal(mkdir(join(t, "extra"), 0755), 0);
    spill(join(t, "extra/f"), "z", 1);
    assert_int_equal(symlink(out, join(t, "extra/out")), 0);
    assert_int_equal(mkdir(join(t, "d"), 0755), 0);
    spill(join(t, "d/keep.log"), "z", 1);
    spill(join(t, "d/old"), "z", 1);
    restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_int_equal(access(join(t, "extra/f"), F_OK), 0);

    const char *ex[] = { "*.log" };
    struct restore_report rep = restore_clean(
        b, (struct restore_opts){
               .target = t, .overwrite = true, .delete_extra = true, .excludes = ex, .n_excludes = 1 });
    assert_int_equal(rep.n_deleted, 4);
    assert_int_equal(access(join(t, "extra"), F_OK), -1);
    assert_int_equal(access(join(t, "d/old"), F_OK), -1);
    assert_int_equal(access(join(t, "d/keep.log"), F_OK), 0);
    assert_int_equal(access(join(out, "outside"), F_OK), 0);
    assert_content(join(t, "d/f"), "x", 1);
    temp_drop(t);
    temp_drop(out);
    snap_clear(b);
}

static void a_target_with_something_in_it_is_refused_without_overwrite(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    snap_file(b, "f", "x", 1);
    snap_end(b);
    spill(join(t, "other"), "y", 1);
    struct bk_error err = { 0 };
    struct restore_report rep;
    assert_int_equal(
        restore_files(b->repo, &b->job, &b->s, &(struct restore_opts){ .target = t }, &rep, &err),
        BK_E_USAGE);
    assert_int_equal(access(join(t, "f"), F_OK), -1);
    temp_drop(t);
    snap_clear(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_place_only_what_differs_is_written),
        cmocka_unit_test(a_file_shared_with_elsewhere_is_not_written_through),
        cmocka_unit_test(extras_are_deleted_only_on_request),
        cmocka_unit_test(a_target_with_something_in_it_is_refused_without_overwrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
