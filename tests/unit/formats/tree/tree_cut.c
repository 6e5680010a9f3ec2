#include "tests/unit/formats/tree/sample.h"

/* The pages of a directory, one after the other, and how many entries each has. */
struct cut {
    struct bk_buf all;
    size_t n_entries[4096];
    size_t n;
};

/* Feed the list in batches of `batch`, as readers with any number of threads would. */
static void cut_in_batches(const struct sample *v, size_t n, size_t batch, struct cut *ret)
{
    *ret = (struct cut){ .all = BK_BUF(64 << 20) };
    struct tree_writer w = { 0 };
    for (size_t from = 0; from < n; from += batch)
        for (size_t i = from; i < n && i < from + batch; i++) {
            if (w.n == 0)
                assert_int_equal(tree_page_begin(&w, &ret->all, NULL), 0);
            assert_int_equal(tree_page_add(&w, &v[i].e, NULL), 0);
            if (tree_page_full(&w)) {
                ret->n_entries[ret->n++] = w.n;
                w.n = 0;
            }
        }
}

static void cuts_do_not_depend_on_batches(void **state)
{
    (void)state;
    struct dice d = { 31 };
    size_t n = 3000;
    bk_auto(free) struct sample *v = sample_list(&d, &n);
    static struct cut a, b;
    cut_in_batches(v, n, n, &a);
    assert_in_range(a.n, 10, 60); /* about one in 128 */
    for (size_t batch = 1; batch < 200; batch += 33) {
        cut_in_batches(v, n, batch, &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.n_entries, b.n_entries, a.n * sizeof a.n_entries[0]);
        assert_int_equal(a.all.len, b.all.len);
        assert_memory_equal(a.all.data, b.all.data, a.all.len);
        bk_buf_clear(&b.all);
    }
    bk_buf_clear(&a.all);
}

static void a_new_name_changes_one_cut(void **state)
{
    (void)state;
    struct dice d = { 32 };
    size_t n = 3000;
    bk_auto(free) struct sample *v = sample_list(&d, &n);
    static struct cut a, b;
    cut_in_batches(v, n, n, &a);
    cut_in_batches(v + 1, n - 1, n, &b); /* without the first */
    assert_int_equal(a.n, b.n);
    assert_int_equal(a.n_entries[0], b.n_entries[0] + 1);
    assert_memory_equal(a.n_entries + 1, b.n_entries + 1, (a.n - 1) * sizeof a.n_entries[0]);
    bk_buf_clear(&a.all);
    bk_buf_clear(&b.all);
}

static void pages_end_at_their_ceilings(void **state)
{
    (void)state;
    assert_false(tree_page_ends("a", 1, 1, 100));
    assert_true(tree_page_ends("a", 1, TREE_PAGE_ENTRIES, 100));
    assert_false(tree_page_ends("a", 1, TREE_PAGE_ENTRIES - 1, TREE_PAGE_BYTES));
    assert_true(tree_page_ends("a", 1, 1, TREE_PAGE_BYTES + 1));
}

/* The names are pinned: where pages end is a part of what makes unchanged directories cost nothing. */
static void the_names_that_end_pages_are_pinned(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "f%d", i);
        if (tree_page_ends(name, (size_t)n, 1, 1)) {
            assert_int_equal(bk_buf_append(&b, name, (size_t)n, NULL), 0);
            assert_int_equal(bk_buf_u8(&b, ' ', NULL), 0);
        }
    }
    assert_int_equal(bk_buf_u8(&b, 0, NULL), 0);
    assert_string_equal((const char *)b.data, "f359 f444 f512 f545 f575 f736 f844 f952 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_do_not_depend_on_batches),
        cmocka_unit_test(a_new_name_changes_one_cut),
        cmocka_unit_test(pages_end_at_their_ceilings),
        cmocka_unit_test(the_names_that_end_pages_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
