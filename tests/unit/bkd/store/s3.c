/* The parts of the S3 store that need no server: signature, URL, XML, credentials. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bkd/store/s3_credentials.h"
#include "bkd/store/s3_sign.h"
#include "bkd/store/s3_url.h"
#include "bkd/store/s3_xml.h"
#include "formats/base/buf.h"

/* The examples of the S3 API reference, "Authenticating Requests (AWS Signature Version 4)". */
static const struct s3_credentials example = { .key = "AKIAIOSFODNN7EXAMPLE",
                                               .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EXAMPLE_HOST                             \
    {                                            \
        "host", "examplebucket.s3.amazonaws.com" \
    }

static void signatures_are_those_of_the_published_examples(void **state)
{
    (void)state;
    char welcome[S3_HASH_HEX + 1], path[64], query[64];
    struct bk_error err = { 0 };
    assert_int_equal(s3_sha256_hex("Welcome to Amazon S3.", 21, welcome, &err), 0);
    assert_int_equal(s3_encode("/test$file.text", true, path, sizeof path, &err), 0);
    const struct s3_pair two[] = { { "prefix", "J" }, { "max-keys", "2" } };
    assert_int_equal(s3_query(two, 2, query, sizeof query, &err), 0);
    assert_string_equal(query, "max-keys=2&prefix=J");
    const struct s3_pair get[] = { EXAMPLE_HOST,
                                   { "range", "bytes=0-9" },
                                   { "x-amz-content-sha256", EMPTY_HASH },
                                   { "x-amz-date", "20130524T000000Z" } };
    const struct s3_pair put[] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
                                   EXAMPLE_HOST,
                                   { "x-amz-content-sha256", welcome },
                                   { "x-amz-date", "20130524T000000Z" },
                                   { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
    const struct s3_pair plain[] = { EXAMPLE_HOST,
                                     { "x-amz-content-sha256", EMPTY_HASH },
                                     { "x-amz-date", "20130524T000000Z" } };
    const struct {
        struct s3_to_sign q;
        const char *signature;
    } cases[] = {
        { { .method = "GET",
            .path = "/test.txt",
            .query = "",
            .headers = get,
            .n_headers = 4,
            .payload_hash = EMPTY_HASH },
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
        { { .method = "PUT",
            .path = path,
            .query = "",
            .headers = put,
            .n_headers = 5,
            .payload_hash = welcome },
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
        { { .method = "GET",
            .path = "/",
            .query = "lifecycle=",
            .headers = plain,
            .n_headers = 3,
            .payload_hash = EMPTY_HASH },
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
        { { .method = "GET",
            .path = "/",
            .query = query,
            .headers = plain,
            .n_headers = 3,
            .payload_hash = EMPTY_HASH },
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
    };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        struct s3_to_sign q = cases[i].q;
        char out[S3_AUTHORIZATION_MAX];
        q.region = "us-east-1";
        q.time = "20130524T000000Z";
        assert_int_equal(s3_sign(&example, &q, out, &err), 0);
        assert_non_null(strstr(out, "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"));
        assert_string_equal(strstr(out, "Signature=") + 10, cases[i].signature);
    }
}

static void times_and_escapes_have_the_wanted_form(void **state)
{
    (void)state;
    char time[S3_TIME], out[64], small[8];
    struct bk_error err = { 0 };
    s3_time(1369353600, time);
    assert_string_equal(time, "20130524T000000Z");
    s3_time(-1, time);
    assert_string_equal(time, "19700101T000000Z");
    s3_time(INT64_MAX, time);
    assert_string_equal(time, "19700101T000000Z");
    assert_int_equal(s3_encode("a b/\xc3\xa9~+", false, out, sizeof out, &err), 0);
    assert_string_equal(out, "a%20b%2F%C3%A9~%2B");
    assert_int_equal(s3_encode("a/b", true, out, sizeof out, &err), 0);
    assert_string_equal(out, "a/b");
    assert_int_equal(s3_encode("aaaaaaaaa", false, small, sizeof small, &err), BK_E_LIMIT);
    const struct s3_pair p[] = { { "uploadId", "x=1" }, { "partNumber", "3" } };
    assert_int_equal(s3_query(p, 2, out, sizeof out, &err), 0);
    assert_string_equal(out, "partNumber=3&uploadId=x%3D1");
    assert_int_equal(s3_query(p, 2, small, sizeof small, &err), BK_E_LIMIT);
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct s3_url u;
    assert_int_equal(s3_url_parse("s3://127.0.0.1:47005/bucket", &u, &err), 0);
    assert_string_equal(u.host, "127.0.0.1:47005");
    assert_string_equal(u.bucket, "bucket");
    assert_string_equal(u.prefix, "");
    assert_string_equal(u.region, "us-east-1");
    assert_true(u.tls);
    assert_false(u.virtual_style);
    assert_int_equal(
        s3_url_parse(
            "s3://s3.eu.example.com/my-bucket/one/two/?region=eu-1&style=virtual&tls=off&ca=/etc/a%20b.pem"
            "&profile=work&control=plain&lock=governance&retain=30&timeout=5&connections=3",
            &u, &err),
        0);
    assert_string_equal(u.prefix, "one/two/");
    assert_string_equal(u.region, "eu-1");
    assert_string_equal(u.ca, "/etc/a b.pem");
    assert_string_equal(u.profile, "work");
    assert_string_equal(u.control, "plain");
    assert_int_equal(u.lock, S3_LOCK_GOVERNANCE);
    assert_int_equal(u.retain_days, 30);
    assert_int_equal(u.timeout_s, 5);
    assert_int_equal(u.connections, 3);
    assert_true(u.virtual_style);
    assert_false(u.tls);
}

static void urls_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "s3:/host/bucket",
        "s3://",
        "s3://host",
        "s3:///bucket",
        "s3://host/",
        "s3://host/b",
        "s3://host/..",
        "s3://user@host/bucket",
        "s3://host/bucket/a//b",
        "s3://host/bucket/../b",
        "s3://host/bucket/a b",
        "s3://host/bucket?tls",
        "s3://host/bucket?tls=maybe",
        "s3://host/bucket?unknown=1",
        "s3://host/bucket?ca=%zz",
        "s3://host/bucket?ca=%4",
        "s3://host/bucket?ca=%00",
        "s3://host/bucket?region=a%0d%0ab",
        "s3://host/bucket?timeout=0",
        "s3://host/bucket?timeout=99999999999999999999",
        "s3://host/bucket?lock=compliance",
        "s3://host/bucket?retain=3",
        "s3://host/bucket?control=bucket",
    };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        struct bk_error err = { 0 };
        struct s3_url u;
        if (s3_url_parse(bad[i], &u, &err) != BK_E_USAGE)
            fail_msg("taken: %s", bad[i]);
    }
    char long_url[2048];
    for (size_t n = 1; n < sizeof long_url - 16; n = n * 2 + 1) {
        struct bk_error err = { 0 };
        struct s3_url u;
        strcpy(long_url, "s3://host/bbb/");
        memset(long_url + 14, 'a', n);
        long_url[14 + n] = '\0';
        assert_int_equal(s3_url_parse(long_url, &u, &err), n <= S3_PREFIX_MAX ? 0 : BK_E_USAGE);
    }
}

static int gather(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    char *out = ctx;
    (void)err;
    size_t n = strlen(out);
    snprintf(out + n, 512 - n, "%s=%s;", path, text ? text : "*");
    return 0;
}

static void xml_is_read_element_by_element(void **state)
{
    (void)state;
    static const char doc[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<r xmlns=\"http://x/\" a='>'>\n "
                              "<c:k>a&amp;b&lt;&#65;&#x42;</c:k>"
                              "<!-- <no> --><e/><list><n>1</n><n> 2 </n></list></r>\n";
    char out[512] = "";
    struct bk_error err = { 0 };
    assert_int_equal(s3_xml_parse(doc, sizeof doc - 1, gather, out, &err), 0);
    assert_string_equal(out, "r/k=a&b<AB;r/e=;r/list/n=1;r/list/n= 2 ;r/list=*;r=*;");
}

static void xml_that_is_none_or_too_much_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "hello",
        "<a>",
        "<a></b>",
        "<a></a><b></b>",
        "<a>x<b></b></a>",
        "<a><b></b>x</a>",
        "<a>&unknown;</a>",
        "<a>&#0;</a>",
        "<a>&#xd800;</a>",
        "<a>&#x110000;</a>",
        "<a>&amp</a>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<a><![CDATA[x]]></a>",
        "<a b=\"></a>",
        "<a></a",
        "</a>",
        "< a></a>",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a>x</a></a></a></a></a></a></a></a></a></a></a></a></a>",
    };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        char out[512] = "";
        struct bk_error err = { 0 };
        if (s3_xml_parse(bad[i], strlen(bad[i]), gather, out, &err) != BK_E_CORRUPT)
            fail_msg("taken: %s", bad[i]);
    }
    char big[S3_XML_TEXT + 16] = "<a>";
    memset(big + 3, 'x', S3_XML_TEXT + 1);
    strcpy(big + 3 + S3_XML_TEXT + 1, "</a>");
    char out[512] = "";
    struct bk_error err = { 0 };
    assert_int_equal(s3_xml_parse(big, strlen(big), gather, out, &err), BK_E_CORRUPT);
}

