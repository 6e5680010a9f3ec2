#include "formats/snapshot/snapshot.h"
#include "tests/unit/formats/support.h"

static void fill(struct note *n)
{
    memset(n->snapshot, 0xcc, sizeof n->snapshot);
    n->number = 7;
    n->when_ns = 1700000000000000000;
    n->who = strdup("root@host");
    n->hold = true;
    n->reason = strdup("audit");
    assert_int_equal(snapshot_list_add(&n->tags, "weekly", NULL), 0);
    assert_int_equal(snapshot_list_add(&n->tags, "", NULL), 0);
}

static void notes_come_back(void **state)
{
    (void)state;
    bk_auto(note_clear) struct note n = { 0 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    fill(&n);
    assert_int_equal(note_encode(&n, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "0110cccccccccccccccccccccccccccccccc"
               "020107"
               "04098080d0e2c6bfce972f"
               "0609726f6f7440686f7374"
               "08067765656b6c79"
               "0800"
               "030101"
               "0a056175646974");
    assert_int_equal(note_decode(b.data, b.len, &back, NULL), 0);
    assert_memory_equal(n.snapshot, back.snapshot, SESSION_ID);
    assert_int_equal(back.number, 7);
    assert_int_equal(back.when_ns, n.when_ns);
    assert_string_equal(back.who, n.who);
    assert_true(back.hold);
    assert_string_equal(back.reason, n.reason);
    assert_int_equal(back.tags.n, 2);
    assert_string_equal(back.tags.v[0], "weekly");
    assert_string_equal(back.tags.v[1], "");
}

static void a_bare_note_reads_as_no_hold_and_empty_text(void **state)
{
    (void)state;
    bk_auto(note_clear) struct note n = { .number = 1 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    assert_int_equal(note_encode(&n, &b, NULL), 0);
    assert_int_equal(note_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.who, "");
    assert_string_equal(back.reason, "");
    assert_false(back.hold);
    assert_int_equal(back.tags.n, 0);
}

static void notes_have_a_number(void **state)
{
    (void)state;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct note n = { .number = 0 }, back;
    assert_int_equal(note_encode(&n, &b, NULL), BK_E_USAGE);
    n.number = 1;
    assert_int_equal(note_encode(&n, &b, NULL), 0);
    uint8_t *number = memmem(b.data, b.len, "\x02\x01\x01\x04", 4);
    assert_non_null(number);
    number[2] = 0;
    assert_int_equal(note_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
    number[2] = 1;
    assert_int_equal(bk_buf_append(&b, "\x03\x01\x02", 3, NULL), 0); /* a hold of 2 */
    assert_int_equal(note_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
    b.len -= 3;
    assert_int_equal(bk_buf_append(&b, "\x05\x00", 2, NULL), 0);
    assert_int_equal(note_decode(b.data, b.len, &back, NULL), BK_E_VERSION);
}

static void read_any(const void *p, size_t len)
{
    bk_auto(note_clear) struct note n = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    int r = note_decode(p, len, &n, NULL);
    assert_true(r == 0 || r == BK_E_CORRUPT || r == BK_E_VERSION);
    if (r == 0)
        assert_int_equal(note_encode(&n, &b, NULL), 0);
}

static void damaged_notes_fail_or_are_valid(void **state)
{
    (void)state;
    bk_auto(note_clear) struct note n = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    fill(&n);
    assert_int_equal(note_encode(&n, &b, NULL), 0);
    damage(b.data, b.len, read_any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_come_back),
        cmocka_unit_test(a_bare_note_reads_as_no_hold_and_empty_text),
        cmocka_unit_test(notes_have_a_number),
        cmocka_unit_test(damaged_notes_fail_or_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
