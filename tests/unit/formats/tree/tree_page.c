#include "tests/unit/formats/tree/sample.h"

static struct tree_entry plain(const char *name)
{
    return (struct tree_entry){
        .name = (const uint8_t *)name, .name_len = strlen(name), .type = TREE_FIFO, .mode = 0600, .nlink = 1
    };
}

/* One page of all of v, then back. */
static void round_trip(const struct sample *v, size_t n)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    struct tree_writer w;
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tree_page_add(&w, &v[i].e, NULL), 0);
    assert_int_equal(w.n, n);

    struct tree_page p;
    struct tree_entry e;
    memset(&e, 0xa5, sizeof e); /* leftovers must not show */
    assert_int_equal(tree_page_open(b.data, b.len, &p, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tree_page_next(&p, &e, NULL), 1);
        assert_same_entry(&v[i].e, &e);
    }
    assert_int_equal(tree_page_next(&p, &e, NULL), 0);
    assert_int_equal(tree_page_next(&p, &e, NULL), 0);
}

static void entries_come_back(void **state)
{
    (void)state;
    struct dice d = { 21 };
    for (int i = 0; i < 60; i++) {
        size_t n = roll_n(&d, 150);
        bk_auto(free) struct sample *v = sample_list(&d, &n);
        round_trip(v, n);
    }
}

static void extremes_come_back(void **state)
{
    (void)state;
    struct tree_time first = { INT64_MIN, 0 }, last = { INT64_MAX, 999999999 };
    struct sample v[2] = { 0 };
    v[0].e = plain("a");
    v[0].e.type = TREE_SYMLINK;
    v[0].e.mtime = v[0].e.ctime = v[0].e.btime = first;
    v[0].e.flags = TREE_FLAGS_KNOWN;
    v[0].e.ino = v[0].e.dev = v[0].e.nlink = UINT64_MAX;
    bk_auto(free) uint8_t *big = malloc(TREE_XATTRS_MAX);
    assert_non_null(big);
    memset(big, 'x', TREE_XATTRS_MAX);
    v[0].e.link = v[0].e.xattrs = big;
    v[0].e.link_len = TREE_LINK_MAX;
    v[0].e.xattrs_len = TREE_XATTRS_MAX;
    v[1].e = plain("b");
    v[1].e.mtime = v[1].e.ctime = v[1].e.btime = last;
    v[1].e.flags = TREE_HAS_BTIME;
    v[1].e.uid = v[1].e.gid = v[1].e.fsflags = UINT32_MAX;
    round_trip(v, 2);
}

/* A page of two files that agree in all but what differs() changes, and how long the second entry is. */
static size_t second_is(void (*differs)(struct tree_entry *))
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_writer w;
    struct sample v[2] = { 0 };
    v[0].e = plain("a");
    v[0].e.flags = TREE_HAS_BTIME;
    v[0].e.mtime = (struct tree_time){ 1600000000, 1 };
    v[0].e.ctime = (struct tree_time){ 1700000000, 2 };
    v[0].e.btime = (struct tree_time){ 1500000000, 3 };
    v[1].e = v[0].e;
    v[1].e.name = (const uint8_t *)"b";
    differs(&v[1].e);
    round_trip(v, 2);
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    assert_int_equal(tree_page_add(&w, &v[0].e, NULL), 0);
    size_t before = b.len;
    assert_int_equal(tree_page_add(&w, &v[1].e, NULL), 0);
    return b.len - before;
}

static void in_nothing(struct tree_entry *e)
{
    (void)e;
}

static void in_mtime(struct tree_entry *e)
{
    e->mtime = (struct tree_time){ 1600000001, 0 };
}

static void in_ctime(struct tree_entry *e)
{
    e->ctime.ns++;
}

static void in_no_btime(struct tree_entry *e)
{
    e->flags = 0;
    e->btime = (struct tree_time){ 0 };
}

static void what_repeats_costs_nothing(void **state)
{
    (void)state;
    size_t least = second_is(in_nothing);
    assert_int_equal(least, 1 + 2 + 2 + 1); /* length, two bytes of savings, name, ino */
    assert_int_equal(second_is(in_mtime), least + 1);
    assert_int_equal(second_is(in_ctime), least + 1 + 4);
    assert_int_equal(second_is(in_no_btime), least + 2); /* flags and fsflags */
}

