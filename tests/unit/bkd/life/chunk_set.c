/* The set of needed chunks against a naive one, kept in memory and in parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/life/chunk_set.h"

enum { IDS = 30000 };

static chunk_id id_of(uint32_t i)
{
    chunk_id id;
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u + 7;
    for (size_t k = 0; k < sizeof id.b; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        id.b[k] = (uint8_t)(x >> 56);
    }
    return id;
}

static void behaves(size_t memory, uint64_t expected, bool want_parts)
{
    struct bk_error err = { 0 };
    bk_auto(chunk_set_clear) struct chunk_set s = { 0 };
    assert_int_equal(chunk_set_init(&s, memory, expected, &err), 0);
    assert_int_equal(chunk_set_parts(&s) > 1, want_parts);
    for (uint32_t i = 0; i < IDS; i++) {
        chunk_id a = id_of(i), b = id_of(i / 2); /* odd ones once, many twice */
        assert_int_equal(chunk_set_add(&s, &a, &err), 0);
        assert_int_equal(chunk_set_add(&s, &b, &err), 0);
    }
    size_t seen = 0;
    for (int round = 0; round < 2; round++)
        for (unsigned part = 0; part < chunk_set_parts(&s); part++) {
            assert_int_equal(chunk_set_load(&s, part, &err), 0);
            for (uint32_t i = 0; i < 2 * IDS; i++) {
                chunk_id id = id_of(i);
                if (!chunk_set_in_part(&s, part, &id))
                    continue;
                assert_int_equal(chunk_set_has(&s, &id), i < IDS);
                assert_false(chunk_set_is_taken(&s, &id));
                assert_int_equal(chunk_set_take(&s, &id), i < IDS ? CHUNK_FIRST : CHUNK_NOT_NEEDED);
                assert_int_equal(chunk_set_take(&s, &id), i < IDS ? CHUNK_AGAIN : CHUNK_NOT_NEEDED);
                assert_int_equal(chunk_set_is_taken(&s, &id), i < IDS);
                seen += i < IDS;
            }
            assert_int_equal(chunk_set_missing(&s), 0);
        }
    assert_int_equal(seen, 2 * IDS);
}

static void it_remembers_in_memory(void **state)
{
    (void)state;
    behaves((size_t)64 << 20, IDS, false);
}

static void it_remembers_in_parts(void **state)
{
    (void)state;
    behaves((size_t)128 << 10, IDS, true);
}

static void what_nobody_takes_is_missing(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(chunk_set_clear) struct chunk_set s = { 0 };
    assert_int_equal(chunk_set_init(&s, 1 << 20, 10, &err), 0);
    chunk_id a = id_of(1), b = id_of(2);
    assert_int_equal(chunk_set_add(&s, &a, &err), 0);
    assert_int_equal(chunk_set_add(&s, &b, &err), 0);
    assert_int_equal(chunk_set_load(&s, 0, &err), 0);
    assert_int_equal(chunk_set_take(&s, &b), CHUNK_FIRST);
    assert_int_equal(chunk_set_missing(&s), 1);
}

static void too_little_memory_is_told(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(chunk_set_clear) struct chunk_set s = { 0 };
    assert_int_equal(chunk_set_init(&s, 1 << 20, (uint64_t)1 << 40, &err), BK_E_LIMIT);
    assert_true(err.hint[0]);
}

/* In parts nobody knows. */
static void what_was_taken_again_is_remembered(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(chunk_set_clear) struct chunk_set s = { 0 };
    assert_int_equal(chunk_set_init(&s, (size_t)64 << 20, IDS, &err), 0);
    for (uint32_t i = 0; i < IDS; i++) {
        chunk_id id = id_of(i);
        assert_int_equal(chunk_set_add(&s, &id, &err), 0);
    }
    for (uint32_t i = 0; i < IDS; i++)
        for (uint32_t times = 0; times < i % 3; times++) {
            chunk_id id = id_of(i);
            (void)chunk_set_take(&s, &id);
        }
    assert_int_equal(chunk_set_load(&s, 0, &err), 0);
    for (uint32_t i = 0; i < 2 * IDS; i++) {
        chunk_id id = id_of(i);
        assert_int_equal(chunk_set_was_twice(&s, &id), i < IDS && i % 3 == 2);
        assert_int_equal(chunk_set_has(&s, &id), i < IDS);
        assert_false(chunk_set_is_taken(&s, &id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_remembers_in_memory),
        cmocka_unit_test(it_remembers_in_parts),
        cmocka_unit_test(what_was_taken_again_is_remembered),
        cmocka_unit_test(what_nobody_takes_is_missing),
        cmocka_unit_test(too_little_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
