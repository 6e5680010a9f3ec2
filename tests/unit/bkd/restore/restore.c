#include "snap_fixture.h"

#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "bkd/restore/restore.h"

struct seen {
    char paths[256][256];
    int codes[256];
    char texts[256][256];
    unsigned n;
};

static void see(void *ctx, const uint8_t *path, size_t len, const struct bk_error *why)
{
    struct seen *s = ctx;
    if (s->n == 256)
        return;
    snprintf(s->paths[s->n], 256, "%.*s", (int)len, (const char *)path);
    snprintf(s->texts[s->n], 256, "%.255s", why->text);
    s->codes[s->n++] = why->code;
}

static struct restore_report restore(struct snap *b, struct restore_opts o, struct seen *seen)
{
    struct bk_error err = { 0 };
    struct restore_report rep;
    o.on_problem = see;
    o.ctx = seen;
    o.sparse_zeroes = true;
    seen->n = 0;
    OK(restore_files(b->repo, &b->job, &b->s, &o, &rep, &err));
    assert_int_equal(rep.n_problems, seen->n);
    return rep;
}

static struct restore_report restore_clean(struct snap *b, struct restore_opts o)
{
    static struct seen seen;
    struct restore_report rep = restore(b, o, &seen);
    if (seen.n)
        fail_msg("'%s': %s", seen.paths[0], seen.texts[0]);
    return rep;
}

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

static void names_that_leave_the_target_are_refused(void **state)
{
    (void)state;
    /* The page encoder refuses them too, so that they come as whole paths a symlink would redirect. */
    struct snap *b = snap_new();
    char *out = temp_dir(), *t = temp_dir();
    snap_dir(b, "d");
    snap_file(b, "d/f", "evil", 4);
    snap_end(b);
    assert_int_equal(symlink(out, join(t, "d")), 0);
    static struct seen seen;
    restore_clean(b, (struct restore_opts){ .target = t, .overwrite = true });
    struct stat st;
    assert_int_equal(lstat(join(t, "d"), &st), 0);
    assert_true(S_ISDIR(st.st_mode)); /* replaced, not followed */
    assert_int_equal(access(join(out, "f"), F_OK), -1);
    assert_content(join(t, "d/f"), "evil", 4);

    /* a symlink where a file belongs is replaced as well */
    spill(join(out, "victim"), "safe", 4);
    assert_int_equal(unlink(join(t, "d/f")), 0);
    assert_int_equal(symlink(join(out, "victim"), join(t, "d/f")), 0);
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t, .overwrite = true }, &seen);
    assert_int_equal(rep.n_problems, 0);
    assert_content(join(out, "victim"), "safe", 4);
    assert_content(join(t, "d/f"), "evil", 4);
    temp_drop(t);
    temp_drop(out);
    snap_clear(b);
}

static void a_snapshot_that_has_a_name_twice_cannot_write_through_its_own_symlink(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *out = temp_dir(), *t = temp_dir();
    /* in two pages of one directory, each in order for itself: a symlink "d", then a directory "d" */
    struct bk_error err = { 0 };
    struct bk_buf idx = BK_BUF(CHUNK_MAX);
    struct item *ln = snap_link(b, "d", out);
    struct item *dir = snap_add(b, "dd", TREE_DIR, 0755);
    struct item *f = snap_file(b, "dd/f", "evil", 4);
    dir->e.dir = (struct tree_dir){ .depth = 1, .id = snap_page(b, &f->e) };
    dir->e.name_len = 1;
    struct tree_child v[2] = {
        { .first = (const uint8_t *)"d", .first_len = 1, .id = snap_page(b, &ln->e) },
        { .first = (const uint8_t *)"d0", .first_len = 2, .id = snap_page(b, &dir->e) },
    };
    OK(tree_index_encode(2, v, 2, &idx, &err));
    chunk_id root = snap_chunk(b, CHUNK_META, idx.data, idx.len);
    b->n = 0;
    snap_end(b);
    b->s.streams[0].tree = (struct tree_dir){ .depth = 2, .id = root };
    static struct seen seen;
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t }, &seen);
    assert_true(rep.n_problems >= 1);
    assert_int_equal(access(join(out, "f"), F_OK), -1);
    bk_buf_clear(&idx);
    temp_drop(t);
    temp_drop(out);
    snap_clear(b);
}

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

/* Every store object of this prefix, one byte flipped in the middle. */
static char found[REPO_PATH];
static int find_first(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)err;
    *(uint64_t *)ctx = size;
    snprintf(found, sizeof found, "%s", name);
    return 0;
}

