#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/source/rbd_past.h"
#include "bkd/source/rbd_snaps.h"

static struct rbd_url parsed(const char *text)
{
    struct rbd_url u;
    struct bk_error err = { 0 };
    if (rbd_url_parse(text, &u, &err) < 0)
        fail_msg("%s", err.text);
    return u;
}

static void parts_of_a_place_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pool, *ns, *image, *snap, *conf, *client;
    } t[] = {
        { "rbd:p/i", "p", "", "i", "", "", "client.admin" },
        { "rbd:p/n/i@s", "p", "n", "i", "s", "", "client.admin" },
        { "rbd:p/i@s?conf=/etc/x.conf&id=me", "p", "", "i", "s", "/etc/x.conf", "client.me" },
        { "rbd:p%2fq/i%40j@s%3f", "p/q", "", "i@j", "s?", "", "client.admin" },
        { "rbd:p//i", "p", "", "i", "", "", "client.admin" },
        { "rbd:p/i@s@t", "p", "", "i", "s@t", "", "client.admin" },
        { "rbd:p/i?", "p", "", "i", "", "", "client.admin" },
        { "rbd:p/i?&conf=a&conf=b", "p", "", "i", "", "b", "client.admin" },
    };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct rbd_url u = parsed(t[k].text);
        assert_string_equal(u.cluster.pool, t[k].pool);
        assert_string_equal(u.cluster.ns, t[k].ns);
        assert_string_equal(u.image, t[k].image);
        assert_string_equal(u.snap, t[k].snap);
        assert_string_equal(u.cluster.conf, t[k].conf);
        assert_string_equal(u.cluster.client, t[k].client);
    }
    assert_int_equal(parsed("rbd:p/i?timeout=7").cluster.timeout_s, 7);
}

static void wrong_places_are_refused(void **state)
{
    (void)state;
    char longest[700] = "rbd:p/";
    memset(longest + 6, 'x', sizeof longest - 7);
    longest[sizeof longest - 1] = 0;
    const char *const t[] = { "",
                              "rados://p/i",
                              "rbd:",
                              "rbd:i",
                              "rbd:/i",
                              "rbd:p/",
                              "rbd:p/@s",
                              "rbd:p/i@",
                              "rbd:p/n/m/i",
                              "rbd:p/n%2fm/i",
                              "rbd:p/i%0a",
                              "rbd:p/i%zz",
                              "rbd:p/i%4",
                              "rbd:p/i?id=",
                              "rbd:p/i?id=%01",
                              "rbd:p/i?color=red",
                              "rbd:p/i?timeout=0",
                              longest };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct rbd_url u;
        struct bk_error err = { 0 };
        if (rbd_url_parse(t[k], &u, &err) != BK_E_USAGE)
            fail_msg("'%s' is taken", t[k]);
        assert_true(err.hint[0]);
    }
}

static void one_connection_serves_the_images_of_a_pool(void **state)
{
    (void)state;
    struct rbd_url a = parsed("rbd:p/i?conf=c"), b = parsed("rbd:p/j@s?conf=c"),
                   c = parsed("rbd:p/n/i?conf=c"), d = parsed("rbd:p/i?conf=c&id=x");
    assert_true(rbd_url_same_link(&a, &b));
    assert_false(rbd_url_same_link(&a, &c));
    assert_false(rbd_url_same_link(&a, &d));
}

static void what_is_told_comes_back(void **state)
{
    (void)state;
    struct rbd_point v[2] = { { .disk = "a\"\\\xc3\xa4",
                                .id = "10226b8b4567",
                                .size = UINT64_C(1) << 62,
                                .overlap = 5,
                                .snap = "s",
                                .snap_id = 9,
                                .full = "f" },
                              { .disk = "b", .id = "i", .snap = "t", .full = "" } };
    struct rbd_past in = { v, 2 }, out = { 0 };
    struct bk_error err = { 0 };
    char *text = NULL;
    assert_int_equal(rbd_past_encode(&in, &text, &err), 0);
    assert_int_equal(rbd_past_decode(text, strlen(text), &out, &err), 0);
    assert_int_equal(out.n, 2);
    const struct rbd_point *p = rbd_past_find(&out, v[0].disk);
    assert_non_null(p);
    assert_string_equal(p->id, v[0].id);
    assert_true(p->size == v[0].size && p->overlap == 5 && p->snap_id == 9);
    assert_string_equal(p->snap, "s");
    assert_string_equal(p->full, "f");
    assert_null(rbd_past_find(&out, "c"));
    for (size_t len = 0; len < strlen(text); len++) { /* every beginning of it is refused */
        struct rbd_past none = { 0 };
        assert_int_equal(rbd_past_decode(text, len, &none, &err), BK_E_CORRUPT);
        assert_null(none.v);
    }
    rbd_past_clear(&out);
    free(text);
}

