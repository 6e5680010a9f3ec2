#include "bkctl/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void sizes_and_times_read_well(void **state)
{
    (void)state;
    char s[TEXT_SIZE], t[TEXT_TIME];
    assert_string_equal(text_bytes(0, s), "0 B");
    assert_string_equal(text_bytes(1023, s), "1023 B");
    assert_string_equal(text_bytes(1024, s), "1.0 KiB");
    assert_string_equal(text_bytes(1048575, s), "1.0 MiB");
    assert_string_equal(text_bytes(UINT64_MAX, s), "16.0 EiB");
    assert_string_equal(text_seconds(1.44, s), "1.4 s");
    assert_string_equal(text_seconds(187, s), "3:07");
    assert_string_equal(text_seconds(7800, s), "2:10:00");
    assert_string_equal(text_seconds(-1, s), "?");
    assert_string_equal(text_time(0, t), "1970-01-01 00:00:00");
    assert_string_equal(text_time_iso(-1, 5, t), "1969-12-31T23:59:59.000000005Z");
    assert_string_equal(text_time_iso(INT64_MAX, 0, t), "@9223372036854775807");
}

static void modes_look_as_in_ls(void **state)
{
    (void)state;
    char m[TEXT_MODE];
    assert_string_equal(text_mode(&(struct tree_entry){ .type = TREE_DIR, .mode = 01777 }, m), "drwxrwxrwt");
    assert_string_equal(text_mode(&(struct tree_entry){ .type = TREE_FILE, .mode = 06644 }, m), "-rwSr-Sr--");
    assert_string_equal(text_mode(&(struct tree_entry){ .type = TREE_SYMLINK, .mode = 0777 }, m),
                        "lrwxrwxrwx");
}

static void hostile_names_cannot_drive_a_terminal(void **state)
{
    (void)state;
    char out[64];
    const char evil[] = "a\033[2J\n\\\xff\xc2\x9b\x7f\xe4\xb8\xad";
    assert_string_equal(text_path(evil, sizeof evil - 1, out, sizeof out),
                        "a\\x1b[2J\\n\\\\\\xff\\xc2\\x9b\\x7f\xe4\xb8\xad");
    assert_string_equal(text_path("abcdefghijkl", 12, out, 10), "abcdef...");
}

static void utf8_is_judged_strictly(void **state)
{
    (void)state;
    assert_true(text_is_utf8("caf\xc3\xa9 \xf0\x9f\x98\x80", 10));
    static const char *const bad[] = { "\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xc3", "\xe4\xb8", "\x80" };
    for (size_t i = 0; i < BK_COUNT(bad); i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    assert_false(text_is_utf8("a\0b", 3));
}

static void json_paths_keep_every_byte(void **state)
{
    (void)state;
    json_t *o = json_object();
    text_json_bytes(o, "path", "good \"\n", 7);
    text_json_bytes(o, "bad",
                    "a\xff\xfe"
                    "b",
                    4);
    text_json_bytes(o, "one", "\xff", 1);
    assert_string_equal(json_string_value(json_object_get(o, "path")), "good \"\n");
    assert_null(json_object_get(o, "path_raw"));
    assert_string_equal(json_string_value(json_object_get(o, "bad")), "a\xef\xbf\xbd\xef\xbf\xbd"
                                                                      "b");
    assert_string_equal(json_string_value(json_object_get(o, "bad_raw")), "Yf/+Yg==");
    assert_string_equal(json_string_value(json_object_get(o, "one_raw")), "/w==");
    char *dump = json_dumps(o, JSON_COMPACT);
    assert_non_null(dump);
    assert_non_null(strstr(dump, "\"path\":\"good \\\"\\n\""));
    free(dump);
    json_decref(o);
}

static void columns_line_up(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char *text = NULL;
    size_t len = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    FILE *f = open_memstream(&text, &len);
    bk_auto(table_clear) struct table t;
    table_init(&t, 3, 1 << 1);
    const char *const cells[] = { "id", "size", "name", "\xe4\xb8\xad", "5", "x", "abc", "12345", "" };
    for (size_t i = 0; i < BK_COUNT(cells); i++)
        table_cell(&t, "%s", cells[i]);
    assert_int_equal(table_print(&t, f, &err), 0);
    fclose(f);
    assert_string_equal(text, "id    size  name\n\xe4\xb8\xad       5  x\nabc  12345  \n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_times_read_well),
        cmocka_unit_test(modes_look_as_in_ls),
        cmocka_unit_test(hostile_names_cannot_drive_a_terminal),
        cmocka_unit_test(utf8_is_judged_strictly),
        cmocka_unit_test(json_paths_keep_every_byte),
        cmocka_unit_test(columns_line_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
