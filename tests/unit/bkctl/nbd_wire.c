#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "bkctl/nbd_wire.h"

static struct nbd_setup example(void)
{
    static const uint8_t secret[] = { 0, 1, 2, '\n', 255 };
    return (struct nbd_setup){ .repo = "/a/b c",
                               .secret = { .kind = SLOT_KEYFILE, .data = secret, .len = sizeof secret },
                               .no_cache = true,
                               .memory = 1ull << 40,
                               .threads = 3,
                               .limit_upload = 4,
                               .limit_download = 5,
                               .socket = "/run/x/socket",
                               .folder = "",
                               .socket_dev = 6,
                               .socket_ino = 7 };
}

static void a_setup_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    const struct nbd_setup s = example();
    struct nbd_setup t = { 0 };
    assert_int_equal(nbd_setup_encode(&s, &m, &err), 0);
    assert_int_equal(nbd_kind_of(&m), NBD_SETUP);
    assert_int_equal(nbd_setup_decode(&m, &t, &err), 0);
    assert_string_equal(t.repo, s.repo);
    assert_int_equal(t.secret.kind, s.secret.kind);
    assert_int_equal(t.secret.len, s.secret.len);
    assert_memory_equal(t.secret.data, s.secret.data, s.secret.len);
    assert_true(t.no_cache);
    assert_int_equal(t.memory, s.memory);
    assert_int_equal(t.threads, 3);
    assert_int_equal(t.limit_upload, 4);
    assert_int_equal(t.limit_download, 5);
    assert_string_equal(t.socket, s.socket);
    assert_string_equal(t.folder, "");
    assert_int_equal(t.socket_dev, 6);
    assert_int_equal(t.socket_ino, 7);
}

static void what_is_cut_or_changed_is_refused_or_whole(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    const struct nbd_setup s = example();
    struct nbd_setup t = { 0 };
    assert_int_equal(nbd_setup_encode(&s, &m, &err), 0);
    size_t whole = m.len;
    for (m.len = 0; m.len < whole; m.len++)
        assert_int_equal(nbd_setup_decode(&m, &t, &err), BK_E_CORRUPT);
    m.data[2] = '\0'; /* a text ends in its middle */
    assert_int_equal(nbd_setup_decode(&m, &t, &err), BK_E_CORRUPT);
    assert_null(t.repo);
}

static void an_error_arrives_with_code_text_and_hint(void **state)
{
    (void)state;
    struct bk_error err = { 0 }, sent = { 0 }, got = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    bk_fail(&sent, BK_E_AUTH, "100%% wrong");
    bk_hint(&sent, "look %s", "again");
    assert_int_equal(nbd_failed_encode(&sent, &m, &err), 0);
    assert_int_equal(nbd_failed_decode(&m, &got, &err), 0);
    assert_int_equal(got.code, BK_E_AUTH);
    assert_string_equal(got.text, "100% wrong");
    assert_string_equal(got.hint, "look again");
}

static void messages_stay_apart_and_the_end_is_seen(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    int pair[2];
    uint64_t number;
    const char *a, *b;
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(nbd_texts_encode(NBD_VARIABLE, "name", "a value", &m, &err), 0);
    assert_int_equal(nbd_send(pair[0], &m, true, &err), 0);
    assert_int_equal(nbd_numbered_encode(NBD_EXPORT, 77, "disk", &m, &err), 0);
    assert_int_equal(nbd_send(pair[0], &m, true, &err), 0);
    close(pair[0]);
    assert_int_equal(nbd_receive(pair[1], &m, &err), 1);
    assert_int_equal(nbd_kind_of(&m), NBD_VARIABLE);
    assert_int_equal(nbd_texts_decode(&m, &a, &b, &err), 0);
    assert_string_equal(a, "name");
    assert_string_equal(b, "a value");
    assert_int_equal(nbd_texts_decode(&m, &a, NULL, &err), BK_E_CORRUPT);
    assert_int_equal(nbd_receive(pair[1], &m, &err), 1);
    assert_int_equal(nbd_numbered_decode(&m, &number, &a, &err), 0);
    assert_int_equal(number, 77);
    assert_string_equal(a, "disk");
    assert_int_equal(nbd_receive(pair[1], &m, &err), 0);
    close(pair[1]);
}

static void who_ends_without_reading_is_heard_to_the_end(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    int pair[2];
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(nbd_texts_encode(NBD_GO, NULL, NULL, &m, &err), 0);
    assert_int_equal(nbd_send(pair[1], &m, true, &err), 0);
    assert_int_equal(nbd_texts_encode(NBD_READY, NULL, NULL, &m, &err), 0);
    assert_int_equal(nbd_send(pair[0], &m, true, &err), 0);
    close(pair[0]);
    assert_int_equal(nbd_receive(pair[1], &m, &err), 1);
    assert_int_equal(nbd_kind_of(&m), NBD_READY);
    assert_int_equal(nbd_receive(pair[1], &m, &err), 0);
    close(pair[1]);
}

static void who_does_not_read_holds_nobody_up(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    int pair[2], r = 0;
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(nbd_numbered_encode(NBD_LOG, 1, "a line", &m, &err), 0);
    for (int i = 0; r == 0 && i < 100000; i++)
        r = nbd_send(pair[0], &m, false, &err);
    assert_int_equal(r, BK_E_BUSY);
    close(pair[1]);
    assert_int_equal(nbd_send(pair[0], &m, false, &err), BK_E_IO);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setup_arrives_as_it_was_sent),
        cmocka_unit_test(what_is_cut_or_changed_is_refused_or_whole),
        cmocka_unit_test(an_error_arrives_with_code_text_and_hint),
        cmocka_unit_test(messages_stay_apart_and_the_end_is_seen),
        cmocka_unit_test(who_ends_without_reading_is_heard_to_the_end),
        cmocka_unit_test(who_does_not_read_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
