#include "restore_fixture.h"

#include <sys/xattr.h>

static uint8_t big[300000];

static void a_tree_comes_back_with_its_metadata(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 1);
    snap_dir(b, "d")->e.mode = 0550;
    snap_file(b, "d/small", "hello", 5)->e.mode = 0600;
    snap_file(b, "d/big", big, sizeof big);
    snap_file(b, "empty", NULL, 0)->e.mode = 04711;
    snap_link(b, "ln", "d/small");
    snap_add(b, "pipe", TREE_FIFO, 0640);
    struct bk_error err = { 0 };
    struct bk_buf x = BK_BUF(TREE_XATTRS_MAX);
    OK(tree_xattr_append(&x, "user.one", "1", 1, &err));
    struct item *it = snap_file(b, "attr", "x", 1);
    it->e.xattrs = x.data;
    it->e.xattrs_len = x.len;
    snap_end(b);

    struct restore_report rep = restore_clean(b, (struct restore_opts){ .target = t, .verify = true });

    assert_int_equal(rep.n_files, 4);
    assert_int_equal(rep.n_dirs, 1);
    assert_int_equal(rep.n_others, 2);
    assert_int_equal(rep.bytes, sizeof big + 6);
    assert_int_equal(rep.bytes_written, sizeof big + 6);
    assert_int_equal(rep.bytes_verified, sizeof big + 6);
    assert_content(join(t, "d/small"), "hello", 5);
    assert_content(join(t, "d/big"), big, sizeof big);
    assert_content(join(t, "empty"), "", 0);
    struct stat st;
    assert_int_equal(stat(join(t, "d"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0550);
    assert_int_equal(st.st_mtim.tv_sec, 1500000000);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_int_equal(stat(join(t, "d/big"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_int_equal(stat(join(t, "empty"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 04711);
    assert_int_equal(lstat(join(t, "pipe"), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(lstat(join(t, "ln"), &st), 0);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    char buf[64] = "";
    assert_int_equal(readlink(join(t, "ln"), buf, sizeof buf), 7);
    assert_int_equal(getxattr(join(t, "attr"), "user.one", buf, sizeof buf), 1);
    bk_buf_clear(&x);
    temp_drop(t);
    snap_clear(b);
}

static void many_files_over_several_windows_come_back(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[3000][32];
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 100 == 0) {
            snprintf(paths[i], sizeof paths[i], "d%u", i / 100);
            snap_dir(b, paths[i]);
        } else {
            snprintf(paths[i], sizeof paths[i], "d%u/f%u", i / 100, i);
            fill(big, 10 + i * 7, i / 3);
            snap_file(b, paths[i], big, 10 + i * 7);
        }
    }
    snap_end(b);
    struct restore_report rep = restore_clean(b, (struct restore_opts){ .target = t, .verify = true });
    assert_int_equal(rep.n_files, 2970);
    for (unsigned i = 0; i < 3000; i++) {
        fill(big, 10 + i * 7, i / 3);
        if (i % 100)
            assert_content(join(t, paths[i]), big, 10 + i * 7);
    }
    assert_int_equal(rep.bytes_verified, rep.bytes);
    temp_drop(t);
    snap_clear(b);
}

static void holes_stay_holes(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    struct extents x = { 0 };
    snap_piece(b, &x, "start", 5);
    snap_gap(&x, EXTENT_HOLE, 4 << 20);
    snap_piece(b, &x, "mid", 3);
    snap_gap(&x, EXTENT_ZERO, 1 << 20);
    snap_add(b, "sparse", TREE_FILE, 0644)->e.content = snap_content(b, &x);
    extents_clear(&x);
    snap_gap(&x, EXTENT_HOLE, 1 << 20);
    snap_add(b, "void", TREE_FILE, 0644)->e.content = snap_content(b, &x);
    extents_clear(&x);
    snap_end(b);
    restore_clean(b, (struct restore_opts){ .target = t, .verify = true });
    uint8_t *want = calloc(1, 8 + (5 << 20));
    memcpy(want, "start", 5);
    memcpy(want + 5 + (4 << 20), "mid", 3);
    assert_content(join(t, "sparse"), want, 8 + (5 << 20));
    struct stat st;
    assert_int_equal(stat(join(t, "sparse"), &st), 0);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(stat(join(t, "void"), &st), 0);
    assert_int_equal(st.st_size, 1 << 20);

    /* in place, over garbage of another size */
    memset(big, 7, sizeof big);
    spill(join(t, "sparse"), big, sizeof big);
    spill(join(t, "void"), big, sizeof big);
    restore_clean(b, (struct restore_opts){ .target = t, .verify = true, .overwrite = true });
    assert_content(join(t, "sparse"), want, 8 + (5 << 20));
    assert_int_equal(stat(join(t, "sparse"), &st), 0);
    assert_true(st.st_blocks * 512 < 1 << 20);
    free(want);
    temp_drop(t);
    snap_clear(b);
}

static void hard_links_are_one_file(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir(), *u = temp_dir();
    fill(big, 100000, 9);
    snap_dir(b, "a");
    snap_dir(b, "b");
    const char *names[] = { "a/x", "b/y", "z" };
    for (int i = 0; i < 3; i++) {
        struct item *it = snap_file(b, names[i], big, 100000);
        it->e.ino = 55;
        it->e.nlink = 3;
    }
    snap_end(b);
    struct restore_report rep = restore_clean(b, (struct restore_opts){ .target = t, .verify = true });
    assert_int_equal(rep.n_files, 3);
    assert_int_equal(rep.bytes_written, 100000);
    struct stat x, y, z;
    assert_int_equal(stat(join(t, "a/x"), &x), 0);
    assert_int_equal(stat(join(t, "b/y"), &y), 0);
    assert_int_equal(stat(join(t, "z"), &z), 0);
    assert_true(x.st_ino == y.st_ino && y.st_ino == z.st_ino && x.st_nlink == 3);
    assert_int_equal(stat(join(t, "a"), &x), 0);
    assert_int_equal(x.st_mtim.tv_nsec, 123456789);
    /* in place once more: nothing changes */
    rep = restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    assert_int_equal(rep.bytes_written, 0);
    assert_int_equal(stat(join(t, "z"), &z), 0);
    assert_int_equal(z.st_nlink, 3);
    /* a part of them */
    const char *paths[] = { "/b/y" };
    restore_clean(b, (struct restore_opts){ .target = u, .paths = paths, .n_paths = 1 });
    assert_content(join(u, "b/y"), big, 100000);
    assert_int_equal(access(join(u, "a"), F_OK), -1);
    temp_drop(t);
    temp_drop(u);
    snap_clear(b);
}

static void parts_and_patterns_restore_what_they_name(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir(), *u = temp_dir(), *v = temp_dir();
    snap_dir(b, "etc")->e.mode = 0711;
    snap_dir(b, "etc/ssh");
    snap_file(b, "etc/ssh/a.conf", "1", 1);
    snap_file(b, "etc/ssh/b.txt", "2", 1);
    snap_file(b, "etc/c.conf", "3", 1);
    snap_dir(b, "var");
    snap_file(b, "var/d", "4", 1);
    snap_end(b);
    const char *paths[] = { "etc/ssh", "/var/d" };
    restore_clean(b, (struct restore_opts){ .target = t, .paths = paths, .n_paths = 2 });
    assert_content(join(t, "etc/ssh/a.conf"), "1", 1);
    assert_content(join(t, "var/d"), "4", 1);
    assert_int_equal(access(join(t, "etc/c.conf"), F_OK), -1);
    struct stat st;
    assert_int_equal(stat(join(t, "etc"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);

    const char *inc[] = { "*.conf" };
    restore_clean(b, (struct restore_opts){ .target = u, .includes = inc, .n_includes = 1, .verify = true });
    assert_content(join(u, "etc/ssh/a.conf"), "1", 1);
    assert_content(join(u, "etc/c.conf"), "3", 1);
    assert_int_equal(access(join(u, "etc/ssh/b.txt"), F_OK), -1);
    assert_int_equal(access(join(u, "var"), F_OK), -1);

    restore_clean(
        b, (struct restore_opts){ .target = v, .paths = paths, .n_paths = 1, .strip = true, .verify = true });
    assert_content(join(v, "a.conf"), "1", 1);

    const char *missing[] = { "etc/nothing" };
    struct bk_error err = { 0 };
    struct restore_report rep;
    char *w = temp_dir();
    assert_int_equal(restore_files(b->repo, &b->job, &b->s,
                                   &(struct restore_opts){ .target = w, .paths = missing, .n_paths = 1 },
                                   &rep, &err),
                     BK_E_ABSENT);
    temp_drop(w);
    temp_drop(t);
    temp_drop(u);
    temp_drop(v);
    snap_clear(b);
}

static void a_dry_run_estimates_and_touches_nothing(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 3);
    snap_dir(b, "d");
    snap_file(b, "d/f", big, sizeof big);
    snap_link(b, "l", "x");
    snap_end(b);
    struct restore_report rep =
        restore_clean(b, (struct restore_opts){ .target = join(t, "new"), .dry_run = true });
    assert_int_equal(rep.n_files, 1);
    assert_int_equal(rep.n_dirs, 1);
    assert_int_equal(rep.n_others, 1);
    assert_int_equal(rep.bytes, sizeof big);
    assert_true(rep.bytes_to_read > 250000 && rep.bytes_to_read < 400000);
    assert_true(rep.seconds_estimated > 0);
    assert_int_equal(access(join(t, "new"), F_OK), -1);
    temp_drop(t);
    snap_clear(b);
}

static void a_cancelled_restore_stops(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    snap_file(b, "f", "x", 1);
    snap_end(b);
    job_cancel(&b->job);
    struct bk_error err = { 0 };
    struct restore_report rep;
    assert_int_equal(
        restore_files(b->repo, &b->job, &b->s, &(struct restore_opts){ .target = t }, &rep, &err),
        BK_E_CANCELLED);
    temp_drop(t);
    snap_clear(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_comes_back_with_its_metadata),
        cmocka_unit_test(many_files_over_several_windows_come_back),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(hard_links_are_one_file),
        cmocka_unit_test(parts_and_patterns_restore_what_they_name),
        cmocka_unit_test(a_dry_run_estimates_and_touches_nothing),
        cmocka_unit_test(a_cancelled_restore_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
