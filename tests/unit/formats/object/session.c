#include "formats/object/session.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static struct session_record sample(void)
{
    struct session_record s = {
        .id = "0123456789abcde",
        .role = SESSION_COLLECTOR,
        .generation = 0x0102030405060708,
        .counter = 41,
        .started_ns = -5,
        .pid = 4242,
        .host = "backup-1.example",
        .purpose = "prune",
    };
    return s;
}

static void record_reads_back(void **state)
{
    (void)state;
    struct session_record s = sample(), back;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    assert_int_equal(session_record_encode(&s, &b, NULL), 0);
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), 0);
    assert_memory_equal(back.id, s.id, SESSION_ID);
    assert_int_equal(back.role, SESSION_COLLECTOR);
    assert_true(back.generation == s.generation);
    assert_int_equal(back.counter, 41);
    assert_true(back.started_ns == -5);
    assert_int_equal(back.pid, 4242);
    assert_string_equal(back.host, s.host);
    assert_string_equal(back.purpose, s.purpose);
}

static void the_process_may_be_missing(void **state)
{
    (void)state;
    struct session_record s = sample(), back;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    assert_int_equal(session_record_encode(&s, &b, NULL), 0);
    size_t old = b.len;
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.process, "");
    snprintf(s.process, sizeof s.process, "boot.1.2");
    b.len = 0;
    assert_int_equal(session_record_encode(&s, &b, NULL), 0);
    assert_int_equal(b.len, old + 9);
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.process, "boot.1.2");
    for (size_t cut = old + 1; cut < b.len; cut++)
        assert_int_equal(session_record_decode(b.data, cut, &back, NULL), BK_E_CORRUPT);
    b.len = old;
    assert_int_equal(bk_buf_u8(&b, 0, NULL), 0); /* an empty one is not written */
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
}

static void longest_texts_fit(void **state)
{
    (void)state;
    struct session_record s = sample(), back;
    memset(s.host, 'h', SESSION_TEXT_MAX);
    s.purpose[0] = '\0';
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    assert_int_equal(session_record_encode(&s, &b, NULL), 0);
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.host, s.host);
    assert_string_equal(back.purpose, "");
}

static void malformed_records_are_refused(void **state)
{
    (void)state;
    struct session_record s = sample(), back;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    assert_int_equal(session_record_encode(&s, &b, NULL), 0);
    for (size_t cut = 0; cut < b.len; cut++)
        assert_int_equal(session_record_decode(b.data, cut, &back, NULL), BK_E_CORRUPT);
    b.data[SESSION_ID] = 9; /* role */
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
    b.data[SESSION_ID] = SESSION_WRITER;
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), 0);
    b.data[b.len - 1] = 0; /* a zero byte inside the purpose */
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
    b.data[b.len - 1] = 'e';
    assert_int_equal(bk_buf_u8(&b, 'x', NULL), 0);
    assert_int_equal(session_record_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
}

static void unknown_role_is_not_written(void **state)
{
    (void)state;
    struct session_record s = sample();
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    s.role = 0;
    assert_int_equal(session_record_encode(&s, &b, NULL), BK_E_USAGE);
    s = sample();
    bk_auto(bk_buf_clear) struct bk_buf small = BK_BUF(60);
    assert_int_equal(session_record_encode(&s, &small, NULL), BK_E_LIMIT);
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_reads_back),           cmocka_unit_test(the_process_may_be_missing),
        cmocka_unit_test(longest_texts_fit),           cmocka_unit_test(malformed_records_are_refused),
        cmocka_unit_test(unknown_role_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
