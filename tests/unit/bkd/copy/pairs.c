/* The table of names: what was put in comes out, in memory and beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/copy/pairs.h"

static chunk_id id_of(uint64_t i)
{
    chunk_id id;
    for (size_t k = 0; k < sizeof id.b; k++) {
        i = i * 6364136223846793005u + 1442695040888963407u;
        id.b[k] = (uint8_t)(i >> 56);
    }
    return id;
}

static void fill(struct pairs *p, uint64_t from, uint64_t to)
{
    struct bk_error err = { 0 };
    for (uint64_t i = from; i < to; i++) {
        chunk_id a = id_of(2 * i), b = id_of(2 * i + 1);
        assert_int_equal(pairs_add(p, &a, &b, &err), 0);
    }
}

static void verify(struct pairs *p, uint64_t n)
{
    assert_int_equal(pairs_count(p), n);
    for (uint64_t i = 0; i < n; i++) {
        chunk_id a = id_of(2 * i), b = id_of(2 * i + 1), got;
        assert_true(pairs_find(p, &a, &got));
        assert_int_equal(chunk_id_cmp(&b, &got), 0);
        assert_false(pairs_find(p, &b, NULL));
    }
}

static void names_are_found_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pairs_free) struct pairs *p = NULL;
    assert_int_equal(pairs_new(64 << 20, &p, &err), 0);
    fill(p, 0, 20000);
    verify(p, 20000);
    assert_int_equal(pairs_on_disk(p), 0);
}

static void past_the_budget_they_lie_in_a_file(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pairs_free) struct pairs *p = NULL;
    assert_int_equal(pairs_new(1 << 20, &p, &err), 0);
    fill(p, 0, 5000);
    assert_int_equal(pairs_on_disk(p), 0);
    fill(p, 5000, 60000);
    assert_true(pairs_on_disk(p) > 1 << 20);
    verify(p, 60000);
}

static void the_first_name_stays(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pairs_free) struct pairs *p = NULL;
    assert_int_equal(pairs_new(1 << 20, &p, &err), 0);
    chunk_id a = id_of(1), b = id_of(2), c = id_of(3), got;
    assert_int_equal(pairs_add(p, &a, &b, &err), 0);
    assert_int_equal(pairs_add(p, &a, &c, &err), 0);
    assert_int_equal(pairs_count(p), 1);
    assert_true(pairs_find(p, &a, &got));
    assert_int_equal(chunk_id_cmp(&b, &got), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(past_the_budget_they_lie_in_a_file),
        cmocka_unit_test(the_first_name_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
