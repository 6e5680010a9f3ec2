#include "snap_fixture.h"

static struct reader *open_reader(struct snap *b)
{
    struct bk_error err = { 0 };
    struct reader *r = NULL;
    OK(reader_new(b->repo, b->index, 1, 8 << 20, &r, &err));
    return r;
}

static struct snap *wide(void)
{
    static char names[1500][16];
    struct snap *b = snap_new();
    snap_dir(b, "w");
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(names[i], sizeof names[i], "w/n%05u", i * 7 % 1500);
        snap_file(b, names[i], names[i], strlen(names[i]));
    }
    snap_end(b);
    return b;
}

static void a_directory_of_many_pages_is_listed_in_order(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = wide();
    struct reader *r = open_reader(b);
    bk_auto(node_clear) struct node w = { 0 };
    OK(browse_path(r, 0, &b->s, "/w/", 3, &w, &err));
    assert_true(w.e.dir.depth > 1);
    struct browse_dir *d = NULL;
    OK(browse_dir_open(r, 0, &w.e.dir, &d, &err));
    struct tree_entry e;
    for (unsigned i = 0; i < 1500; i++) {
        char want[16];
        snprintf(want, sizeof want, "n%05u", i);
        assert_int_equal(browse_dir_next(d, &e, &err), 1);
        assert_int_equal(e.name_len, 6);
        assert_memory_equal(e.name, want, 6);
    }
    assert_int_equal(browse_dir_next(d, &e, &err), 0);
    assert_int_equal(browse_dir_next(d, &e, &err), 0);
    browse_dir_free(d);
    reader_free(r);
    snap_clear(b);
}

static void every_name_is_found_and_no_other(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = wide();
    struct reader *r = open_reader(b);
    for (unsigned i = 0; i < 1500; i += 13) {
        char path[32];
        bk_auto(node_clear) struct node n = { 0 };
        snprintf(path, sizeof path, "w/n%05u", i);
        OK(browse_path(r, 0, &b->s, path, strlen(path), &n, &err));
        assert_memory_equal(n.e.name, path + 2, 6);
        uint8_t got[32];
        size_t len;
        OK(browse_read(r, 0, &n.e.content, 0, got, sizeof got, &len, &err));
        assert_int_equal(len, 8);
        assert_memory_equal(got, path, 8);
    }
    struct node n = { 0 };
    assert_int_equal(browse_path(r, 0, &b->s, "w/n1", 4, &n, &err), BK_E_ABSENT);
    assert_int_equal(browse_path(r, 0, &b->s, "w/a", 3, &n, &err), BK_E_ABSENT);
    assert_int_equal(browse_path(r, 0, &b->s, "w/zz", 4, &n, &err), BK_E_ABSENT);
    assert_int_equal(browse_path(r, 0, &b->s, "w/n00001/x", 10, &n, &err), BK_E_ABSENT);
    OK(browse_path(r, 0, &b->s, "", 0, &n, &err));
    assert_int_equal(n.e.type, TREE_DIR);
    node_clear(&n);
    reader_free(r);
    snap_clear(b);
}

struct trail {
    char text[512];
    bool skip;
};

static int leave(void *ctx, const uint8_t *path, size_t len, const struct tree_entry *e, struct bk_error *err)
{
    (void)err;
    struct trail *t = ctx;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%.*s ", (int)len, (const char *)path);
    return t->skip && e->type == TREE_DIR;
}

static void a_walk_goes_depth_first_with_whole_paths(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = snap_new();
    snap_dir(b, "a");
    snap_dir(b, "a/b");
    snap_file(b, "a/b/c", "x", 1);
    snap_file(b, "a/z", "x", 1);
    snap_file(b, "d", "x", 1);
    snap_end(b);
    struct reader *r = open_reader(b);
    struct node n = { 0 };
    struct trail t = { 0 };
    OK(browse_path(r, 0, &b->s, "/", 1, &n, &err));
    OK(browse_walk(r, 0, &n.e, "", 0, leave, &t, &err));
    assert_string_equal(t.text, "a a/b a/b/c a/z d ");
    t = (struct trail){ .skip = true };
    OK(browse_walk(r, 0, &n.e, "", 0, leave, &t, &err));
    assert_string_equal(t.text, "a d ");
    node_clear(&n);
    t = (struct trail){ 0 };
    OK(browse_path(r, 0, &b->s, "/a/b", 4, &n, &err));
    OK(browse_walk(r, 0, &n.e, "/a/b", 4, leave, &t, &err));
    assert_string_equal(t.text, "a/b a/b/c ");
    node_clear(&n);
    reader_free(r);
    snap_clear(b);
}

static void any_range_of_content_reads_as_a_plain_copy_would(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = snap_new();
    static uint8_t want[200000], got[200000];
    struct extents x = { 0 };
    size_t at = 0;
    fill(want, sizeof want, 21);
    for (unsigned i = 0; at < sizeof want - 9000; i++) {
        size_t n = 500 + i * 977 % 8000;
        if (i % 4 == 3) {
            memset(want + at, 0, n);
            snap_gap(&x, i % 8 == 3 ? EXTENT_HOLE : EXTENT_ZERO, n);
        } else if (i % 4 == 2) { /* a part of a chunk */
            uint8_t whole[9000];
            memset(whole, 1, sizeof whole);
            memcpy(whole + 100, want + at, n);
            struct extent e = { .len = n, .off = 100, .id = snap_chunk(b, CHUNK_DATA, whole, n + 150) };
            OK(extents_add(&x, &e, &err));
        } else {
            snap_piece(b, &x, want + at, n);
        }
        at += n;
    }
    struct content c = snap_content(b, &x);
    assert_int_equal(c.depth, 1);
    extents_clear(&x);
    snap_file(b, "f", "x", 1);
    snap_end(b);
    struct reader *r = open_reader(b);
    uint32_t seed = 3;
    for (int i = 0; i < 200; i++) {
        seed = seed * 1664525 + 1013904223;
        uint64_t from = seed % (at + 100);
        seed = seed * 1664525 + 1013904223;
        size_t len = seed % 30000, expect = from >= at ? 0 : at - from < len ? at - from : len, n;
        OK(browse_read(r, 0, &c, from, got, len, &n, &err));
        assert_int_equal(n, expect);
        assert_memory_equal(got, want + from, expect);
    }
    reader_free(r);
    snap_clear(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_of_many_pages_is_listed_in_order),
        cmocka_unit_test(every_name_is_found_and_no_other),
        cmocka_unit_test(a_walk_goes_depth_first_with_whole_paths),
        cmocka_unit_test(any_range_of_content_reads_as_a_plain_copy_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
