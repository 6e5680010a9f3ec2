#include "backup_fixture.h"

enum { SEGMENT = 64 << 10 };

/* Small sizes, so that a file of a few hundred KiB has many segments and pages. */
static struct bed small_bed(void)
{
    struct config c;
    config_defaults(&c);
    c.chunk_min = 2 << 10;
    c.chunk_avg = 4 << 10;
    c.chunk_max = 8 << 10;
    c.segment_bytes = SEGMENT;
    return bed_with(&c);
}

static void sizes_around_every_edge_read_back(void **state)
{
    (void)state;
    struct bed b = small_bed();
    static const size_t sizes[] = { 1,       2047,          2048,        2049,
                                    8191,    8192,          8193,        SEGMENT - 1,
                                    SEGMENT, SEGMENT + 1,   2 * SEGMENT, 5 * SEGMENT + 77,
                                    1 << 20, (1 << 20) + 1, 3000001 };
    enum { N = sizeof sizes / sizeof *sizes, MOST = 3000001 };
    uint8_t *data = malloc(MOST);
    noise(data, MOST, 5);
    for (size_t i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%zu", i);
        put_file(name, data + i, sizes[i] - (sizes[i] == MOST ? i : 0));
    }
    struct snapshot s = bed_run(&b);
    struct view v = view_open(&b, &s);
    for (size_t i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%zu", i);
        view_file_is(&v, name, data + i, sizes[i] - (sizes[i] == MOST ? i : 0));
    }
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "f14", &n), 0);
    assert_int_equal(n.e.content.depth, 2);
    node_clear(&n);
    view_close(&v);
    free(data);
    snapshot_clear(&s);
    bed_free(&b);
}

static void holes_and_zeroes_are_not_stored(void **state)
{
    (void)state;
    struct bed b = small_bed();
    size_t len = 40 * SEGMENT;
    uint8_t *data = calloc(1, len);
    int fd = open(at("sparse"), O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    for (size_t at_ = 3 * SEGMENT + 4096; at_ < len; at_ += 11 * SEGMENT) {
        noise(data + at_, 5000, at_);
        assert_int_equal(pwrite(fd, data + at_, 5000, (off_t)at_), 5000);
    }
    close(fd);
    uint8_t *zeroes = calloc(1, 3 * SEGMENT);
    put_file("zeroes", zeroes, 3 * SEGMENT);
    free(zeroes);
    struct snapshot s = bed_run(&b);
    assert_true(s.new_bytes < 10 * SEGMENT / 4);
    assert_true(s.read_bytes < 5 * SEGMENT);
    struct view v = view_open(&b, &s);
    view_file_is(&v, "sparse", data, len);
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "zeroes", &n), 0);
    assert_int_equal(n.e.content.n_inline, 1);
    assert_int_equal(n.e.content.inline_[0].kind, EXTENT_ZERO);
    node_clear(&n);
    view_close(&v);
    free(data);
    snapshot_clear(&s);
    bed_free(&b);
}

/* 16 TiB would be 2^28 segments here: a hole is planned as one. */
static void a_huge_hole_is_cheap(void **state)
{
    (void)state;
    struct bed b = small_bed();
    int fd = open(at("huge"), O_WRONLY | O_CREAT, 0644);
    off_t size = (off_t)1 << 43;
    if (ftruncate(fd, size) < 0)
        skip();
    assert_int_equal(pwrite(fd, "end", 3, size - 3), 3);
    close(fd);
    struct snapshot s = bed_run(&b);
    struct view v = view_open(&b, &s);
    struct node n = { 0 };
    struct bk_error err = { 0 };
    assert_int_equal(view_find(&v, "huge", &n), 0);
    assert_int_equal(n.e.content.size, size);
    assert_int_equal(n.e.content.depth, 0);
    char end[4] = "";
    size_t len;
    OK(browse_read(v.reader, 0, &n.e.content, (uint64_t)size - 3, end, 3, &len, &err));
    assert_string_equal(end, "end");
    node_clear(&n);
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

static void one_big_file_is_the_same_for_any_number_of_threads(void **state)
{
    (void)state;
    struct bed b = small_bed();
    size_t len = 3 << 20;
    uint8_t *data = malloc(len);
    noise(data, len, 9);
    put_file("big", data, len);
    free(data);
    b.common.level = LEVEL_FULL;
    chunk_id root[2];
    for (int i = 0; i < 2; i++) {
        b.n_threads = i ? 4 : 1;
        struct snapshot s = bed_run(&b);
        assert_true(!i || s.new_bytes < 8192);
        struct view v = view_open(&b, &s);
        struct node n = { 0 };
        assert_int_equal(view_find(&v, "big", &n), 0);
        root[i] = n.e.content.root;
        node_clear(&n);
        view_close(&v);
        snapshot_clear(&s);
    }
    assert_int_equal(chunk_id_cmp(&root[0], &root[1]), 0);
    bed_free(&b);
}

static void hard_links_are_read_once(void **state)
{
    (void)state;
    struct bed b = bed_new();
    uint8_t data[5000];
    noise(data, sizeof data, 3);
    put_file("one", data, sizeof data);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "link-%d", i);
        assert_int_equal(link(at("one"), at(name)), 0);
    }
    b.n_threads = 1;
    struct snapshot s = bed_run(&b);
    assert_int_equal(s.n_files, 21);
    assert_int_equal(s.read_bytes, sizeof data);
    struct view v = view_open(&b, &s);
    view_file_is(&v, "link-7", data, sizeof data);
    view_close(&v);
    snapshot_clear(&s);
    bed_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        T(sizes_around_every_edge_read_back),
        T(holes_and_zeroes_are_not_stored),
        T(a_huge_hole_is_cheap),
        T(one_big_file_is_the_same_for_any_number_of_threads),
        T(hard_links_are_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
