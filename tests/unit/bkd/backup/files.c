#include "backup_fixture.h"

#include <sys/xattr.h>

static void make_tree(void)
{
    char name[64];
    put_dir("d");
    put_dir("d/e");
    put_dir("empty");
    put_file("a", "hello", 5);
    put_file("d/zero", "", 0);
    put_file("d/e/x", "deep", 4);
    put_dir("many");
    for (int i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "many/file-%03d", i);
        put_file(name, name, strlen(name));
    }
    assert_int_equal(symlink("../a", at("d/link")), 0);
    assert_int_equal(mkfifo(at("d/fifo"), 0640), 0);
    assert_int_equal(link(at("a"), at("d/hard")), 0);
}

static void a_tree_reads_back_as_it_was(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    (void)setxattr(at("a"), "user.note", "value", 5, 0);
    assert_int_equal(chmod(at("d/e"), 0711), 0);
    struct snapshot s = bed_run(&b);
    assert_int_equal(s.level, LEVEL_FULL);
    assert_int_equal(s.state, STATE_COMPLETE);
    assert_int_equal(s.n_files, 704);
    assert_int_equal(s.n_others, 2);
    assert_int_equal(s.n_unchanged, 0);
    struct view v = view_open(&b, &s);
    view_file_is(&v, "a", "hello", 5);
    view_file_is(&v, "d/hard", "hello", 5);
    view_file_is(&v, "d/zero", "", 0);
    view_file_is(&v, "d/e/x", "deep", 4);
    for (int i = 0; i < 700; i += 13) {
        char name[64];
        snprintf(name, sizeof name, "many/file-%03d", i);
        view_file_is(&v, name, name, strlen(name));
    }
    struct node n = { 0 }, h = { 0 };
    assert_int_equal(view_find(&v, "d/link", &n), 0);
    assert_int_equal(n.e.type, TREE_SYMLINK);
    assert_int_equal(n.e.link_len, 4);
    assert_memory_equal(n.e.link, "../a", 4);
    node_clear(&n);
    assert_int_equal(view_find(&v, "d/fifo", &n), 0);
    assert_int_equal(n.e.type, TREE_FIFO);
    node_clear(&n);
    assert_int_equal(view_find(&v, "d/e", &n), 0);
    assert_int_equal(n.e.mode, 0711);
    node_clear(&n);
    assert_int_equal(view_find(&v, "empty", &n), 0);
    assert_int_equal(n.e.dir.depth, 0);
    node_clear(&n);
    assert_int_equal(view_find(&v, "a", &n), 0);
    assert_int_equal(view_find(&v, "d/hard", &h), 0);
    assert_int_equal(n.e.ino, h.e.ino);
    assert_int_equal(n.e.nlink, 2);
    struct stat st;
    assert_int_equal(stat(at("a"), &st), 0);
    assert_int_equal(n.e.mtime.s, st.st_mtim.tv_sec);
    assert_int_equal(n.e.mtime.ns, st.st_mtim.tv_nsec);
    char value[16];
    if (getxattr(at("a"), "user.note", value, sizeof value) == 5)
        assert_true(n.e.xattrs_len > 0);
    node_clear(&n);
    node_clear(&h);
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

/* Small files wait for each other, bigger ones, zeroes and hard links come between. */
static void files_of_all_sizes_in_one_directory_keep_their_content(void **state)
{
    (void)state;
    enum { FILES = 160, LARGEST = 300000 };
    static uint8_t data[LARGEST];
    struct bed b = bed_new();
    char name[64], other[64];
    for (unsigned pass = 0; pass < 2; pass++) {
        struct view v = { 0 };
        struct snapshot s = { 0 };
        if (pass) {
            s = bed_run(&b);
            assert_int_equal(s.n_exceptions, 0);
            v = view_open(&b, &s);
        }
        for (unsigned i = 0; i < FILES; i++) {
            size_t len = i % 17 == 3 ? 70000 + i * 1000 : i % 3 ? i * 37 : i * 401;
            noise(data, len, i);
            if (i % 11 == 5)
                memset(data, 0, len);
            snprintf(name, sizeof name, "f%03u", i);
            snprintf(other, sizeof other, "f%03u-link", i);
            if (pass) {
                view_file_is(&v, name, data, len);
                if (i % 7 == 0)
                    view_file_is(&v, other, data, len);
            } else {
                put_file(name, data, len);
                if (i % 7 == 0)
                    assert_int_equal(link(at(name), at(other)), 0);
            }
        }
        if (pass) {
            view_close(&v);
            snapshot_clear(&s);
        }
    }
    bed_free(&b);
}

static void an_unchanged_tree_stores_nothing(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    struct snapshot s1 = bed_run(&b);
    struct snapshot s2 = bed_run(&b);
    assert_int_equal(s2.level, LEVEL_INCREMENTAL);
    assert_int_equal(s2.n_files, 704);
    assert_int_equal(s2.n_unchanged, 704);
    assert_int_equal(s2.read_bytes, 0);
    assert_int_equal(s2.content_bytes, s1.content_bytes);
    assert_int_equal(s2.n_dirs, s1.n_dirs);
    assert_int_equal(s2.n_others, s1.n_others);
    assert_memory_equal(s2.parent, s1.id, SESSION_ID);
    assert_memory_equal(s2.base, s1.id, SESSION_ID);
    /* only /tmp above the place may have been touched by others meanwhile */
    assert_true(s2.new_bytes < 4096);
    snapshot_clear(&s1);
    snapshot_clear(&s2);
    bed_free(&b);
}

static void the_result_does_not_depend_on_threads(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    struct node x = { 0 }, y = { 0 };
    b.common.level = LEVEL_FULL;
    b.n_threads = 1;
    struct snapshot s1 = bed_run(&b);
    b.n_threads = 4;
    struct snapshot s4 = bed_run(&b);
    assert_int_equal(s4.level, LEVEL_FULL);
    assert_int_equal(s4.n_unchanged, 0);
    assert_int_equal(s4.read_bytes, s1.read_bytes);
    struct view v1 = view_open(&b, &s1), v4 = view_open(&b, &s4);
    assert_int_equal(view_find(&v1, place, &x), 0);
    assert_int_equal(view_find(&v4, place, &y), 0);
    assert_int_equal(x.e.dir.depth, y.e.dir.depth);
    assert_memory_equal(x.e.dir.id.b, y.e.dir.id.b, CHUNK_ID);
    node_clear(&x);
    node_clear(&y);
    view_close(&v1);
    view_close(&v4);
    snapshot_clear(&s1);
    snapshot_clear(&s4);
    bed_free(&b);
}

static struct ahead *read_ahead(void)
{
    struct bk_error err = { 0 };
    const char *path = place;
    struct ahead *a;
    assert_int_equal(ahead_start(&path, 1, 1, &a, &err), 0);
    ahead_finish(a);
    return a;
}

static void asking_ahead_changes_nothing_but_the_start(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    struct snapshot plain = bed_run(&b);
    b.common.level = LEVEL_FULL;
    b.opts.ahead = read_ahead();
    struct snapshot full = bed_run(&b);
    ahead_free(b.opts.ahead);
    b.common.level = LEVEL_INCREMENTAL;
    b.opts.ahead = read_ahead();
    struct snapshot again = bed_run(&b);
    ahead_free(b.opts.ahead);
    assert_int_equal(again.start_ns, 1);
    assert_int_equal(again.n_unchanged, plain.n_files);
    assert_int_equal(again.read_bytes, 0);
    assert_int_equal(full.read_bytes, plain.read_bytes);
    struct view v[3] = { view_open(&b, &plain), view_open(&b, &full), view_open(&b, &again) };
    struct node n[3] = { 0 };
    for (int i = 0; i < 3; i++)
        assert_int_equal(view_find(&v[i], place, &n[i]), 0);
    for (int i = 1; i < 3; i++)
        assert_memory_equal(n[i].e.dir.id.b, n[0].e.dir.id.b, CHUNK_ID);
    for (int i = 0; i < 3; i++) {
        node_clear(&n[i]);
        view_close(&v[i]);
    }
    snapshot_clear(&plain);
    snapshot_clear(&full);
    snapshot_clear(&again);
    bed_free(&b);
}

/* A file's own change does not show in its directory, so that the old metadata is used: it must do for
 * finding out that the file is another, and what is stored is what was opened. What was left out must not
 * shift what belongs to whom. */
static void what_changed_since_it_was_asked_about_is_stored_as_it_is(void **state)
{
    (void)state;
    struct bed b = bed_new();
    put_dir("d");
    put_file("d/a", "a", 1);
    put_file("d/b.o", "object", 6);
    put_file("d/c", "old", 3);
    put_file("gone", "g", 1);
    const char *patterns[] = { "*.o" };
    b.opts.excludes = patterns;
    b.opts.n_excludes = 1;
    b.opts.ahead = read_ahead();
    put_file("d/c", "newer", 5);
    assert_int_equal(unlink(at("gone")), 0);
    put_file("came", "c", 1);
    struct snapshot s = bed_run(&b);
    ahead_free(b.opts.ahead);
    struct view v = view_open(&b, &s);
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "d/c", &n), 0);
    assert_int_equal(n.e.content.size, 5);
    node_clear(&n);
    assert_int_equal(view_find(&v, "d/a", &n), 0);
    assert_int_equal(n.e.content.size, 1);
    node_clear(&n);
    assert_false(view_has(&v, "d/b.o"));
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

