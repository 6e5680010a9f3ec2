/* What comes over the wire, who may do what, and the configuration that says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/serve/auth.h"
#include "bkd/serve/request.h"

static int parse(const char *method, const char *path, struct serve_request *q)
{
    return serve_request_parse(method, path, q, NULL);
}

static void requests_are_taken_apart(void **state)
{
    (void)state;
    struct serve_request q;
    assert_int_equal(parse("PUT", "/r/o/data/3f/aa", &q), 0);
    assert_int_equal(q.op, SERVE_PUT);
    assert_string_equal(q.repository, "r");
    assert_string_equal(q.name, "data/3f/aa");
    assert_int_equal(parse("GET", "/r/list", &q), 0);
    assert_int_equal(q.op, SERVE_LIST);
    assert_int_equal(parse("GET", "/r", &q), 0);
    assert_int_equal(q.op, SERVE_INFO);
}

static void paths_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",          "/",         "r/o/x",     "//o/x",    "/r/o/",
                                       "/r/o/../x", "/r/o/a/..", "/r/o//etc", "/r/o/.x",  "/r/o/a//b",
                                       "/r/o/A",    "/r/o/a\n",  "/r/o/a b",  "/r/list/", "/r/x",
                                       "/r/",       "/r/o/a\xff" };
    struct serve_request q;
    for (size_t i = 0; i < BK_COUNT(bad); i++)
        assert_int_equal(parse("GET", bad[i], &q), BK_E_USAGE);
    assert_int_equal(parse("POST", "/r/o/a", &q), BK_E_USAGE);
    assert_int_equal(parse("DELETE", "/r/list", &q), BK_E_USAGE);
    char path[4096] = "/r/o/";
    memset(path + 5, 'a', STORE_NAME_MAX + 1);
    assert_int_equal(parse("GET", path, &q), BK_E_USAGE);
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    assert_int_equal(parse("GET", path, &q), BK_E_USAGE);
}

static void ranges_have_both_ends(void **state)
{
    (void)state;
    uint64_t a, b;
    assert_true(serve_request_range("bytes=5-7", &a, &b));
    assert_int_equal(a, 5);
    assert_int_equal(b, 7);
    static const char *const bad[] = { "",
                                       "bytes=",
                                       "bytes=-5",
                                       "bytes=5-",
                                       "bytes=7-5",
                                       "bytes=1-2,4-5",
                                       "bytes=+1-2",
                                       "bytes=1-2 ",
                                       "items=1-2",
                                       "bytes=0x1-2",
                                       "bytes=1-99999999999999999999" };
    for (size_t i = 0; i < BK_COUNT(bad); i++)
        assert_false(serve_request_range(bad[i], &a, &b));
}

static void roles_say_who_may_change_what(void **state)
{
    (void)state;
    static const struct {
        enum serve_op op;
        const char *name;
        enum serve_may reader, writer, collector;
    } table[] = {
        { SERVE_GET, "config", SERVE_YES, SERVE_YES, SERVE_YES },
        { SERVE_PUT, "data/aa/b", SERVE_NO, SERVE_YES, SERVE_YES },
        { SERVE_PUT, "copies/index/b", SERVE_NO, SERVE_YES, SERVE_YES },
        { SERVE_PUT, "snapshots/1", SERVE_NO, SERVE_OWN, SERVE_YES },
        { SERVE_PUT, "copies/snapshots/1", SERVE_NO, SERVE_OWN, SERVE_YES },
        { SERVE_PUT, "copies/copies/data/x", SERVE_NO, SERVE_NO, SERVE_YES },
        { SERVE_PUT, "sessions/1", SERVE_OWN, SERVE_OWN, SERVE_YES },
        { SERVE_PUT, "tombstones/1", SERVE_NO, SERVE_NO, SERVE_YES },
        { SERVE_PUT, "database", SERVE_NO, SERVE_NO, SERVE_YES },
        { SERVE_PUT, "received/x", SERVE_NO, SERVE_NO, SERVE_NO },
        { SERVE_REMOVE, "sessions/1.2", SERVE_OWN, SERVE_OWN, SERVE_YES },
        { SERVE_REMOVE, "data/aa/b", SERVE_NO, SERVE_NO, SERVE_YES },
        { SERVE_REMOVE, "snapshots/1", SERVE_NO, SERVE_NO, SERVE_YES },
        { SERVE_REMOVE, "received/x", SERVE_NO, SERVE_NO, SERVE_NO },
    };
    for (size_t i = 0; i < BK_COUNT(table); i++) {
        assert_int_equal(serve_request_may(SERVE_NOBODY, table[i].op, table[i].name), SERVE_NO);
        assert_int_equal(serve_request_may(SERVE_READER, table[i].op, table[i].name), table[i].reader);
        assert_int_equal(serve_request_may(SERVE_WRITER, table[i].op, table[i].name), table[i].writer);
        assert_int_equal(serve_request_may(SERVE_COLLECTOR, table[i].op, table[i].name), table[i].collector);
    }
    char session[STORE_NAME_MAX + 1];
    serve_request_session("copies/snapshots/12ab", session);
    assert_string_equal(session, "sessions/12ab");
    serve_request_session("sessions/12ab.00000003", session);
    assert_string_equal(session, "sessions/12ab");
}

static void a_token_is_its_principals_alone(void **state)
{
    (void)state;
    for (int sm3 = 0; sm3 < 2; sm3++) {
        char token[SERVE_TOKEN_TEXT], hash[2 * SERVE_TOKEN_HASH + 8], text[512];
        struct bk_error err = { 0 };
        bk_auto(serve_config_free) struct serve_config *c = NULL;
        assert_int_equal(serve_auth_new(&world_real, sm3, token, hash, &err), 0);
        int n = snprintf(text, sizeof text,
                         "repository r /x quota 7 # ours\nprincipal p certificate h\nprincipal q token %s\n"
                         "role q writer r\n",
                         hash);
        assert_int_equal(serve_config_parse(text, (size_t)n, &c, &err), 0);
        assert_int_equal(c->repositories[0].quota, 7);
        assert_ptr_equal(serve_auth_token(c, token), &c->principals[1]);
        assert_int_equal(c->principals[1].roles[0], SERVE_WRITER);
        token[10] ^= 1;
        assert_null(serve_auth_token(c, token));
        assert_null(serve_auth_token(c, ""));
        assert_ptr_equal(serve_auth_certificate(c, "h"), &c->principals[0]);
        assert_null(serve_auth_certificate(c, ""));
    }
}

static void a_server_has_room_for_many_and_says_how_many(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        struct bk_error err = { 0 };
        bk_auto(serve_config_free) struct serve_config *c = NULL;
        bk_auto(bk_buf_clear) struct bk_buf text = BK_BUF(1 << 20);
        for (unsigned i = 0; i < SERVE_REPOSITORIES_MAX + more; i++) {
            char line[64];
            int n = snprintf(line, sizeof line, "repository r%u /x/%u\n", i, i);
            assert_int_equal(bk_buf_append(&text, line, (size_t)n, &err), 0);
        }
        int r = serve_config_parse((const char *)text.data, text.len, &c, &err);
        assert_int_equal(r, more ? BK_E_USAGE : 0);
        assert_int_equal(strstr(err.hint, "at most") != NULL, more);
    }
}

static void a_configuration_with_a_mistake_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "principal p certificate x\n",
        "repository r /x quota\n",
        "repository r /x quota 0\n",
        "repository R /x\n",
        "repository r /x\nrepository r /y\n",
        "repository r /x\nprincipal p token sha256:00\n",
        "repository r /x\nprincipal p token md5:00\n",
        "repository r /x\nrole p reader r\n",
        "repository r /x\nprincipal p certificate c\nrole p admin r\n",
        "repository r /x\nprincipal p certificate c\nrole p reader s\n",
        "repository r /x\nprincipal p certificate c\nrole p reader r\nrole p writer r\n",
        "repository r /x\nprincipal p certificate c\nprincipal q certificate c\n",
        "repository r /x\nlimit memory 18446744073709551616\n",
        "repository r /x\nlimit memory 1048576\n",
        "repository r /x\nallow all\n",
    };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        struct serve_config *c = NULL;
        assert_int_equal(serve_config_parse(bad[i], strlen(bad[i]), &c, NULL), BK_E_USAGE);
        assert_null(c);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_apart),
        cmocka_unit_test(paths_that_lead_elsewhere_are_refused),
        cmocka_unit_test(ranges_have_both_ends),
        cmocka_unit_test(roles_say_who_may_change_what),
        cmocka_unit_test(a_token_is_its_principals_alone),
        cmocka_unit_test(a_server_has_room_for_many_and_says_how_many),
        cmocka_unit_test(a_configuration_with_a_mistake_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
