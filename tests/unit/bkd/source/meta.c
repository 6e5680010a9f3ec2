#include "tests/unit/bkd/source/place.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "bkd/source/meta.h"

static int open_place(void)
{
    int fd = open(place, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

static struct tree_entry entry(int fd, const char *name)
{
    struct statx st;
    struct tree_entry e;
    assert_int_equal(meta_stat(fd, name, false, &st), 0);
    assert_true(meta_entry(&st, &e));
    return e;
}

static void every_type_is_told_apart(void **state)
{
    (void)state;
    int fd = open_place();
    put_file("file", "x", 1);
    put_dir("dir");
    assert_int_equal(symlink("dir", at("link")), 0);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s", at("sock"));
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(entry(fd, "file").type, TREE_FILE);
    assert_int_equal(entry(fd, "dir").type, TREE_DIR);
    assert_int_equal(entry(fd, "link").type, TREE_SYMLINK);
    assert_int_equal(entry(fd, "fifo").type, TREE_FIFO);
    assert_int_equal(entry(fd, "sock").type, TREE_SOCKET);
    struct statx st;
    assert_int_equal(meta_stat(fd, "none", false, &st), ENOENT);
    assert_int_equal(meta_stat(fd, "link", true, &st), 0);
    assert_int_equal(meta_type(st.stx_mode), TREE_DIR);
    assert_int_equal(meta_type(0), 0);
    close(s);
    close(fd);
}

static void a_device_has_its_numbers(void **state)
{
    (void)state;
    int fd = open("/dev", O_RDONLY | O_DIRECTORY);
    struct statx st;
    struct tree_entry e;
    if (fd < 0 || meta_stat(fd, "null", false, &st) || !meta_entry(&st, &e) || e.type != TREE_CHAR)
        skip();
    assert_int_equal(e.rdev_major, 1);
    assert_int_equal(e.rdev_minor, 3);
    close(fd);
}

static void times_before_1970_and_modes_survive(void **state)
{
    (void)state;
    int fd = open_place();
    put_file("old", "", 0);
    struct timespec t[2] = { { .tv_sec = 1 }, { .tv_sec = -1000000, .tv_nsec = 123456789 } };
    assert_int_equal(utimensat(fd, "old", t, 0), 0);
    assert_int_equal(chmod(at("old"), 06751), 0);
    struct tree_entry e = entry(fd, "old");
    assert_int_equal(e.mtime.s, -1000000);
    assert_int_equal(e.mtime.ns, 123456789);
    assert_int_equal(e.mode, 06751);
    assert_int_equal(e.nlink, 1);
    close(fd);
}

static void comparison_sees_what_changes(void **state)
{
    (void)state;
    int fd = open_place();
    put_file("f", "12345", 5);
    struct statx st;
    struct tree_entry e;
    assert_int_equal(meta_stat(fd, "f", false, &st), 0);
    assert_true(meta_entry(&st, &e));
    e.content.size = 5;
    assert_true(meta_same(&e, &st));
    assert_true(meta_content_same(&e, &st, 0));
    struct statx other = st;
    other.stx_size++;
    assert_false(meta_same(&e, &other));
    assert_false(meta_content_same(&e, &other, META_IGNORE_CTIME | META_IGNORE_INODE));
    other = st;
    other.stx_ctime.tv_nsec ^= 1;
    assert_false(meta_same(&e, &other));
    assert_false(meta_content_same(&e, &other, META_IGNORE_INODE));
    assert_true(meta_content_same(&e, &other, META_IGNORE_CTIME));
    other = st;
    other.stx_ino++;
    assert_false(meta_content_same(&e, &other, META_IGNORE_CTIME));
    assert_true(meta_content_same(&e, &other, META_IGNORE_INODE));
    other = st;
    other.stx_mtime.tv_sec++;
    assert_false(meta_content_same(&e, &other, META_IGNORE_CTIME | META_IGNORE_INODE));
    other = st;
    other.stx_mode ^= 1;
    assert_false(meta_same(&e, &other));
    assert_true(meta_content_same(&e, &other, 0));
    close(fd);
}

static void xattrs_come_sorted_and_whole(void **state)
{
    (void)state;
    int fd = open_place();
    put_file("f", "", 0);
    char big[3000];
    memset(big, 'v', sizeof big);
    if (setxattr(at("f"), "user.b", "two", 3, 0) < 0)
        skip();
    assert_int_equal(setxattr(at("f"), "user.a", "", 0, 0), 0);
    assert_int_equal(setxattr(at("f"), "user.c", big, sizeof big, 0), 0);
    int f = openat(fd, "f", O_RDONLY);
    struct bk_buf x = BK_BUF(TREE_XATTRS_MAX), y = BK_BUF(TREE_XATTRS_MAX);
    assert_int_equal(meta_xattrs_fd(f, &x), 0);
    assert_int_equal(meta_xattrs_at(fd, "f", &y), 0);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    struct bk_reader r = bk_reader_of(x.data, x.len);
    const char *want[] = { "user.a", "user.b", "user.c" };
    const size_t lens[] = { 0, 3, sizeof big };
    size_t k = 0;
    const char *name;
    const uint8_t *value;
    size_t len;
    struct bk_error err = { 0 };
    while (tree_xattr_next(&r, &name, &value, &len, &err) == 1) {
        if (strncmp(name, "user.", 5)) /* the host may add labels of its own */
            continue;
        assert_string_equal(name, want[k]);
        assert_int_equal(len, lens[k]);
        k++;
    }
    assert_int_equal(k, 3);
    struct bk_buf tiny = BK_BUF(16);
    assert_int_equal(meta_xattrs_fd(f, &tiny), E2BIG);
    bk_buf_clear(&tiny);
    bk_buf_clear(&x);
    bk_buf_clear(&y);
    close(f);
    close(fd);
}

static void links_of_any_length_are_read(void **state)
{
    (void)state;
    int fd = open_place();
    const size_t lens[] = { 1, 255, 256, 257, 1023, 1024, 4095 };
    for (size_t i = 0; i < 7; i++) {
        char target[4096];
        memset(target, 't', lens[i]);
        target[lens[i]] = '\0';
        if (symlinkat(target, fd, "l") < 0)
            continue; /* some file systems stop earlier */
        struct bk_buf b = BK_BUF(TREE_LINK_MAX * 8);
        assert_int_equal(meta_link(fd, "l", &b), 0);
        assert_int_equal(b.len, lens[i]);
        assert_memory_equal(b.data, target, lens[i]);
        bk_buf_clear(&b);
        assert_int_equal(unlinkat(fd, "l", 0), 0);
    }
    struct bk_buf b = BK_BUF(TREE_LINK_MAX * 8);
    assert_int_equal(meta_link(fd, "l", &b), ENOENT);
    bk_buf_clear(&b);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_is_told_apart, place_make, place_remove),
        cmocka_unit_test(a_device_has_its_numbers),
        cmocka_unit_test_setup_teardown(times_before_1970_and_modes_survive, place_make, place_remove),
        cmocka_unit_test_setup_teardown(comparison_sees_what_changes, place_make, place_remove),
        cmocka_unit_test_setup_teardown(xattrs_come_sorted_and_whole, place_make, place_remove),
        cmocka_unit_test_setup_teardown(links_of_any_length_are_read, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
