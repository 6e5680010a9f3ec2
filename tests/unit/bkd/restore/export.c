#include "snap_fixture.h"

#include <sys/wait.h>
#include <sys/xattr.h>

#include "bkd/restore/export.h"

struct seen {
    char path[256];
    int code;
    unsigned n;
};

static void see(void *ctx, const uint8_t *path, size_t len, const struct bk_error *why)
{
    struct seen *s = ctx;
    snprintf(s->path, sizeof s->path, "%.*s", (int)len, (const char *)path);
    s->code = why->code;
    s->n++;
}

static uint8_t big[3 << 20];

static struct snap *sample(void)
{
    struct snap *b = snap_new();
    fill(big, sizeof big, 4);
    snap_dir(b, "d")->e.mode = 0750;
    snap_file(b, "d/big", big, sizeof big);
    snap_file(b, "d/\xc3\xa4\xff", "odd", 3); /* no UTF-8 */
    snap_link(b, "ln", "d/big");
    struct extents x = { 0 };
    snap_piece(b, &x, "start", 5);
    snap_gap(&x, EXTENT_HOLE, 8 << 20);
    snap_piece(b, &x, "end", 3);
    snap_add(b, "sparse", TREE_FILE, 0644)->e.content = snap_content(b, &x);
    extents_clear(&x);
    snap_gap(&x, EXTENT_HOLE, 1 << 20);
    snap_add(b, "void", TREE_FILE, 0644)->e.content = snap_content(b, &x);
    extents_clear(&x);
    for (int i = 0; i < 2; i++) {
        struct item *it = snap_file(b, i ? "two" : "one", "linked", 6);
        it->e.nlink = 2;
        it->e.ino = 9;
    }
    struct bk_error err = { 0 };
    static uint8_t mem[64];
    struct bk_buf xa = BK_BUF(64);
    OK(tree_xattr_append(&xa, "user.k", "v1", 2, &err));
    memcpy(mem, xa.data, xa.len);
    struct item *it = snap_file(b, "attr", "", 0);
    it->e.xattrs = mem;
    it->e.xattrs_len = xa.len;
    bk_buf_clear(&xa);
    snap_end(b);
    return b;
}

static void run(const char *fmt, ...) BK_PRINTF(1, 2);
static void run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    int r = system(cmd);
    if (r != 0)
        fail_msg("%s: status %d", cmd, r);
}

static bool have(const char *tool)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "command -v %s >/dev/null 2>&1", tool);
    return system(cmd) == 0;
}

static void a_tar_holds_everything_and_tar_reads_it(void **state)
{
    (void)state;
    if (!have("tar"))
        skip();
    struct snap *b = sample();
    char *t = temp_dir();
    static const char *const formats[] = { "tar", "tar.gz", "tar.zst" };
    for (unsigned i = 0; i < 3; i++) {
        struct bk_error err = { 0 };
        struct export_report rep;
        struct seen seen = { 0 };
        struct export_opts o = {
            .format = formats[i], .output = join(t, "out"), .on_problem = see, .ctx = &seen
        };
        OK(export_run(b->repo, &b->job, &b->s, &o, &rep, &err));
        assert_int_equal(seen.n, 0);
        assert_int_equal(rep.n_entries, 9);
        run("rm -rf %s/x; mkdir %s/x", t, t);
        if (i == 2 && !have("zstd"))
            break;
        run("tar --xattrs -xpf %s/out -C %s/x", t, t);
        assert_content(join(t, "x/d/big"), big, sizeof big);
        assert_content(join(t, "x/d/\xc3\xa4\xff"), "odd", 3);
        struct stat one, two;
        assert_int_equal(stat(join(t, "x/one"), &one), 0);
        assert_int_equal(stat(join(t, "x/two"), &two), 0);
        assert_int_equal(one.st_ino, two.st_ino);
        assert_content(join(t, "x/two"), "linked", 6);
        assert_int_equal(one.st_mtim.tv_nsec, 123456789);
        assert_int_equal(stat(join(t, "x/d"), &one), 0);
        assert_int_equal(one.st_mode & 07777, 0750);
        assert_int_equal(stat(join(t, "x/sparse"), &one), 0);
        assert_int_equal(one.st_size, 8 + (8 << 20));
        assert_true(one.st_blocks * 512 < 1 << 20);
        uint8_t *want = calloc(1, 8 + (8 << 20));
        memcpy(want, "start", 5);
        memcpy(want + 5 + (8 << 20), "end", 3);
        assert_content(join(t, "x/sparse"), want, 8 + (8 << 20));
        free(want);
        assert_int_equal(stat(join(t, "x/void"), &one), 0);
        assert_int_equal(one.st_size, 1 << 20);
        char v[8];
        assert_int_equal(getxattr(join(t, "x/attr"), "user.k", v, sizeof v), 2);
        assert_int_equal(readlink(join(t, "x/ln"), v, sizeof v), 5);
    }
    temp_drop(t);
    snap_clear(b);
}

