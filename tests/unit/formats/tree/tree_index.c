#include "tests/unit/formats/tree/sample.h"

static void indexes_come_back(void **state)
{
    (void)state;
    struct dice d = { 41 };
    for (unsigned depth = 2; depth <= TREE_DEPTH_MAX; depth++) {
        size_t n = depth == 2 ? TREE_FANOUT : 1 + roll_n(&d, 40), n_back;
        bk_auto(free) struct sample *s = sample_list(&d, &n);
        bk_auto(free) struct tree_child *v = calloc(n, sizeof *v), *back = NULL;
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
        assert_non_null(v);
        for (size_t i = 0; i < n; i++) {
            v[i] = (struct tree_child){ .first = s[i].name, .first_len = s[i].e.name_len };
            roll_bytes(&d, v[i].id.b, CHUNK_ID);
        }
        assert_int_equal(tree_index_encode(depth, v, n, &b, NULL), 0);
        assert_int_equal(tree_index_decode(b.data, b.len, depth, &back, &n_back, NULL), 0);
        assert_int_equal(n, n_back);
        for (size_t i = 0; i < n; i++) {
            assert_same_bytes(v[i].first, v[i].first_len, back[i].first, back[i].first_len);
            assert_memory_equal(v[i].id.b, back[i].id.b, CHUNK_ID);
        }
        struct tree_child *none = NULL;
        assert_int_equal(tree_index_decode(b.data, b.len, depth + 1, &none, &n_back, NULL), BK_E_CORRUPT);
        assert_null(none);
    }
}

static struct tree_child child(const char *name)
{
    return (struct tree_child){ .first = (const uint8_t *)name, .first_len = strlen(name) };
}

static void impossible_indexes_are_refused(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_child v[2] = { child("a"), child("b") };
    assert_int_equal(tree_index_encode(1, v, 2, &b, NULL), BK_E_LIMIT);
    assert_int_equal(tree_index_encode(TREE_DEPTH_MAX + 1, v, 2, &b, NULL), BK_E_LIMIT);
    assert_int_equal(tree_index_encode(2, v, 0, &b, NULL), BK_E_LIMIT);
    v[1] = v[0];
    assert_int_equal(tree_index_encode(2, v, 2, &b, NULL), BK_E_USAGE);
    v[1] = child("..");
    assert_int_equal(tree_index_encode(2, v, 2, &b, NULL), BK_E_USAGE);
    assert_int_equal(b.len, 0);
}

static void bytes_of_an_index_are_pinned(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_child v[2] = { child("aa"), child("b") };
    memset(v[0].id.b, 0x33, CHUNK_ID);
    memset(v[1].id.b, 0x44, CHUNK_ID);
    assert_int_equal(tree_index_encode(2, v, 2, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "580100"
               "0202"
               "0261613333333333333333333333333333333333333333333333333333333333333333"
               "01624444444444444444444444444444444444444444444444444444444444444444");
}

static void read_index(const void *p, size_t n)
{
    bk_auto(free) struct tree_child *v = NULL;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    size_t count;
    if (tree_index_decode(p, n, 2, &v, &count, NULL) == 0)
        assert_int_equal(tree_index_encode(2, v, count, &b, NULL), 0);
}

static void damaged_indexes_fail_or_are_valid(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct tree_child v[3] = { child("aa"), child("b"), child("ccc") };
    assert_int_equal(tree_index_encode(2, v, 3, &b, NULL), 0);
    damage(b.data, b.len, read_index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_come_back),
        cmocka_unit_test(impossible_indexes_are_refused),
        cmocka_unit_test(bytes_of_an_index_are_pinned),
        cmocka_unit_test(damaged_indexes_fail_or_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
