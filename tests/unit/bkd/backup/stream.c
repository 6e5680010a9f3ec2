#include "backup_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

static int run(struct bed *b, const char *const *argv, struct backup_result *ret, struct bk_error *err)
{
    struct job j = { .n_threads = b->n_threads };
    assert_int_equal(job_init(&j, err), 0);
    int r = backup_stream(b->repo, &j, &b->common, "dump.sql", argv, ret, err);
    job_clear(&j);
    return r;
}

static void what_a_command_writes_becomes_a_blob(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    size_t len = 5000000;
    uint8_t *data = malloc(len);
    noise(data, len, 4);
    put_file("in", data, len);
    const char *argv[] = { "cat", at("in"), NULL };
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        struct backup_result res = { 0 };
        b.n_threads = threads;
        OK(run(&b, argv, &res, &err));
        assert_int_equal(res.snap.level, LEVEL_FULL);
        assert_int_equal(res.snap.content_bytes, len);
        assert_true(threads == 1 || res.snap.new_bytes == 0);
        const struct snapshot_stream *st = snapshot_stream_of(&res.snap, STREAM_BLOB);
        assert_string_equal(st->name, "dump.sql");
        struct view v = view_open(&b, &res.snap);
        view_content_is(&v, &st->content, data, len);
        view_close(&v);
        backup_result_clear(&res);
    }
    free(data);
    bed_free(&b);
}

static void a_command_without_output_is_an_empty_blob(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    const char *argv[] = { "true", NULL };
    OK(run(&b, argv, &res, &err));
    assert_int_equal(snapshot_stream_of(&res.snap, STREAM_BLOB)->content.size, 0);
    backup_result_clear(&res);
    bed_free(&b);
}

static void a_failing_command_leaves_no_snapshot(void **state)
{
    (void)state;
    struct bed b = bed_new();
    static const struct {
        const char *script, *says;
        int code;
    } t[] = {
        { "echo partial; echo bad luck >&2; exit 3", "status 3: bad luck", BK_E_FAILED },
        { "echo partial; kill -9 $$", "signal 9", BK_E_FAILED },
        { "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", "line 2999",
          BK_E_FAILED },
    };
    for (size_t i = 0; i < 3; i++) {
        struct bk_error err = { 0 };
        struct backup_result res = { 0 };
        const char *argv[] = { "sh", "-c", t[i].script, NULL };
        assert_int_equal(run(&b, argv, &res, &err), t[i].code);
        if (!strstr(err.text, t[i].says))
            fail_msg("'%s' does not say '%s'", err.text, t[i].says);
    }
    struct bk_error err = { 0 };
    struct backup_result res = { 0 };
    const char *none[] = { "/no/such/command", NULL };
    assert_int_equal(run(&b, none, &res, &err), BK_E_ABSENT);
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    assert_int_equal(count_objects(b.mem, "sessions/"), 0);
    bed_free(&b);
}

static void *cancel_soon(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    job_cancel(arg);
    return NULL;
}

static void cancelling_stops_the_command(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct backup_result res = { 0 };
    char script[256];
    snprintf(script, sizeof script, "echo $$ > %s; echo x; sleep 600", at("pid"));
    const char *argv[] = { "sh", "-c", script, NULL };
    struct job j = { .n_threads = 1 };
    assert_int_equal(job_init(&j, &err), 0);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, cancel_soon, &j), 0);
    assert_int_equal(backup_stream(b.repo, &j, &b.common, "s", argv, &res, &err), BK_E_CANCELLED);
    pthread_join(t, NULL);
    job_clear(&j);
    FILE *f = fopen(at("pid"), "r");
    int pid = 0;
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    bed_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        T(what_a_command_writes_becomes_a_blob),
        T(a_command_without_output_is_an_empty_blob),
        T(a_failing_command_leaves_no_snapshot),
        T(cancelling_stops_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
