#include "restore_fixture.h"

#include <sys/wait.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_leave_the_target_are_refused),
        cmocka_unit_test(a_snapshot_that_has_a_name_twice_cannot_write_through_its_own_symlink),
        cmocka_unit_test(paths_longer_than_path_max_come_back),
        cmocka_unit_test(without_privilege_content_comes_back_and_the_owner_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
