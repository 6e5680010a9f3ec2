#include "formats/content/content.h"
#include "tests/unit/formats/support.h"

static struct extent random_extent(struct dice *d)
{
    struct extent x = { .kind = (enum extent_kind)roll_n(d, 3) };
    if (x.kind == EXTENT_DATA) {
        x.len = 1 + roll_n(d, CHUNK_MAX);
        x.off = (uint32_t)(roll_n(d, 2) ? roll_n(d, CHUNK_MAX - x.len + 1) : 0);
        roll_bytes(d, x.id.b, CHUNK_ID);
    } else {
        x.len = 1 + (roll_size(d) >> 6);
    }
    return x;
}

static struct content random_content(struct dice *d)
{
    struct content c = { 0 };
    if (roll_n(d, 4) == 0) {
        c.depth = (uint8_t)(1 + roll_n(d, CONTENT_DEPTH_MAX));
        c.size = 1 + (roll_size(d) >> 2);
        roll_bytes(d, c.root.b, CHUNK_ID);
        return c;
    }
    c.n_inline = (uint8_t)roll_n(d, CONTENT_INLINE_MAX + 1);
    for (unsigned i = 0; i < c.n_inline; i++) {
        c.inline_[i] = random_extent(d);
        c.size += c.inline_[i].len;
    }
    return c;
}

static void assert_same_extent(const struct extent *a, const struct extent *b)
{
    assert_int_equal(a->len, b->len);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->off, b->off);
    assert_memory_equal(a->id.b, b->id.b, CHUNK_ID);
}

static void assert_same_content(const struct content *a, const struct content *b)
{
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->n_inline, b->n_inline);
    assert_memory_equal(a->root.b, b->root.b, CHUNK_ID);
    for (unsigned i = 0; i < a->n_inline; i++)
        assert_same_extent(&a->inline_[i], &b->inline_[i]);
}

static void content_comes_back(void **state)
{
    (void)state;
    struct dice d = { 7 };
    for (int i = 0; i < 3000; i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
        struct content c = random_content(&d), back;
        assert_int_equal(content_encode(&c, &b, NULL), 0);
        assert_int_equal(bk_buf_u8(&b, 0xaa, NULL), 0); /* what follows in the record stays */
        struct bk_reader r = bk_reader_of(b.data, b.len);
        assert_int_equal(content_decode(&r, &back, NULL), 0);
        assert_int_equal(bk_reader_left(&r), 1);
        assert_same_content(&c, &back);
    }
}

static void bytes_of_content_are_pinned(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct content c = { .size = 300, .n_inline = 3 };
    c.inline_[0] = (struct extent){ .len = 100, .kind = EXTENT_DATA, .off = 200 };
    memset(c.inline_[0].id.b, 0xab, CHUNK_ID);
    c.inline_[1] = (struct extent){ .len = 150, .kind = EXTENT_HOLE };
    c.inline_[2] = (struct extent){ .len = 50, .kind = EXTENT_ZERO };
    assert_int_equal(content_encode(&c, &b, NULL), 0);
    c = (struct content){ .size = 1 << 20, .depth = 2 };
    memset(c.root.b, 0xcd, CHUNK_ID);
    assert_int_equal(content_encode(&c, &b, NULL), 0);
    c = (struct content){ 0 };
    assert_int_equal(content_encode(&c, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "03ac02"
               "0464c801abababababababababababababababababababababababababababababababab"
               "019601"
               "0a"
               "12808040cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
               "0000");
}

static void impossible_content_is_not_written(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct content c = { .size = 5 };
    assert_int_equal(content_encode(&c, &b, NULL), BK_E_USAGE); /* no extents for 5 bytes */
    c = (struct content){ .size = 0, .depth = 1 };
    assert_int_equal(content_encode(&c, &b, NULL), BK_E_USAGE);
    c = (struct content){ .size = 5, .depth = CONTENT_DEPTH_MAX + 1 };
    assert_int_equal(content_encode(&c, &b, NULL), BK_E_USAGE);
    c = (struct content){ .size = 5, .n_inline = CONTENT_INLINE_MAX + 1 };
    assert_int_equal(content_encode(&c, &b, NULL), BK_E_USAGE);
    assert_int_equal(b.len, 0);
}

static void refuse(const char *bytes, size_t len)
{
    struct bk_reader r = bk_reader_of(bytes, len);
    struct content c;
    assert_int_equal(content_decode(&r, &c, NULL), BK_E_CORRUPT);
    assert_true(r.bad);
}
#define REFUSE(s) refuse(s, sizeof(s) - 1)

static void bad_content_is_refused(void **state)
{
    (void)state;
    REFUSE("\x00\x01");                                         /* nothing inline, yet a size */
    REFUSE("\x01\x05\x01\x04");                                 /* a hole of 4 for 5 */
    REFUSE("\x01\x05\x01\x06");                                 /* a hole of 6 for 5 */
    REFUSE("\x01\x00\x09");                                     /* an empty rest */
    REFUSE("\x02\x05\x09\x01\x00");                             /* the rest, then more */
    REFUSE("\x02\x05\x01\x05\x09");                             /* nothing left for the rest */
    REFUSE("\x01\x05\x0b");                                     /* kind 3 */
    REFUSE("\x01\x05\x0d\x01");                                 /* a hole with an offset */
    REFUSE("\x01\x05\x19");                                     /* an unknown bit */
    REFUSE("\x09\x05");                                         /* 9 inline */
    REFUSE("\x10\x05");                                         /* depth 0 as pages */
    REFUSE("\x19\x05");                                         /* depth 9 */
    REFUSE("\x11\x00zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");         /* pages of nothing */
    REFUSE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09"); /* 2^64-1 bytes */
}

static void read_any(const void *p, size_t n)
{
    struct bk_reader r = bk_reader_of(p, n);
    struct content c, back;
    struct bk_error err = { 0 };
    if (content_decode(&r, &c, &err) < 0) {
        assert_int_equal(err.code, BK_E_CORRUPT);
        return;
    }
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    assert_int_equal(content_encode(&c, &b, NULL), 0); /* what is accepted is valid */
    r = bk_reader_of(b.data, b.len);
    assert_int_equal(content_decode(&r, &back, NULL), 0);
    assert_same_content(&c, &back);
}

static void damaged_content_fails_or_is_valid(void **state)
{
    (void)state;
    struct dice d = { 9 };
    for (int i = 0; i < 40; i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
        struct content c = random_content(&d);
        assert_int_equal(content_encode(&c, &b, NULL), 0);
        damage(b.data, b.len, read_any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_comes_back),
        cmocka_unit_test(bytes_of_content_are_pinned),
        cmocka_unit_test(impossible_content_is_not_written),
        cmocka_unit_test(bad_content_is_refused),
        cmocka_unit_test(damaged_content_fails_or_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
