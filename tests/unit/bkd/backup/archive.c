#include "backup_fixture.h"

#if HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>

#include "bkd/backup/graft.h"

static void add(struct archive *a, const char *path, unsigned type, const char *data, const char *link,
                const char *hard)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0640);
    archive_entry_set_uid(e, 1234);
    archive_entry_set_uname(e, "someone");
    archive_entry_set_mtime(e, -5, 123000000); /* written as -5.123, whatever libarchive means by it */
    archive_entry_set_size(e, data ? (la_int64_t)strlen(data) : 0);
    if (link)
        archive_entry_set_symlink(e, link);
    if (hard)
        archive_entry_set_hardlink(e, hard);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    if (data)
        assert_int_equal(archive_write_data(a, data, strlen(data)), strlen(data));
    archive_entry_free(e);
}

static struct archive *begin(const char *name)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_pax(a);
    assert_int_equal(archive_write_open_filename(a, at(name)), ARCHIVE_OK);
    return a;
}

static int import(struct bed *b, const char *name, struct backup_result *ret, struct bk_error *err)
{
    struct job j = { .n_threads = 2 };
    assert_int_equal(job_init(&j, err), 0);
    int r = backup_archive(b->repo, &j, &b->common, at(name), ret, err);
    job_clear(&j);
    return r;
}

static void an_archive_becomes_a_tree(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    struct archive *a = begin("t.tar");
    add(a, "top/b/file", AE_IFREG, "content", NULL, NULL); /* before its directories */
    add(a, "top/", AE_IFDIR, NULL, NULL, NULL);
    add(a, "./top/link", AE_IFLNK, NULL, "b/file", NULL);
    add(a, "top/hard", AE_IFREG, NULL, NULL, "top/b/file");
    add(a, "/abs", AE_IFREG, "absolute", NULL, NULL);
    add(a, "top/twice", AE_IFREG, "old", NULL, NULL);
    add(a, "top/twice", AE_IFREG, "newer", NULL, NULL);
    add(a, "top/fifo", AE_IFIFO, NULL, NULL, NULL);
    archive_write_free(a);
    OK(import(&b, "t.tar", &res, &err));
    assert_int_equal(res.snap.state, STATE_COMPLETE);
    assert_int_equal(res.snap.n_files, 4);
    assert_int_equal(res.snap.n_dirs, 2);
    assert_int_equal(res.snap.n_others, 2);
    assert_int_equal(res.snap.n_users, 1);
    assert_string_equal(res.snap.users[0].name, "someone");
    struct view v = view_open(&b, &res.snap);
    view_file_is(&v, "/top/b/file", "content", 7);
    view_file_is(&v, "/top/hard", "content", 7);
    view_file_is(&v, "/abs", "absolute", 8);
    view_file_is(&v, "/top/twice", "newer", 5);
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "/top/link", &n), 0);
    assert_int_equal(n.e.link_len, 6);
    assert_int_equal(n.e.mtime.s, -6);
    node_clear(&n);
    assert_int_equal(view_find(&v, "/top/hard", &n), 0);
    assert_int_equal(n.e.nlink, 2);
    assert_int_equal(n.e.uid, 1234);
    assert_int_equal(n.e.mode, 0640);
    node_clear(&n);
    view_close(&v);
    backup_result_clear(&res);
    bed_free(&b);
}

static void hostile_paths_are_left_out_and_reported(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    char deep[4096] = "", longest[300];
    for (int i = 0; i < 1100; i++)
        strcat(deep, "d/");
    strcat(deep, "f");
    memset(longest, 'n', 299);
    longest[299] = '\0';
    struct archive *a = begin("t.tar");
    add(a, "good", AE_IFREG, "g", NULL, NULL);
    add(a, "../out", AE_IFREG, "o", NULL, NULL);
    add(a, "a/../../out", AE_IFREG, "o", NULL, NULL);
    add(a, deep, AE_IFREG, "d", NULL, NULL);
    add(a, longest, AE_IFREG, "n", NULL, NULL);
    add(a, "lost", AE_IFREG, NULL, NULL, "not/there");
    archive_write_free(a);
    OK(import(&b, "t.tar", &res, &err));
    assert_int_equal(res.snap.state, STATE_EXCEPTIONS);
    assert_int_equal(res.snap.n_exceptions, 5);
    assert_int_equal(res.snap.n_files, 1);
    assert_int_equal(res.snap.n_dirs, 0);
    backup_result_clear(&res);
    bed_free(&b);
}

static void what_is_no_archive_is_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    /* an mtree of sorts: it would name a file of this host as content */
    const char *texts[] = { "#mtree\nx type=file contents=/etc/passwd\n", "root:x:0:0:root:/root:/bin/sh\n",
                            "no archive at all" };
    for (size_t i = 0; i < 3; i++) {
        put_file("x", texts[i], strlen(texts[i]));
        assert_int_equal(import(&b, "x", &res, &err), BK_E_FAILED);
    }
    assert_int_equal(import(&b, "none", &res, &err), BK_E_ABSENT);
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    bed_free(&b);
}

static void a_truncated_archive_leaves_no_snapshot(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    char text[5000];
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct archive *a = begin("t.tar");
    add(a, "one", AE_IFREG, text, NULL, NULL);
    archive_write_free(a);
    assert_int_equal(truncate(at("t.tar"), 3000), 0);
    assert_int_equal(import(&b, "t.tar", &res, &err), BK_E_FAILED);
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    bed_free(&b);
}

static void a_member_that_fails_its_checksum_is_told(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    struct archive *a = archive_write_new();
    archive_write_set_format_zip(a);
    archive_write_set_format_option(a, "zip", "compression", "store");
    assert_int_equal(archive_write_open_filename(a, at("t.zip")), ARCHIVE_OK);
    add(a, "good", AE_IFREG, "sound", NULL, NULL);
    add(a, "bad", AE_IFREG, "what was written", NULL, NULL);
    archive_write_free(a);
    uint8_t bytes[4096];
    int fd = open(at("t.zip"), O_RDWR);
    ssize_t n = read(fd, bytes, sizeof bytes);
    uint8_t *hit = memmem(bytes, (size_t)n, "what was written", 16);
    assert_non_null(hit);
    assert_int_equal(pwrite(fd, "W", 1, hit - bytes), 1);
    close(fd);
    OK(import(&b, "t.zip", &res, &err));
    assert_int_equal(res.snap.state, STATE_EXCEPTIONS);
    assert_int_equal(res.snap.n_exceptions, 1);
    struct view v = view_open(&b, &res.snap);
    view_file_is(&v, "/good", "sound", 5);
    struct node node = { 0 };
    assert_int_equal(view_find(&v, "/bad", &node), 0);
    assert_true(node.e.flags & TREE_CONTENT_PARTIAL);
    node_clear(&node);
    view_close(&v);
    backup_result_clear(&res);
    bed_free(&b);
}

static void a_graft_has_a_ceiling(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct graft *g = NULL;
    struct graft_node *n;
    OK(graft_new(100000, &g, &err));
    int r = 1;
    for (int i = 0; r > 0 && i < 100000; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        r = graft_at(g, name, true, &n, &err);
    }
    assert_int_equal(r, BK_E_LIMIT);
    graft_free(g);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        T(an_archive_becomes_a_tree),
        T(hostile_paths_are_left_out_and_reported),
        T(what_is_no_archive_is_refused),
        T(a_truncated_archive_leaves_no_snapshot),
        T(a_member_that_fails_its_checksum_is_told),
        cmocka_unit_test(a_graft_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77; /* skipped: this build has no libarchive */
}

#endif