#define POINT(disk, size, snap)                                                                        \
    "{\"disk\":" disk ",\"id\":\"i\",\"size\":" size ",\"overlap\":0,\"snap\":" snap ",\"snap_id\":1," \
    "\"full\":\"\"}"

static void hostile_pasts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } t[] = {
        { "[]", BK_E_CORRUPT },
        { "null", BK_E_CORRUPT },
        { "{}", BK_E_CORRUPT },
        { "{\"version\":1}", BK_E_VERSION },
        { "{\"version\":2,\"rbd\":[]}", BK_E_VERSION },
        { "{\"version\":\"1\",\"rbd\":[]}", BK_E_CORRUPT },
        { "{\"version\":1,\"version\":1,\"rbd\":[]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":{}}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[1]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[{}]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "-1", "\"s\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1.5", "\"s\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "99999999999999999999", "\"s\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"\"", "1", "\"s\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "\"\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "\"s\\n\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "\"s\\u0000t\"") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "7") "]}", BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "\"s\"") "," POINT("\"a\"", "1", "\"s\"") "]}",
          BK_E_CORRUPT },
        { "{\"version\":1,\"rbd\":[" POINT("\"a\"", "1", "\"s\"") "]}", 0 },
    };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct rbd_past p = { 0 };
        struct bk_error err = { 0 };
        int r = rbd_past_decode(t[k].text, strlen(t[k].text), &p, &err);
        if (r != t[k].code)
            fail_msg("%s: %d", t[k].text, r);
        rbd_past_clear(&p);
    }
    /* too long a name, too many images */
    char text[1024], many[70000];
    struct rbd_past p = { 0 };
    struct bk_error err = { 0 };
    snprintf(text, sizeof text, "{\"version\":1,\"rbd\":[" POINT("\"%0300d\"", "1", "\"s\"") "]}", 0);
    assert_int_equal(rbd_past_decode(text, strlen(text), &p, &err), BK_E_CORRUPT);
    size_t n = (size_t)snprintf(many, sizeof many, "{\"version\":1,\"rbd\":[{}");
    for (unsigned k = 0; k < DISKS_MAX; k++)
        n += (size_t)snprintf(many + n, sizeof many - n, ",{}");
    snprintf(many + n, sizeof many - n, "]}");
    assert_int_equal(rbd_past_decode(many, strlen(many), &p, &err), BK_E_CORRUPT);
}

static void only_snapshots_of_the_series_are_ours(void **state)
{
    (void)state;
    static const char series[] = "0123456789abcdef";
    char name[RBD_SNAP_OURS + 1], again[RBD_SNAP_OURS + 1];
    struct bk_error err = { 0 };
    assert_int_equal(rbd_snaps_name(series, name, &err), 0);
    assert_int_equal(rbd_snaps_name(series, again, &err), 0);
    assert_string_not_equal(name, again);
    assert_true(rbd_snaps_ours(name, series));
    assert_false(rbd_snaps_ours(name, "1123456789abcdef"));
    assert_false(rbd_snaps_ours(name, ""));
    static const char *const others[] = { "",
                                          "bkctl-",
                                          "bkctl-0123456789abcdef",
                                          "bkctl-0123456789abcdef-0123456789abcde",
                                          "bkctl-0123456789abcdef-0123456789abcdefa",
                                          "bkctl-0123456789abcdef-0123456789abcdeg",
                                          "bkctl-0123456789abcdef_0123456789abcdef",
                                          "mine--0123456789abcdef-0123456789abcdef" };
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        assert_false(rbd_snaps_ours(others[k], series));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_place_are_told_apart),
        cmocka_unit_test(wrong_places_are_refused),
        cmocka_unit_test(one_connection_serves_the_images_of_a_pool),
        cmocka_unit_test(what_is_told_comes_back),
        cmocka_unit_test(hostile_pasts_are_refused),
        cmocka_unit_test(only_snapshots_of_the_series_are_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
