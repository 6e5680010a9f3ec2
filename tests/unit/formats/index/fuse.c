#include "tests/unit/formats/fixture.h"

#include "formats/index/fuse.h"

static struct fuse build(const uint64_t *keys, size_t n, struct bk_buf *out)
{
    struct bk_error err = { 0 };
    struct fuse f;
    assert_ok(fuse_build(keys, n, &f, out, &err));
    assert_int_equal(f.n_fingerprints, out->len);
    f.fingerprints = out->data;
    return f;
}

static void no_key_is_ever_missed(void **state)
{
    (void)state;
    static const size_t more[] = { 1000, 1023, 5000, 33333, 100000, 400000 };
    static uint64_t keys[400000];
    for (size_t i = 0; i < 130 + BK_COUNT(more); i++) {
        size_t n = i < 130 ? i : more[i - 130];
        uint64_t seed = i;
        for (size_t k = 0; k < n; k++)
            keys[k] = fixture_next(&seed);
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
        struct fuse f = build(keys, n, &out);
        for (size_t k = 0; k < n; k++)
            assert_true(fuse_has(&f, keys[k]));
    }
}

static void few_strangers_pass(void **state)
{
    (void)state;
    enum { N = 200000 };
    static uint64_t keys[N];
    uint64_t seed = 1;
    for (size_t k = 0; k < N; k++)
        keys[k] = fixture_next(&seed);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
    struct fuse f = build(keys, N, &out);
    size_t passed = 0;
    for (size_t k = 0; k < 1000000; k++)
        passed += fuse_has(&f, fixture_next(&seed));
    assert_in_range(passed, 3000, 4900); /* 1/256 is 3906 */
    assert_true(out.len < N * 5 / 4);
}

static void an_empty_filter_has_nothing(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
    struct fuse f = build(NULL, 0, &out), back;
    uint8_t params[FUSE_PARAMS];
    assert_int_equal(out.len, 0);
    fuse_encode(&f, params);
    assert_ok(fuse_decode(params, 0, &back, &err));
    for (uint64_t k = 0; k < 1000; k++)
        assert_false(fuse_has(&back, k));
}

static void equal_and_ordered_keys_are_fine(void **state)
{
    (void)state;
    static uint64_t keys[30000];
    for (size_t dup = 1; dup <= 30000; dup *= 10) {
        for (size_t k = 0; k < BK_COUNT(keys); k++)
            keys[k] = k / dup;
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
        struct fuse f = build(keys, BK_COUNT(keys), &out);
        for (size_t k = 0; k < BK_COUNT(keys); k++)
            assert_true(fuse_has(&f, keys[k]));
        assert_true(out.len <= 64 + BK_COUNT(keys) / dup * 3 / 2);
    }
}

static void building_is_reproducible(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    static uint64_t keys[20000];
    uint64_t seed = 4;
    for (size_t k = 0; k < BK_COUNT(keys); k++)
        keys[k] = fixture_next(&seed);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
    struct fuse f = build(keys, BK_COUNT(keys), &out);
    uint8_t params[FUSE_PARAMS];
    fuse_encode(&f, params);
    assert_ok(bk_buf_append(&out, params, sizeof params, &err));
    assert_pinned(out.data, out.len, "57bbb6305d8aad5cc55c95525e1154f84a04698f1fd2d0512cf2584d8e92c3cb");
}

/* Whatever parameters are let through, no probe reads outside the table (ASan watches). */
static void hostile_parameters_never_reach_outside(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint64_t keys[1000], seed = 5;
    for (size_t k = 0; k < BK_COUNT(keys); k++)
        keys[k] = fixture_next(&seed);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(1 << 20);
    struct fuse f = build(keys, BK_COUNT(keys), &out), back;
    uint8_t params[FUSE_PARAMS];
    fuse_encode(&f, params);
    bk_auto(free) uint8_t *exact = malloc(out.len);
    memcpy(exact, out.data, out.len);
    for (size_t bit = 0; bit < FUSE_PARAMS * 8; bit++) {
        params[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int r = fuse_decode(params, out.len, &back, &err);
        assert_int_equal(r, bit < 64 ? 0 : BK_E_CORRUPT);
        if (r == 0) {
            back.fingerprints = exact;
            for (size_t k = 0; k < 5000; k++)
                (void)fuse_has(&back, fixture_next(&seed));
        }
        params[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(fuse_decode(params, out.len - 1, &back, &err), BK_E_CORRUPT);
    assert_int_equal(fuse_decode(params, 0, &back, &err), BK_E_CORRUPT);
    static const uint32_t bad[][3] = {
        /* sums that wrap */
        { UINT32_C(1) << 31, UINT32_C(1) << 31, UINT32_C(1) << 31 },
        { 0, 12, 12 },
        { 4, 0, 8 },
        { 4, UINT32_MAX - 3, 4 },
        { 3, 9, 15 },
    };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        for (size_t j = 0; j < 3; j++)
            bk_put_u32(params + 8 + 4 * j, bad[i][j]);
        assert_int_equal(fuse_decode(params, bad[i][2], &back, &err), BK_E_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_is_ever_missed),
        cmocka_unit_test(few_strangers_pass),
        cmocka_unit_test(an_empty_filter_has_nothing),
        cmocka_unit_test(equal_and_ordered_keys_are_fine),
        cmocka_unit_test(building_is_reproducible),
        cmocka_unit_test(hostile_parameters_never_reach_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