/* Cut and damaged documents end in a code, never in a read outside. */
static void xml_survives_damage(void **state)
{
    (void)state;
    static const char doc[] =
        "<?xml "
        "version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a&amp;&#x42;</Key>"
        "<Size>12</Size></Contents></ListBucketResult>";
    size_t len = sizeof doc - 1;
    for (size_t cut = 0; cut < len; cut++) {
        char *part = malloc(cut + 1), out[512] = "";
        struct bk_error err = { 0 };
        memcpy(part, doc, cut);
        assert_int_equal(s3_xml_parse(part, cut, gather, out, &err), BK_E_CORRUPT);
        free(part);
    }
    unsigned seed = 1;
    for (unsigned i = 0; i < 20000; i++) {
        char *part = malloc(len), out[512] = "";
        struct bk_error err = { 0 };
        memcpy(part, doc, len);
        for (unsigned k = 0; k < 3; k++) {
            seed = seed * 1103515245u + 12345u;
            part[(seed >> 8) % len] = "<>/&;\"'=#x a\0"[(seed >> 20) % 13];
        }
        int r = s3_xml_parse(part, len, gather, out, &err);
        assert_true(r == 0 || r == BK_E_CORRUPT);
        free(part);
    }
}

static void credentials_are_found_in_sections_and_in_json(void **state)
{
    (void)state;
    static const char file[] =
        "# mine\n[default]\naws_access_key_id = AK\naws_secret_access_key=SK/+=\r\n\n[ work ]\n"
        "aws_access_key_id=W\naws_secret_access_key = WS\naws_session_token= T\n[cmd]\n"
        "credential_process = /bin/x --y\n[half]\naws_access_key_id=H\n";
    struct s3_credentials c;
    char command[64];
    assert_true(s3_credentials_parse(file, "default", &c, command, sizeof command));
    assert_string_equal(c.key, "AK");
    assert_string_equal(c.secret, "SK/+=");
    assert_string_equal(c.token, "");
    assert_true(s3_credentials_parse(file, "work", &c, command, sizeof command));
    assert_string_equal(c.key, "W");
    assert_string_equal(c.token, "T");
    assert_false(s3_credentials_parse(file, "cmd", &c, command, sizeof command));
    assert_string_equal(command, "/bin/x --y");
    assert_false(s3_credentials_parse(file, "half", &c, command, sizeof command));
    assert_false(s3_credentials_parse(file, "none", &c, command, sizeof command));
    assert_true(s3_credentials_parse(
        "{ \"Version\": 1, \"AccessKeyId\": \"J\",\n\"SecretAccessKey\":\"JS\", \"SessionToken\" : \"JT\", "
        "\"Expiration\": \"x\" }",
        "", &c, command, sizeof command));
    assert_string_equal(c.key, "J");
    assert_string_equal(c.secret, "JS");
    assert_string_equal(c.token, "JT");
    assert_false(s3_credentials_parse("{ \"AccessKeyId\": \"a\nb\", \"SecretAccessKey\": \"c\" }", "", &c,
                                      command, sizeof command));
    assert_true(s3_credentials_parse("aws_access_key_id=a\naws_secret_access_key=b", "", &c, command,
                                     sizeof command));
}