static void only_what_changed_is_read(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    struct snapshot s1 = bed_run(&b);
    put_file("many/file-100", "changed!", 8);
    put_file("many/new", "n", 1);
    assert_int_equal(unlink(at("many/file-200")), 0);
    assert_int_equal(chmod(at("many/file-300"), 0600), 0);
    assert_int_equal(rename(at("d/e"), at("d/moved")), 0);
    struct snapshot s2 = bed_run(&b);
    assert_int_equal(s2.n_files, 704);
    /* the chmod changes the ctime, so the file is read again; the moved directory has no counterpart */
    assert_int_equal(s2.n_unchanged, 704 - 4);
    assert_int_equal(s2.read_bytes, 8 + 1 + 13 + 4);
    struct view v = view_open(&b, &s2), old = view_open(&b, &s1);
    view_file_is(&v, "many/file-100", "changed!", 8);
    view_file_is(&old, "many/file-100", "many/file-100", 13);
    view_file_is(&v, "many/file-101", "many/file-101", 13);
    view_file_is(&v, "many/new", "n", 1);
    view_file_is(&v, "d/moved/x", "deep", 4);
    assert_false(view_has(&v, "many/file-200"));
    assert_true(view_has(&old, "many/file-200"));
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "many/file-300", &n), 0);
    assert_int_equal(n.e.mode, 0600);
    node_clear(&n);
    view_close(&v);
    view_close(&old);

    /* what was gathered over the parent is what a full would have stored */
    b.common.level = LEVEL_FULL;
    struct snapshot s3 = bed_run(&b);
    struct view v2 = view_open(&b, &s2), v3 = view_open(&b, &s3);
    struct node x = { 0 }, y = { 0 };
    assert_int_equal(view_find(&v2, place, &x), 0);
    assert_int_equal(view_find(&v3, place, &y), 0);
    assert_memory_equal(x.e.dir.id.b, y.e.dir.id.b, CHUNK_ID);
    node_clear(&x);
    node_clear(&y);
    view_close(&v2);
    view_close(&v3);
    snapshot_clear(&s1);
    snapshot_clear(&s2);
    snapshot_clear(&s3);
    bed_free(&b);
}

