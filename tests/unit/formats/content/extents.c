#include "formats/content/content.h"
#include "tests/unit/formats/support.h"

static struct extent data_of(uint8_t id, uint32_t off, uint64_t len)
{
    struct extent x = { .len = len, .kind = EXTENT_DATA, .off = off };
    memset(x.id.b, id, CHUNK_ID);
    return x;
}

static struct extent gap(enum extent_kind kind, uint64_t len)
{
    return (struct extent){ .len = len, .kind = kind };
}

static void add(struct extents *e, struct extent x)
{
    assert_int_equal(extents_add(e, &x, NULL), 0);
}

static void neighbours_of_one_kind_merge(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 };
    add(&e, gap(EXTENT_HOLE, 10));
    add(&e, gap(EXTENT_HOLE, 5));
    add(&e, gap(EXTENT_ZERO, 1));
    add(&e, gap(EXTENT_ZERO, 2));
    add(&e, gap(EXTENT_HOLE, 7));
    assert_int_equal(e.n, 3);
    assert_int_equal(e.v[0].len, 15);
    assert_int_equal(e.v[1].len, 3);
    assert_int_equal(e.v[2].len, 7);
    assert_int_equal(e.len, 25);
}

static void data_merges_where_its_chunk_goes_on(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 };
    add(&e, data_of(1, 0, 100));
    add(&e, data_of(1, 100, 50));
    assert_int_equal(e.n, 1);
    assert_int_equal(e.v[0].len, 150);
    add(&e, data_of(1, 0, 100)); /* the same bytes again */
    add(&e, data_of(1, 101, 1)); /* a gap of one byte */
    add(&e, data_of(2, 102, 1)); /* another chunk */
    assert_int_equal(e.n, 4);
}

static void bad_extents_are_refused(void **state)
{
    (void)state;
    bk_auto(extents_clear) struct extents e = { 0 };
    add(&e, gap(EXTENT_HOLE, CONTENT_SIZE_MAX - 4));
    struct extent empty = gap(EXTENT_ZERO, 0), past = data_of(1, CHUNK_MAX - 1, 2),
                  huge = data_of(1, 0, UINT64_MAX), much = gap(EXTENT_HOLE, 5),
                  odd = gap((enum extent_kind)3, 1);
    assert_int_equal(extents_add(&e, &empty, NULL), BK_E_USAGE);
    assert_int_equal(extents_add(&e, &past, NULL), BK_E_USAGE);
    assert_int_equal(extents_add(&e, &huge, NULL), BK_E_USAGE);
    assert_int_equal(extents_add(&e, &odd, NULL), BK_E_USAGE);
    assert_int_equal(extents_add(&e, &much, NULL), BK_E_LIMIT);
    assert_int_equal(e.n, 1);
    assert_int_equal(e.len, CONTENT_SIZE_MAX - 4);
}

/* Model: every byte of the content has a label; adding must keep the labels and never leave two extents that
 * could be one. */
enum { MODEL = 4096 };
static uint32_t label(const struct extent *x, uint64_t i)
{
    return x->kind == EXTENT_DATA ? (uint32_t)(1u << 24 | x->id.b[0] << 16 | (x->off + i))
                                  : (uint32_t)x->kind;
}

static void merging_keeps_every_byte(void **state)
{
    (void)state;
    struct dice d = { 1 };
    for (int round = 0; round < 200; round++) {
        uint32_t model[MODEL];
        size_t n = 0;
        bk_auto(extents_clear) struct extents e = { 0 };
        while (n < MODEL - 8) {
            uint64_t len = 1 + roll_n(&d, 8);
            struct extent x = roll_n(&d, 2) ? data_of((uint8_t)roll_n(&d, 2), (uint32_t)roll_n(&d, 4), len)
                                            : gap(EXTENT_HOLE + (int)roll_n(&d, 2), len);
            if (e.n && e.v[e.n - 1].kind == EXTENT_DATA && roll_n(&d, 2))
                x = data_of(e.v[e.n - 1].id.b[0], (uint32_t)(e.v[e.n - 1].off + e.v[e.n - 1].len), len);
            for (uint64_t i = 0; i < len; i++)
                model[n++] = label(&x, i);
            add(&e, x);
        }
        assert_int_equal(e.len, n);
        size_t at = 0;
        for (size_t i = 0; i < e.n; i++) {
            if (i) { /* could it have merged? */
                uint32_t before = model[at - 1], here = label(&e.v[i], 0);
                assert_true(here >> 24 ? here != before + 1 : here != before);
            }
            for (uint64_t j = 0; j < e.v[i].len; j++)
                assert_int_equal(model[at++], label(&e.v[i], j));
        }
        assert_int_equal(at, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_of_one_kind_merge),
        cmocka_unit_test(data_merges_where_its_chunk_goes_on),
        cmocka_unit_test(bad_extents_are_refused),
        cmocka_unit_test(merging_keeps_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