static void environment_wins_over_the_file_and_the_profile_over_both(void **state)
{
    (void)state;
    char path[] = "/tmp/bk-s3-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fputs("[default]\naws_access_key_id=F\naws_secret_access_key=FS\n[p]\naws_access_key_id=P\naws_secret_"
          "access_key=PS\n",
          f);
    fputs("[c]\ncredential_process=echo '{\"AccessKeyId\":\"C\",\"SecretAccessKey\":\"CS\"}'\n", f);
    fclose(f);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_PROFILE");
    unsetenv("BKCTL_S3_CREDENTIALS_COMMAND");
    struct s3_credentials c;
    struct bk_error err = { 0 };
    assert_int_equal(s3_credentials_load("", &c, &err), 0);
    assert_string_equal(c.key, "F");
    setenv("BKCTL_S3_CREDENTIALS_COMMAND", "echo aws_access_key_id=X; echo aws_secret_access_key=XS", 1);
    assert_int_equal(s3_credentials_load("", &c, &err), 0);
    assert_string_equal(c.key, "X");
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    assert_int_equal(s3_credentials_load("", &c, &err), 0);
    assert_string_equal(c.key, "E");
    assert_int_equal(s3_credentials_load("p", &c, &err), 0);
    assert_string_equal(c.key, "P");
    assert_int_equal(s3_credentials_load("c", &c, &err), 0);
    assert_string_equal(c.secret, "CS");
    assert_int_equal(s3_credentials_load("q", &c, &err), BK_E_ABSENT);
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("BKCTL_S3_CREDENTIALS_COMMAND", "exit 3", 1);
    assert_int_equal(s3_credentials_load("", &c, &err), BK_E_FAILED);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_published_examples),
        cmocka_unit_test(times_and_escapes_have_the_wanted_form),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(urls_that_mean_nothing_are_refused),
        cmocka_unit_test(xml_is_read_element_by_element),
        cmocka_unit_test(xml_that_is_none_or_too_much_is_refused),
        cmocka_unit_test(xml_survives_damage),
        cmocka_unit_test(credentials_are_found_in_sections_and_in_json),
        cmocka_unit_test(environment_wins_over_the_file_and_the_profile_over_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