static void levels_choose_their_parent(void **state)
{
    (void)state;
    struct bed b = bed_new();
    put_file("f", "1", 1);
    b.common.level = LEVEL_DIFFERENTIAL;
    struct snapshot full = bed_run(&b); /* nothing there: becomes a full */
    assert_int_equal(full.level, LEVEL_FULL);
    assert_memory_equal(full.base, full.id, SESSION_ID);
    b.common.level = LEVEL_INCREMENTAL;
    struct snapshot inc = bed_run(&b);
    assert_memory_equal(inc.parent, full.id, SESSION_ID);
    b.common.level = LEVEL_DIFFERENTIAL;
    struct snapshot diff = bed_run(&b);
    assert_int_equal(diff.level, LEVEL_DIFFERENTIAL);
    assert_memory_equal(diff.parent, full.id, SESSION_ID);
    b.common.level = LEVEL_INCREMENTAL;
    struct snapshot inc2 = bed_run(&b);
    assert_memory_equal(inc2.parent, diff.id, SESSION_ID);
    assert_memory_equal(inc2.base, full.id, SESSION_ID);
    b.common.name = "other";
    struct snapshot other = bed_run(&b);
    assert_int_equal(other.level, LEVEL_FULL);
    assert_int_equal(other.n_unchanged, 0);
    snapshot_clear(&full);
    snapshot_clear(&inc);
    snapshot_clear(&diff);
    snapshot_clear(&inc2);
    snapshot_clear(&other);
    bed_free(&b);
}

