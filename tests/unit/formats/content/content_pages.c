#include "formats/content/content.h"
#include "tests/unit/formats/support.h"

static void fill(struct dice *d, size_t n, struct extents *e)
{
    for (size_t i = 0; i < n; i++) {
        struct extent x = { .len = 1 + roll_n(d, 65536), .kind = (enum extent_kind)(i % 3) };
        if (x.kind == EXTENT_DATA) {
            x.off = (uint32_t)(roll_n(d, 3) ? 0 : roll_n(d, 1000));
            roll_bytes(d, x.id.b, CHUNK_ID);
        }
        assert_int_equal(extents_add(e, &x, NULL), 0);
    }
}

static void assert_same(const struct extents *a, const struct extents *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->len, b->len);
    for (size_t i = 0; i < a->n; i++) {
        assert_int_equal(a->v[i].len, b->v[i].len);
        assert_int_equal(a->v[i].kind, b->v[i].kind);
        assert_int_equal(a->v[i].off, b->v[i].off);
        assert_memory_equal(a->v[i].id.b, b->v[i].id.b, CHUNK_ID);
    }
}

static void leaves_come_back_in_a_row(void **state)
{
    (void)state;
    struct dice d = { 3 };
    bk_auto(extents_clear) struct extents all = { 0 }, back = { 0 };
    for (int i = 0; i < 20; i++) {
        bk_auto(extents_clear) struct extents e = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4 << 20);
        fill(&d, 1 + roll_n(&d, 500), &e);
        for (size_t j = 0; j < e.n; j++)
            assert_int_equal(extents_add(&all, &e.v[j], NULL), 0);
        assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
        assert_int_equal(content_leaf_decode(b.data, b.len, &back, NULL), 0);
    }
    assert_same(&all, &back);
}

static void the_fullest_leaf_is_one_chunk(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    for (uint32_t i = 0; i < CONTENT_LEAF_MAX; i++) {
        struct extent x = { .len = CHUNK_MAX / 2, .kind = EXTENT_DATA, .off = 1 + CHUNK_MAX / 4 };
        bk_put_u32(x.id.b, i);
        assert_int_equal(extents_add(&e, &x, NULL), 0);
    }
    assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
    assert_int_equal(content_leaf_decode(b.data, b.len, &back, NULL), 0);
    assert_same(&e, &back);
    struct extent one = { .len = 1, .kind = EXTENT_HOLE };
    assert_int_equal(extents_add(&e, &one, NULL), 0);
    b.len = 0;
    assert_int_equal(content_leaf_encode(&e, &b, NULL), BK_E_LIMIT);
    assert_int_equal(b.len, 0);
}

static void a_failed_leaf_leaves_the_list(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents list = { 0 }, e = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct extent hole = { .len = 7, .kind = EXTENT_HOLE }, zero = { .len = 3, .kind = EXTENT_ZERO };
    assert_int_equal(extents_add(&list, &hole, NULL), 0);
    assert_int_equal(extents_add(&e, &hole, NULL), 0);
    assert_int_equal(extents_add(&e, &zero, NULL), 0);
    assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
    assert_int_equal(content_leaf_decode(b.data, b.len - 1, &list, NULL), BK_E_CORRUPT);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.len, 7);
    assert_int_equal(list.v[0].len, 7);
}

static void inner_pages_come_back(void **state)
{
    (void)state;
    struct dice d = { 5 };
    for (unsigned depth = 2; depth <= CONTENT_DEPTH_MAX; depth++) {
        size_t n = depth == 2 ? CONTENT_FANOUT : 1 + roll_n(&d, 50), n_back;
        bk_auto(free) struct content_child *v = calloc(n, sizeof *v), *back = NULL;
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
        assert_non_null(v);
        for (size_t i = 0; i < n; i++) {
            v[i].len = 1 + (roll_size(&d) >> 12);
            roll_bytes(&d, v[i].id.b, CHUNK_ID);
        }
        assert_int_equal(content_inner_encode(depth, v, n, &b, NULL), 0);
        assert_int_equal(content_inner_decode(b.data, b.len, depth, &back, &n_back, NULL), 0);
        assert_int_equal(n, n_back);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(v[i].len, back[i].len);
            assert_memory_equal(v[i].id.b, back[i].id.b, CHUNK_ID);
        }
        struct content_child *none = NULL;
        assert_int_equal(
            content_inner_decode(b.data, b.len, depth == 2 ? 3 : depth - 1, &none, &n_back, NULL),
            BK_E_CORRUPT);
        assert_null(none);
    }
}