static void bytes_of_a_page_are_pinned(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_writer w;
    struct tree_entry f = plain("file");
    f.type = TREE_FILE;
    f.mode = 0644;
    f.uid = 1000;
    f.gid = 100;
    f.dev = 0xfe00;
    f.ino = 5000;
    f.flags = TREE_HAS_BTIME | TREE_HAS_FSFLAGS;
    f.fsflags = 0x80000;
    f.mtime = (struct tree_time){ 1600000000, 0 };
    f.ctime = (struct tree_time){ 1700000000, 123456789 };
    f.btime = (struct tree_time){ -1, 1 };
    f.content = (struct content){ .size = 10, .n_inline = 1 };
    f.content.inline_[0].len = 10;
    memset(f.content.inline_[0].id.b, 0xee, CHUNK_ID);
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    assert_int_equal(tree_page_add(&w, &f, NULL), 0);

    struct tree_entry l = f;
    l.name = (const uint8_t *)"link";
    l.type = TREE_SYMLINK;
    l.link = (const uint8_t *)"file";
    l.link_len = 4;
    l.ino = 4999;
    l.xattrs = (const uint8_t *)"\x03u\0\0\x01v";
    l.xattrs_len = 6;
    l.btime = l.ctime = l.mtime;
    assert_int_equal(tree_page_add(&w, &l, NULL), 0);

    struct tree_entry n = plain("null");
    n.type = TREE_CHAR;
    n.rdev_major = 1;
    n.rdev_minor = 3;
    n.nlink = 2;
    n.mtime = n.ctime = f.mtime;
    assert_int_equal(tree_page_add(&w, &n, NULL), 0);

    struct tree_entry dir = plain("sub");
    dir.type = TREE_DIR;
    dir.nlink = 3;
    dir.mtime = f.mtime;
    dir.ctime = (struct tree_time){ 1600000001, 0 };
    dir.dir.depth = 1;
    memset(dir.dir.id.b, 0xdd, CHUNK_ID);
    assert_int_equal(tree_page_add(&w, &dir, NULL), 0);
    assert_hex(b.data, b.len,
               "540100"
               "4b71700466696c65a403e8076480fc0303808020904e"
               "80c0f0f50b80c49fd50c15cd5b070101000000"
               "010a08eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
               "1403cf046c696e6b01060375000001760466696c65"
               "130600046e756c6c800300000000008d4e020103"
               "2a420f0373756200020301dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
}

static int add(struct tree_writer *w, const struct tree_entry *e)
{
    size_t len = w->out->len, n = w->n;
    int r = tree_page_add(w, e, NULL);
    if (r < 0) {
        assert_int_equal(w->out->len, len);
        assert_int_equal(w->n, n);
    }
    return r;
}

static void bad_entries_are_not_written(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(200);
    struct tree_writer w;
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    struct tree_entry m = plain("m"), e = plain("m");
    assert_int_equal(add(&w, &m), 0);
    assert_int_equal(add(&w, &e), BK_E_USAGE); /* the same name again */
    e = plain("lz");
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("a/b");
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("n");
    e.mode = 010000;
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("n");
    e.mtime.ns = 1000000000;
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("n");
    e.type = (enum tree_type)8;
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("n");
    e.flags = TREE_FLAGS_KNOWN + 1;
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e = plain("n");
    e.type = TREE_SYMLINK;
    e.link = (const uint8_t *)"a\0b";
    e.link_len = 3;
    assert_int_equal(add(&w, &e), BK_E_USAGE);
    e.link_len = TREE_LINK_MAX + 1;
    assert_int_equal(add(&w, &e), BK_E_LIMIT);
    e = plain("n");
    e.type = TREE_DIR;
    e.dir.depth = TREE_DEPTH_MAX + 1;
    assert_int_equal(add(&w, &e), BK_E_LIMIT);
    static const uint8_t many[190] = { 1 };
    e = plain("n");
    e.xattrs = many;
    e.xattrs_len = sizeof many;
    assert_int_equal(add(&w, &e), BK_E_LIMIT); /* the buffer is full */
    e = plain("m0");
    assert_int_equal(add(&w, &e), 0); /* and the page goes on as before */

    struct tree_page p;
    struct tree_entry back;
    assert_int_equal(tree_page_open(b.data, b.len, &p, NULL), 0);
    assert_int_equal(tree_page_next(&p, &back, NULL), 1);
    assert_same_entry(&m, &back);
    assert_int_equal(tree_page_next(&p, &back, NULL), 1);
    assert_same_entry(&e, &back);
    assert_int_equal(tree_page_next(&p, &back, NULL), 0);
}

/* The last result of reading the entries after the header. */
static int last_of(const char *entries, size_t len)
{
    uint8_t page[256] = { 0x54, 1, 0 };
    memcpy(page + 3, entries, len);
    struct tree_page p;
    struct tree_entry e;
    int r = tree_page_open(page, 3 + len, &p, NULL);
    while ((r = r < 0 ? r : tree_page_next(&p, &e, NULL)) > 0)
        ;
    if (r < 0)
        assert_int_equal(tree_page_next(&p, &e, NULL), BK_E_CORRUPT); /* and stays so */
    return r;
}
#define LAST_OF(s) last_of(s, sizeof(s) - 1)

static void bad_entries_are_not_read(void **state)
{
    (void)state;
    /* a fifo: type 4, all as the base but for nothing, name, ino + 0 */
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             "a\0"),
                     0);
    assert_int_equal(LAST_OF("\x08\x04\x4f\x01"
                             "a\0xyz"),
                     0); /* fields of the future are skipped */
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             "a\0\x05\x04\x4f\x01"
                             "b\0"),
                     0);
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             "b\0\x05\x04\x4f\x01"
                             "a\0"),
                     BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             "a\0\x05\x04\x4f\x01"
                             "a\0"),
                     BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x05\x00\x4f\x01"
                             "a\0"),
                     BK_E_CORRUPT); /* type 0 */
    assert_int_equal(LAST_OF("\x05\x84\x4f\x01"
                             "a\0"),
                     BK_E_VERSION); /* the reserved bit */
    assert_int_equal(LAST_OF("\x05\x0c\x4f\x01"
                             "a\0"),
                     BK_E_CORRUPT); /* mtime as the base's twice over */
    assert_int_equal(LAST_OF("\x05\x04\x5f\x01"
                             "a\0"),
                     BK_E_CORRUPT); /* btime without its flag */
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             "/\0"),
                     BK_E_CORRUPT); /* names */
    assert_int_equal(LAST_OF("\x05\x04\x4f\x01"
                             ".\0"),
                     BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x06\x04\x4f\x02"
                             "..\0"),
                     BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x04\x04\x4f\x00\0"), BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x07\x04\x4e\x01"
                             "a\x80\x20\0"),
                     BK_E_CORRUPT); /* mode 010000 */
    assert_int_equal(LAST_OF("\x07\x04\x47\x01"
                             "a\x10\0\0"),
                     BK_E_VERSION); /* flag 16 */
    assert_int_equal(LAST_OF("\x0a\x1c\x4f\x01"
                             "a\0\0\x00\xca\x9a\x3b"),
                     BK_E_CORRUPT); /* 1e9 ns */
    assert_int_equal(LAST_OF("\x06\x04\xcf\x01"
                             "a\0\0"),
                     BK_E_CORRUPT); /* xattrs of no bytes */
    assert_int_equal(LAST_OF("\x08\x03\x4f\x01"
                             "a\0\x02x\0"),
                     BK_E_CORRUPT); /* NUL in a link */
    assert_int_equal(LAST_OF("\x06\x02\x4f\x01"
                             "a\0\x07"),
                     BK_E_CORRUPT); /* depth 7 */
    assert_int_equal(LAST_OF("\x0b\x06\x4f\x01"
                             "a\0\x80\x80\x80\x80\x10\0"),
                     BK_E_CORRUPT); /* major 2^32 */
    assert_int_equal(LAST_OF("\x00"), BK_E_CORRUPT);
    assert_int_equal(LAST_OF("\x06\x04\x4f\x01"
                             "a\0"),
                     BK_E_CORRUPT); /* longer than the page */
    assert_int_equal(LAST_OF("\x81\x80\x80\x01"
                             "a"),
                     BK_E_CORRUPT); /* past TREE_ENTRY_MAX */
}