static void damage_in_one_frame_hits_only_what_is_in_it(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[32][16];
    static uint8_t data[32][16384];
    for (unsigned i = 0; i < 32; i++) {
        snprintf(paths[i], sizeof paths[i], "f%02u", i);
        fill(data[i], sizeof data[i], 1000 + i);
        snap_file(b, paths[i], data[i], sizeof data[i]);
    }
    snap_end(b);
    struct bk_error err = { 0 };
    uint64_t size;
    OK(store_list(b->store, "data/", find_first, &size, &err));
    struct bk_buf pack = BK_BUF(1 << 30);
    OK(store_get_all(b->store, found, 1 << 30, &pack, &err));
    pack.data[size / 2] ^= 1;
    OK(store_remove(b->store, found, &err));
    OK(store_put(b->store, found, pack.data, pack.len, &err));
    bk_buf_clear(&pack);

    static struct seen seen;
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t, .verify = true }, &seen);
    assert_true(rep.n_problems >= 1 && rep.n_problems < 12);
    unsigned hit = 0;
    for (unsigned i = 0; i < 32; i++) {
        bool bad = false;
        for (unsigned k = 0; k < seen.n; k++)
            bad |= strcmp(seen.paths[k], paths[i]) == 0;
        struct stat st;
        assert_int_equal(stat(join(t, paths[i]), &st), 0);
        assert_int_equal(st.st_size, sizeof data[i]);
        if (!bad) {
            assert_content(join(t, paths[i]), data[i], sizeof data[i]);
            continue;
        }
        hit++;
        assert_int_not_equal(st.st_mtim.tv_sec, 1500000000); /* a later restore tries again */
    }
    assert_int_equal(hit, rep.n_problems);
    for (unsigned k = 0; k < seen.n; k++) {
        assert_int_equal(seen.codes[k], BK_E_CORRUPT);
        assert_non_null(strstr(seen.texts[k], "bytes 0 to "));
    }
    /* In place over good files, nothing is lost: what is there proves itself. */
    for (unsigned i = 0; i < 32; i++)
        spill(join(t, paths[i]), data[i], sizeof data[i]);
    rep = restore(b, (struct restore_opts){ .target = t, .overwrite = true }, &seen);
    assert_int_equal(rep.n_problems, 0);
    for (unsigned i = 0; i < 32; i++)
        assert_content(join(t, paths[i]), data[i], sizeof data[i]);
    temp_drop(t);
    snap_clear(b);
}

/* The same chunks by a writer that did not know of the first, as two backups at the same time do. */
static void damaged_chunks_that_were_stored_twice_come_from_the_other_pack(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[32][16];
    static uint8_t data[32][16384];
    struct index *x = NULL;
    struct writer *w = NULL;
    OK(index_open(b->repo, NULL, NULL, &x, &err));
    OK(writer_new(b->repo, x, &b->job,
                  &(struct writer_opts){ .n_lanes = 1, .level = 1, .memory_bytes = 64 << 20 }, &w, &err));
    chunk_id id;
    for (unsigned i = 0; i < 32; i++) {
        snprintf(paths[i], sizeof paths[i], "f%02u", i);
        fill(data[i], sizeof data[i], 2000 + i);
        snap_file(b, paths[i], data[i], sizeof data[i]);
        for (size_t at = 0; at < sizeof data[i]; at += PIECE)
            OK(writer_put(w, 0, CHUNK_DATA, data[i] + at, PIECE, &id, &err));
    }
    snap_end(b);
    OK(writer_finish(w, &err));
    writer_free(w);
    index_free(x);
    index_free(b->index);
    b->index = NULL;
    OK(index_open(b->repo, NULL, NULL, &b->index, &err));

    struct chunk_loc loc;
    assert_int_equal(index_find(b->index, &id, &loc, &err), 1);
    char name[REPO_PATH];
    repo_pack_path(CHUNK_DATA, &loc.pack, name);
    struct bk_buf pack = BK_BUF(1 << 30);
    OK(store_get_all(b->store, name, 1 << 30, &pack, &err));
    for (size_t at = 20000; at < pack.len; at += 20000)
        pack.data[at] ^= 1;
    OK(store_remove(b->store, name, &err));
    OK(store_put(b->store, name, pack.data, pack.len, &err));
    bk_buf_clear(&pack);

    static struct seen seen;
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t, .verify = true }, &seen);
    assert_int_equal(rep.n_problems, 0);
    for (unsigned i = 0; i < 32; i++)
        assert_content(join(t, paths[i]), data[i], sizeof data[i]);

    struct reader *rd = NULL;
    OK(reader_new(b->repo, b->index, 1, 1 << 20, &rd, &err));
    for (unsigned i = 0; i < 32; i++) {
        bk_auto(node_clear) struct node n = { 0 };
        static uint8_t got[sizeof data[0]];
        size_t len = 0;
        OK(browse_path(rd, 0, &b->s, paths[i], strlen(paths[i]), &n, &err));
        OK(browse_read(rd, 0, &n.e.content, 0, got, sizeof got, &len, &err));
        assert_int_equal(len, sizeof got);
        assert_memory_equal(got, data[i], sizeof got);
    }
    reader_free(rd);
    temp_drop(t);
    snap_clear(b);
}