static void a_part_goes_into_a_zip_and_a_cpio(void **state)
{
    (void)state;
    struct snap *b = sample();
    char *t = temp_dir();
    const char *paths[] = { "d/big", "/one", "two" };
    struct bk_error err = { 0 };
    struct export_report rep;
    struct export_opts o = { .format = "zip", .output = join(t, "out.zip"), .paths = paths, .n_paths = 3 };
    OK(export_run(b->repo, &b->job, &b->s, &o, &rep, &err));
    assert_int_equal(rep.n_entries, 3);
    assert_int_equal(rep.bytes, sizeof big + 12);
    o.format = "cpio";
    o.output = join(t, "out.cpio");
    OK(export_run(b->repo, &b->job, &b->s, &o, &rep, &err));
    if (have("python3")) {
        run("cd %s && python3 -c 'import zipfile; zipfile.ZipFile(\"out.zip\").extractall(\"z\")'", t);
        assert_content(join(t, "z/d/big"), big, sizeof big);
        assert_content(join(t, "z/two"), "linked", 6);
    }
    if (have("cpio")) {
        run("cd %s && mkdir c && cd c && cpio -id --quiet < ../out.cpio", t);
        assert_content(join(t, "c/d/big"), big, sizeof big);
        assert_content(join(t, "c/two"), "linked", 6);
    }
    temp_drop(t);
    snap_clear(b);
}

static void an_export_that_fails_leaves_no_file(void **state)
{
    (void)state;
    struct snap *b = sample();
    char *t = temp_dir();
    struct bk_error err = { 0 };
    struct export_report rep;
    const char *paths[] = { "one", "missing" };
    struct export_opts o = { .format = "tar", .output = join(t, "out"), .paths = paths, .n_paths = 2 };
    assert_int_equal(export_run(b->repo, &b->job, &b->s, &o, &rep, &err), BK_E_ABSENT);
    o.n_paths = 0;
    o.format = "arj";
    assert_int_equal(export_run(b->repo, &b->job, &b->s, &o, &rep, &err), BK_E_USAGE);
    job_cancel(&b->job);
    o.format = "tar";
    assert_int_equal(export_run(b->repo, &b->job, &b->s, &o, &rep, &err), BK_E_CANCELLED);
    assert_int_equal(rmdir(t), 0); /* empty */
    free(t);
    snap_clear(b);
}

static void sockets_are_told_and_the_rest_is_there(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    snap_add(b, "sock", TREE_SOCKET, 0600);
    snap_file(b, "z", "last", 4);
    snap_end(b);
    struct bk_error err = { 0 };
    struct export_report rep;
    struct seen seen = { 0 };
    struct export_opts o = { .format = "tar", .output = join(t, "out"), .on_problem = see, .ctx = &seen };
    OK(export_run(b->repo, &b->job, &b->s, &o, &rep, &err));
    assert_int_equal(rep.n_problems, 1);
    assert_string_equal(seen.path, "sock");
    assert_int_equal(seen.code, BK_E_UNSUPPORTED);
    assert_int_equal(rep.n_entries, 1);
    temp_drop(t);
    snap_clear(b);
}

static void content_comes_out_in_order(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 8);
    struct extents x = { 0 };
    for (size_t at = 0; at < sizeof big; at += 65536)
        snap_piece(b, &x, big + at, 65536);
    for (int i = 0; i < 6; i++) /* longer than a window, the same chunks again */
        for (size_t at = 0; at < sizeof big; at += 65536)
            snap_piece(b, &x, big + at, 65536);
    snap_gap(&x, EXTENT_ZERO, 100000);
    struct content c = snap_content(b, &x);
    extents_clear(&x);
    snap_file(b, "f", "x", 1);
    snap_end(b);
    struct bk_error err = { 0 };
    b->job.memory_bytes = 64 << 20; /* two windows of 8 MiB */
    int fd = open(join(t, "out"), O_RDWR | O_CREAT, 0600);
    OK(restore_content(b->repo, &b->job, &c, fd, &err));
    close(fd);
    uint8_t *want = calloc(1, 7 * sizeof big + 100000);
    for (int i = 0; i < 7; i++)
        memcpy(want + (size_t)i * sizeof big, big, sizeof big);
    assert_content(join(t, "out"), want, 7 * sizeof big + 100000);
    free(want);

    /* nobody reads: an error, not the end of us */
    signal(SIGPIPE, SIG_IGN);
    int p[2];
    assert_int_equal(pipe(p), 0);
    close(p[0]);
    assert_int_equal(restore_content(b->repo, &b->job, &c, p[1], &err), BK_E_IO);
    assert_int_equal(err.sys, EPIPE);
    close(p[1]);
    temp_drop(t);
    snap_clear(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tar_holds_everything_and_tar_reads_it),
        cmocka_unit_test(a_part_goes_into_a_zip_and_a_cpio),
        cmocka_unit_test(an_export_that_fails_leaves_no_file),
        cmocka_unit_test(sockets_are_told_and_the_rest_is_there),
        cmocka_unit_test(content_comes_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
