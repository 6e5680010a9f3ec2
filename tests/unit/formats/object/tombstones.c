#include "formats/object/tombstones.h"

#include "../support.h"

#include <string.h>

static struct tombstone line(enum chunk_kind kind, uint8_t first)
{
    struct tombstone t = { .kind = kind };
    memset(t.name.b, 0x11, PACK_NAME);
    t.name.b[0] = first;
    return t;
}

static void a_list_reads_back(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct tombstone v[] = { line(CHUNK_DATA, 1), line(CHUNK_DATA, 9), line(CHUNK_META, 3) };
    v[1].why = TOMBSTONE_MOVED;
    struct tombstones t = { .n = 7, .v = v, .count = 3 }, back = { 0 };
    struct bk_buf b = BK_BUF(1024);
    assert_int_equal(tombstones_encode(&t, &b, &err), 0);
    assert_int_equal(b.len, 12 + 3 * 34);
    assert_int_equal(tombstones_decode(b.data, b.len, &back, &err), 0);
    assert_int_equal(back.n, 7);
    assert_int_equal(back.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tombstone_cmp(&back.v[i], &v[i]), 0);
        assert_int_equal(back.v[i].why, v[i].why);
        assert_int_equal(tombstones_find(&back, v[i].kind, &v[i].name), i);
    }
    struct tombstone other = line(CHUNK_META, 1);
    assert_true(tombstones_find(&back, CHUNK_META, &other.name) == SIZE_MAX);
    tombstones_clear(&back);
    t.count = 0;
    b.len = 0;
    assert_int_equal(tombstones_encode(&t, &b, &err), 0);
    assert_hex(b.data, b.len, "070000000000000000000000");
    assert_int_equal(tombstones_decode(b.data, b.len, &back, &err), 0);
    assert_int_equal(back.count, 0);
    tombstones_clear(&back);
    bk_buf_clear(&b);
}

static void a_list_out_of_order_is_not_written(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct tombstone v[] = { line(CHUNK_DATA, 9), line(CHUNK_DATA, 9) };
    struct tombstones t = { .n = 1, .v = v, .count = 2 };
    struct bk_buf b = BK_BUF(1024);
    assert_int_equal(tombstones_encode(&t, &b, &err), BK_E_USAGE);
    v[1] = line(CHUNK_DATA, 8);
    assert_int_equal(tombstones_encode(&t, &b, &err), BK_E_USAGE);
    v[1] = line((enum chunk_kind)CHUNK_KINDS, 10);
    assert_int_equal(tombstones_encode(&t, &b, &err), BK_E_USAGE);
    v[1] = line(CHUNK_META, 10);
    v[1].why = (enum tombstone_why)2;
    assert_int_equal(tombstones_encode(&t, &b, &err), BK_E_USAGE);
    assert_int_equal(b.len, 0);
    t.count = TOMBSTONES_MAX + 1;
    assert_int_equal(tombstones_encode(&t, &b, &err), BK_E_LIMIT);
    bk_buf_clear(&b);
}

static void a_decision_reads_back(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint8_t bits[] = { 0x81, 0x02 };
    struct generation g = { .n = 9, .count = 10, .doomed = bits }, back = { 0 };
    g.digest[3] = 5;
    struct bk_buf b = BK_BUF(1024);
    assert_int_equal(generation_encode(&g, &b, &err), 0);
    assert_int_equal(generation_decode(b.data, b.len, &back, &err), 0);
    assert_int_equal(back.n, 9);
    assert_int_equal(back.count, 10);
    assert_memory_equal(back.digest, g.digest, SUITE_HASH);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(generation_dooms(&back, i), i == 0 || i == 7 || i == 9);
    generation_clear(&back);

    bits[1] = 0x04; /* a bit for the eleventh of ten */
    b.len = 0;
    assert_int_equal(generation_encode(&g, &b, &err), BK_E_USAGE);
    struct generation none = { .n = 2 };
    assert_int_equal(generation_encode(&none, &b, &err), 0);
    assert_int_equal(generation_decode(b.data, b.len, &back, &err), 0);
    assert_false(generation_dooms(&back, 0));
    generation_clear(&back);
    b.data[13] = 1; /* a digest of no list */
    assert_int_equal(generation_decode(b.data, b.len, &back, &err), BK_E_CORRUPT);
    bk_buf_clear(&b);
}

/* Whatever is accepted encodes to the same bytes. */
static void read_list(const void *data, size_t len)
{
    struct bk_error err = { 0 };
    struct tombstones t = { 0 };
    struct bk_buf b = BK_BUF(1 << 20);
    if (tombstones_decode(data, len, &t, &err) == 0) {
        assert_int_equal(tombstones_encode(&t, &b, &err), 0);
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, data, len);
    }
    bk_buf_clear(&b);
    tombstones_clear(&t);
}

static void read_decision(const void *data, size_t len)
{
    struct bk_error err = { 0 };
    struct generation g = { 0 };
    struct bk_buf b = BK_BUF(1 << 20);
    if (generation_decode(data, len, &g, &err) == 0) {
        assert_int_equal(generation_encode(&g, &b, &err), 0);
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, data, len);
    }
    bk_buf_clear(&b);
    generation_clear(&g);
}

static void damaged_records_are_refused_or_mean_what_they_say(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct tombstone v[] = { line(CHUNK_DATA, 1), line(CHUNK_META, 3), line(CHUNK_META, 4) };
    struct tombstones t = { .n = 7, .v = v, .count = 3 };
    struct bk_buf b = BK_BUF(1024);
    assert_int_equal(tombstones_encode(&t, &b, &err), 0);
    damage(b.data, b.len, read_list);
    uint8_t bits[] = { 0x05, 0x01 };
    struct generation g = { .n = 9, .count = 9, .doomed = bits };
    b.len = 0;
    assert_int_equal(generation_encode(&g, &b, &err), 0);
    damage(b.data, b.len, read_decision);
    bk_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_reads_back),
        cmocka_unit_test(a_list_out_of_order_is_not_written),
        cmocka_unit_test(a_decision_reads_back),
        cmocka_unit_test(damaged_records_are_refused_or_mean_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