static void what_is_read_back_wrong_is_reported(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 77);
    snap_file(b, "f", big, sizeof big);
    snap_file(b, "g", "ok", 2);
    snap_end(b);
    restore_clean(b, (struct restore_opts){ .target = t });
    int fd = open(join(t, "f"), O_WRONLY);
    assert_int_equal(pwrite(fd, "!!", 2, 70000), 2);
    struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { 1500000000, 123456789 } };
    assert_int_equal(futimens(fd, ts), 0);
    close(fd);
    static struct seen seen;
    struct restore_report rep =
        restore(b, (struct restore_opts){ .target = t, .overwrite = true, .verify = true }, &seen);
    assert_int_equal(rep.n_kept, 2);
    assert_int_equal(rep.n_problems, 1);
    assert_string_equal(seen.paths[0], "f");
    assert_int_equal(seen.codes[0], BK_E_CORRUPT);
    temp_drop(t);
    snap_clear(b);
}

static void paths_longer_than_path_max_come_back(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[31][8200];
    char name[201];
    memset(name, 'n', 200);
    name[200] = '\0';
    for (int i = 0; i < 30; i++) {
        strcpy(paths[i], i ? paths[i - 1] : "");
        strcat(paths[i], i ? "/" : "");
        strcat(paths[i], name);
        snap_dir(b, paths[i]);
    }
    strcpy(paths[30], paths[29]);
    strcat(paths[30], "/f");
    snap_file(b, paths[30], "deep", 4);
    snap_end(b);
    struct restore_report rep = restore_clean(b, (struct restore_opts){ .target = t, .verify = true });
    assert_int_equal(rep.n_dirs, 30);
    assert_int_equal(rep.bytes_verified, 4);
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", t);
    assert_int_equal(system(cmd), 0);
    free(t);
    snap_clear(b);
}

static void without_privilege_content_comes_back_and_the_owner_is_told_once(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct snap *b = snap_new();
    char *t = temp_dir();
    snap_dir(b, "d")->e.mode = 0500;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = { "d/a", "d/b", "d/c" };
        struct item *it = snap_file(b, names[i], "x", 1);
        it->e.uid = 12345;
        it->e.mode = 04755;
    }
    snap_add(b, "null", TREE_CHAR, 0666)->e.rdev_major = 1;
    snap_end(b);
    assert_int_equal(chown(t, 65534, 65534), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setegid(65534) < 0 || seteuid(65534) < 0)
            _exit(10);
        struct bk_error err = { 0 };
        struct restore_report rep;
        static struct seen seen;
        struct restore_opts o = { .target = t, .on_problem = see, .ctx = &seen };
        if (restore_files(b->repo, &b->job, &b->s, &o, &rep, &err) < 0)
            _exit(11);
        unsigned perm = 0;
        for (unsigned i = 0; i < seen.n; i++)
            perm += seen.codes[i] == BK_E_PERM;
        _exit(seen.n == perm && perm == 2 && rep.n_files == 3 ? 0 : 12); /* owners, once; the device */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    struct stat st;
    assert_int_equal(stat(join(t, "d/a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755); /* set-id of somebody else is not handed to us */
    assert_content(join(t, "d/c"), "x", 1);
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
        cmocka_unit_test(names_that_leave_the_target_are_refused),
        cmocka_unit_test(a_snapshot_that_has_a_name_twice_cannot_write_through_its_own_symlink),
        cmocka_unit_test(in_place_only_what_differs_is_written),
        cmocka_unit_test(a_file_shared_with_elsewhere_is_not_written_through),
        cmocka_unit_test(extras_are_deleted_only_on_request),
        cmocka_unit_test(hard_links_are_one_file),
        cmocka_unit_test(parts_and_patterns_restore_what_they_name),
        cmocka_unit_test(a_target_with_something_in_it_is_refused_without_overwrite),
        cmocka_unit_test(a_dry_run_estimates_and_touches_nothing),
        cmocka_unit_test(damage_in_one_frame_hits_only_what_is_in_it),
        cmocka_unit_test(damaged_chunks_that_were_stored_twice_come_from_the_other_pack),
        cmocka_unit_test(what_is_read_back_wrong_is_reported),
        cmocka_unit_test(paths_longer_than_path_max_come_back),
        cmocka_unit_test(without_privilege_content_comes_back_and_the_owner_is_told_once),
        cmocka_unit_test(a_cancelled_restore_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