static void impossible_inner_pages_are_refused(void **state)
{
    (void)state;
    static struct content_child v[CONTENT_FANOUT + 1];
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    for (size_t i = 0; i <= CONTENT_FANOUT; i++)
        v[i].len = 1;
    assert_int_equal(content_inner_encode(2, v, CONTENT_FANOUT + 1, &b, NULL), BK_E_LIMIT);
    assert_int_equal(content_inner_encode(2, v, 0, &b, NULL), BK_E_LIMIT);
    assert_int_equal(content_inner_encode(1, v, 1, &b, NULL), BK_E_LIMIT);
    assert_int_equal(content_inner_encode(CONTENT_DEPTH_MAX + 1, v, 1, &b, NULL), BK_E_LIMIT);
    v[1].len = 0;
    assert_int_equal(content_inner_encode(2, v, 2, &b, NULL), BK_E_LIMIT);
    v[1].len = CONTENT_SIZE_MAX;
    assert_int_equal(content_inner_encode(2, v, 2, &b, NULL), BK_E_LIMIT);
    assert_int_equal(b.len, 0);
}

static void bytes_of_pages_are_pinned(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct extent x = { .len = 65536, .kind = EXTENT_DATA };
    memset(x.id.b, 0x11, CHUNK_ID);
    assert_int_equal(extents_add(&e, &x, NULL), 0);
    x = (struct extent){ .len = 4096, .kind = EXTENT_ZERO };
    assert_int_equal(extents_add(&e, &x, NULL), 0);
    assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "4c0100"
               "02"
               "0080800411111111111111111111111111111111111111111111111111111111"
               "11111111028020");
    b.len = 0;
    struct content_child c = { .len = 1 << 30 };
    memset(c.id.b, 0x22, CHUNK_ID);
    assert_int_equal(content_inner_encode(2, &c, 1, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "490100"
               "0201"
               "80808080042222222222222222222222222222222222222222222222222222222222222222");
}

static void headers_are_checked(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 };
    assert_int_equal(content_leaf_decode("\x4c\x02\x00\x01\x01\x05", 6, &e, NULL), BK_E_VERSION);
    assert_int_equal(content_leaf_decode("\x4c\x01\x01\x01\x01\x05", 6, &e, NULL), BK_E_VERSION);
    assert_int_equal(content_leaf_decode("\x4c\x00\x00\x01\x01\x05", 6, &e, NULL), BK_E_CORRUPT);
    assert_int_equal(content_leaf_decode("\x49\x01\x00\x01\x01\x05", 6, &e, NULL), BK_E_CORRUPT);
    assert_int_equal(content_leaf_decode("\x4c\x01\x00\x00", 4, &e, NULL), BK_E_CORRUPT);     /* none */
    assert_int_equal(content_leaf_decode("\x4c\x01\x00\x01\x09", 5, &e, NULL), BK_E_CORRUPT); /* a rest */
    assert_int_equal(content_leaf_decode("\x4c\x01\x00\x01\x01\x05\x00", 7, &e, NULL),
                     BK_E_CORRUPT); /* more */
    assert_int_equal(e.n, 0);
    assert_int_equal(content_leaf_decode("\x4c\x01\x00\x01\x01\x05", 6, &e, NULL), 0);
    assert_int_equal(e.len, 5);
}

static void read_leaf(const void *p, size_t n)
{
    bk_auto(extents_clear) struct extents e = { 0 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    if (content_leaf_decode(p, n, &e, NULL) < 0) {
        assert_int_equal(e.n, 0);
        return;
    }
    assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
    assert_int_equal(content_leaf_decode(b.data, b.len, &back, NULL), 0);
    assert_same(&e, &back);
}

static void read_inner(const void *p, size_t n)
{
    bk_auto(free) struct content_child *v = NULL;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    size_t count;
    if (content_inner_decode(p, n, 3, &v, &count, NULL) == 0)
        assert_int_equal(content_inner_encode(3, v, count, &b, NULL), 0);
}

static void damaged_pages_fail_or_are_valid(void **state)
{
    (void)state;
    struct dice d = { 11 };
    bk_auto(extents_clear) struct extents e = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    fill(&d, 12, &e);
    assert_int_equal(content_leaf_encode(&e, &b, NULL), 0);
    damage(b.data, b.len, read_leaf);
    b.len = 0;
    struct content_child v[3] = { { .len = 1 }, { .len = 1u << 30 }, { .len = CONTENT_SIZE_MAX / 2 } };
    assert_int_equal(content_inner_encode(3, v, 3, &b, NULL), 0);
    damage(b.data, b.len, read_inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_come_back_in_a_row),
        cmocka_unit_test(the_fullest_leaf_is_one_chunk),
        cmocka_unit_test(a_failed_leaf_leaves_the_list),
        cmocka_unit_test(inner_pages_come_back),
        cmocka_unit_test(impossible_inner_pages_are_refused),
        cmocka_unit_test(bytes_of_pages_are_pinned),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(damaged_pages_fail_or_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