static void what_is_excluded_is_not_there(void **state)
{
    (void)state;
    struct bed b = bed_new();
    put_dir("a");
    put_dir("a/skip");
    put_dir("cache");
    put_dir("tagged");
    put_dir("untagged");
    put_file("a/x.o", "o", 1);
    put_file("a/keep.o", "o", 1);
    put_file("a/skip/in", "i", 1);
    put_file("a/big", "0123456789", 10);
    put_file("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n", 44);
    put_file("cache/data", "d", 1);
    put_file("tagged/.nobackup", "yes please", 10);
    put_file("tagged/data", "d", 1);
    put_file("untagged/.nobackup", "no", 2);
    put_file("untagged/data", "d", 1);
    const char *patterns[] = { "*.o", "!keep.o", "a/skip/" };
    const char *present[] = { ".nobackup:yes" };
    b.opts = (struct backup_files){ .excludes = patterns,
                                    .n_excludes = 3,
                                    .exclude_if_present = present,
                                    .n_exclude_if_present = 1,
                                    .exclude_caches = true,
                                    .exclude_larger = 44 - 1 };
    b.opts.exclude_larger = 50;
    struct snapshot s = bed_run(&b);
    struct view v = view_open(&b, &s);
    assert_false(view_has(&v, "a/x.o"));
    assert_true(view_has(&v, "a/keep.o"));
    assert_false(view_has(&v, "a/skip"));
    assert_true(view_has(&v, "a/big"));
    assert_true(view_has(&v, "cache/CACHEDIR.TAG"));
    assert_false(view_has(&v, "cache/data"));
    assert_true(view_has(&v, "tagged/.nobackup"));
    assert_false(view_has(&v, "tagged/data"));
    assert_true(view_has(&v, "untagged/data"));
    assert_int_equal(s.excludes.n, 3);
    view_close(&v);
    snapshot_clear(&s);
    b.opts.exclude_larger = 9;
    s = bed_run(&b);
    v = view_open(&b, &s);
    assert_false(view_has(&v, "a/big"));
    assert_true(view_has(&v, "a/keep.o"));
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

static void only_roots_and_what_is_above_are_saved(void **state)
{
    (void)state;
    struct bed b = bed_new();
    char p1[128], p2[128];
    put_dir("in");
    put_dir("in/a");
    put_file("in/a/f", "f", 1);
    put_file("in/not", "n", 1);
    put_file("out", "o", 1);
    assert_int_equal(symlink("in", at("via")), 0);
    assert_int_equal(symlink("/nowhere", at("dangling")), 0);
    snprintf(p1, sizeof p1, "%s/via/a", place); /* through a symbolic link */
    snprintf(p2, sizeof p2, "%s/dangling", place);
    b.paths[0] = p1;
    b.paths[1] = p2;
    struct snapshot s = bed_run(&b);
    assert_int_equal(s.paths.n, 2);
    struct view v = view_open(&b, &s);
    view_file_is(&v, "via/a/f", "f", 1);
    assert_false(view_has(&v, "via/not"));
    assert_false(view_has(&v, "in"));
    assert_false(view_has(&v, "out"));
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "dangling", &n), 0);
    assert_int_equal(n.e.type, TREE_SYMLINK);
    node_clear(&n);
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

static void a_dry_run_puts_nothing(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    size_t before = count_objects(b.mem, "");
    b.common.dry_run = true;
    struct snapshot s = bed_run(&b);
    assert_int_equal(s.n_files, 704);
    assert_true(s.new_bytes > 700 * 13);
    assert_int_equal(count_objects(b.mem, ""), before);
    snapshot_clear(&s);
    bed_free(&b);
}

static struct tree_entry find_entry(struct view *v, const char *name, struct node *n)
{
    assert_int_equal(view_find(v, name, n), 0);
    return n->e;
}