static void names_of_hosts_are_checked(void **state)
{
    (void)state;
    char long_name[256];
    memset(long_name, 'a', sizeof long_name);
    assert_true(tree_name_valid("a", 1));
    assert_true(tree_name_valid("...", 3));
    assert_true(tree_name_valid(".a", 2));
    assert_true(tree_name_valid("\xff\x01\n", 3));
    assert_true(tree_name_valid(long_name, 255));
    assert_false(tree_name_valid(long_name, 256));
    assert_false(tree_name_valid("", 0));
    assert_false(tree_name_valid(".", 1));
    assert_false(tree_name_valid("..", 2));
    assert_false(tree_name_valid("a/", 2));
    assert_false(tree_name_valid("a\0", 2));
}

static void read_page(const void *data, size_t len)
{
    struct tree_page p;
    struct tree_entry e;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    struct tree_writer w;
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    int r = tree_page_open(data, len, &p, NULL);
    while (r >= 0 && (r = tree_page_next(&p, &e, NULL)) > 0)
        assert_int_equal(tree_page_add(&w, &e, NULL), 0); /* what is accepted is valid */
    assert_true(r == 0 || r == BK_E_CORRUPT || r == BK_E_VERSION);
}

static void damaged_pages_fail_or_are_valid(void **state)
{
    (void)state;
    struct dice d = { 77 };
    size_t n = 40;
    bk_auto(free) struct sample *v = sample_list(&d, &n);
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
    struct tree_writer w;
    assert_int_equal(tree_page_begin(&w, &b, NULL), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tree_page_add(&w, &v[i].e, NULL), 0);
    damage(b.data, b.len, read_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back),           cmocka_unit_test(extremes_come_back),
        cmocka_unit_test(what_repeats_costs_nothing),  cmocka_unit_test(bytes_of_a_page_are_pinned),
        cmocka_unit_test(bad_entries_are_not_written), cmocka_unit_test(bad_entries_are_not_read),
        cmocka_unit_test(names_of_hosts_are_checked),  cmocka_unit_test(damaged_pages_fail_or_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