static void attributes_left_out_once_come_with_the_next_run(void **state)
{
    (void)state;
    struct bed b = bed_new();
    put_dir("d");
    put_file("d/f", "f", 1);
    assert_int_equal(symlink("f", at("d/link")), 0);
    if (setxattr(at("d/f"), "user.note", "value", 5, 0) < 0 ||
        setxattr(at("d"), "user.note", "dir", 3, 0) < 0)
        skip();
    b.opts.no_xattrs = true;
    struct snapshot s1 = bed_run(&b), s2 = bed_run(&b);
    assert_int_equal(s1.state, STATE_COMPLETE);
    assert_int_equal(s2.n_unchanged, 1);
    b.opts.no_xattrs = false;
    struct snapshot s3 = bed_run(&b);
    assert_int_equal(s3.read_bytes, 0);
    struct view v1 = view_open(&b, &s1), v3 = view_open(&b, &s3);
    struct node n = { 0 };
    assert_int_equal(find_entry(&v1, "d/f", &n).xattrs_len, 0);
    node_clear(&n);
    assert_true(find_entry(&v3, "d/f", &n).xattrs_len > 0);
    assert_int_equal(n.e.flags & TREE_XATTRS_PARTIAL, 0);
    node_clear(&n);
    assert_true(find_entry(&v3, "d", &n).xattrs_len > 0);
    assert_int_equal(n.e.flags & TREE_XATTRS_PARTIAL, 0);
    node_clear(&n);
    assert_int_equal(find_entry(&v3, "d/link", &n).flags & TREE_XATTRS_PARTIAL, 0);
    node_clear(&n);
    view_close(&v1);
    view_close(&v3);
    snapshot_clear(&s1);
    snapshot_clear(&s2);
    snapshot_clear(&s3);
    bed_free(&b);
}

static void a_damaged_parent_costs_a_comparison_and_is_made_good(void **state)
{
    (void)state;
    struct bed b = bed_new();
    make_tree();
    struct snapshot s1 = bed_run(&b);
    flip_all(b.mem, "meta/", 1000);
    struct snapshot s2 = bed_run(&b);
    assert_int_equal(s2.state, STATE_COMPLETE);
    assert_int_equal(s2.n_files, 704);
    struct view v = view_open(&b, &s2);
    view_file_is(&v, "a", "hello", 5);
    view_file_is(&v, "d/e/x", "deep", 4);
    for (int i = 0; i < 700; i += 7) {
        char name[64];
        snprintf(name, sizeof name, "many/file-%03d", i);
        view_file_is(&v, name, name, strlen(name));
    }
    view_close(&v);
    struct snapshot s3 = bed_run(&b); /* the new parent is whole */
    assert_int_equal(s3.n_unchanged, 704);
    assert_int_equal(s3.read_bytes, 0);
    snapshot_clear(&s1);
    snapshot_clear(&s2);
    snapshot_clear(&s3);
    bed_free(&b);
}

static void a_lost_index_costs_a_scan_of_the_packs(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct bk_error err = { 0 };
    make_tree();
    struct snapshot s1 = bed_run(&b);
    bk_auto(names_clear) struct names list = { 0 };
    OK(names_list(b.mem, "index/", 1000, &list, &err));
    for (size_t i = 0; i < list.n; i++)
        OK(store_remove(b.mem, list.v[i].name, &err));
    struct snapshot s2 = bed_run(&b);
    assert_int_equal(s2.n_unchanged, 704);
    assert_int_equal(s2.read_bytes, 0);
    struct view v = view_open(&b, &s1);
    view_file_is(&v, "d/e/x", "deep", 4);
    view_close(&v);
    flip_all(b.mem, "index/", 300);
    struct snapshot s3 = bed_run(&b);
    assert_int_equal(s3.n_unchanged, 704);
    snapshot_clear(&s1);
    snapshot_clear(&s2);
    snapshot_clear(&s3);
    bed_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        T(a_tree_reads_back_as_it_was),
        T(files_of_all_sizes_in_one_directory_keep_their_content),
        T(an_unchanged_tree_stores_nothing),
        T(the_result_does_not_depend_on_threads),
        T(asking_ahead_changes_nothing_but_the_start),
        T(what_changed_since_it_was_asked_about_is_stored_as_it_is),
        T(only_what_changed_is_read),
        T(levels_choose_their_parent),
        T(what_is_excluded_is_not_there),
        T(only_roots_and_what_is_above_are_saved),
        T(a_dry_run_puts_nothing),
        T(attributes_left_out_once_come_with_the_next_run),
        T(a_damaged_parent_costs_a_comparison_and_is_made_good),
        T(a_lost_index_costs_a_scan_of_the_packs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
