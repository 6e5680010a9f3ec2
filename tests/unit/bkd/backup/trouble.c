#include "backup_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

struct seen {
    pthread_mutex_t lock;
    unsigned n[8];
    char path[256];
};

static void see(void *ctx, const struct tree_exception *x)
{
    struct seen *s = ctx;
    pthread_mutex_lock(&s->lock);
    s->n[x->trouble]++;
    snprintf(s->path, sizeof s->path, "%.*s", (int)x->path_len, (const char *)x->path);
    pthread_mutex_unlock(&s->lock);
}

struct meddler {
    atomic_bool stop;
    const char *mode;
};

static void *meddle(void *arg)
{
    struct meddler *m = arg;
    char path[256];
    snprintf(path, sizeof path, "%s/busy", place);
    for (unsigned i = 0; !atomic_load(&m->stop); i++) {
        int fd = open(path, O_WRONLY | O_CREAT | (m->mode[0] == 'a' ? O_APPEND : O_TRUNC), 0644);
        if (fd < 0)
            continue;
        if (m->mode[0] == 'a')
            (void)!write(fd, "more", 4);
        else if (i % 2)
            (void)!ftruncate(fd, 300000);
        close(fd);
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
    }
    return NULL;
}

static void changes_while(const char *mode)
{
    struct bed b = bed_new();
    struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct meddler m = { .mode = mode };
    pthread_t t;
    put_file("busy", "some", 4);
    put_file("calm", "calm", 4);
    b.common.on_exception = see;
    b.common.ctx = &seen;
    assert_int_equal(pthread_create(&t, NULL, meddle, &m), 0);
    struct snapshot s = bed_run(&b);
    /* On a busy machine the other thread may not have had its turn while the file was read. */
    for (int i = 0; i < 1000 && s.state == STATE_COMPLETE; i++) {
        snapshot_clear(&s);
        s = bed_run(&b);
    }
    atomic_store(&m.stop, true);
    pthread_join(t, NULL);
    assert_int_equal(seen.n[TROUBLE_CHANGED], 1);
    assert_string_equal(seen.path, at("busy"));
    assert_int_equal(s.state, STATE_EXCEPTIONS);
    assert_int_equal(s.n_exceptions, 1);
    struct view v = view_open(&b, &s);
    view_file_is(&v, "calm", "calm", 4);
    struct node n = { 0 };
    assert_int_equal(view_find(&v, "busy", &n), 0);
    assert_true(n.e.flags & TREE_CONTENT_PARTIAL);
    node_clear(&n);

    /* the list is stored with the snapshot */
    const struct snapshot_stream *x = snapshot_stream_of(&s, STREAM_EXCEPTIONS);
    assert_non_null(x);
    uint8_t buf[4096];
    size_t len;
    struct bk_error err = { 0 };
    OK(browse_read(v.reader, 0, &x->content, 0, buf, sizeof buf, &len, &err));
    struct bk_reader r = bk_reader_of(buf, len);
    struct tree_exception e;
    assert_int_equal(tree_exception_next(&r, &e, &err), 1);
    assert_int_equal(e.trouble, TROUBLE_CHANGED);
    assert_int_equal(e.path_len, strlen(at("busy")));
    assert_int_equal(tree_exception_next(&r, &e, &err), 0);
    view_close(&v);

    /* it is read again, though nothing may have changed since */
    snapshot_clear(&s);
    s = bed_run(&b);
    assert_int_equal(s.state, STATE_COMPLETE);
    assert_int_equal(s.n_unchanged, 1);
    snapshot_clear(&s);
    bed_free(&b);
}

static void a_growing_file_is_saved_and_reported(void **state)
{
    (void)state;
    changes_while("append");
}

static void a_shrinking_file_is_saved_and_reported(void **state)
{
    (void)state;
    changes_while("truncate");
}

static void what_cannot_be_opened_is_an_exception(void **state)
{
    (void)state;
    if (geteuid() == 0) /* root reads everything */
        skip();
    struct bed b = bed_new();
    struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
    b.common.on_exception = see;
    b.common.ctx = &seen;
    put_file("secret", "s", 1);
    put_file("open", "o", 1);
    assert_int_equal(chmod(at("secret"), 0), 0);
    struct snapshot s = bed_run(&b);
    assert_int_equal(seen.n[TROUBLE_UNREADABLE], 1);
    assert_int_equal(s.n_files, 1);
    snapshot_clear(&s);
    bed_free(&b);
}

static void *cancel_soon(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
    job_cancel(arg);
    return NULL;
}

static void cancelling_leaves_no_snapshot(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct bk_error err = { 0 };
    struct backup_result res = { 0 };
    struct job j = { .n_threads = 2, .limit_read = 1 << 20 };
    assert_int_equal(job_init(&j, &err), 0);
    size_t len = 8 << 20;
    uint8_t *data = malloc(len);
    noise(data, len, 1);
    put_file("big", data, len);
    free(data);
    const char *paths[] = { place };
    struct backup_files f = { .paths = paths, .n_paths = 1 };
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, cancel_soon, &j), 0);
    assert_int_equal(backup_files(b.repo, &j, &b.common, &f, &res, &err), BK_E_CANCELLED);
    pthread_join(t, NULL);
    job_clear(&j);
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    assert_int_equal(count_objects(b.mem, "sessions/"), 0);
    bed_free(&b);
}

/* 1 when the fault fired. */
static int run_with_fault(struct bed *b, enum store_fault_kind kind, uint64_t nth)
{
    struct bk_error err = { 0 };
    struct repo *faulty = NULL;
    struct store *s = lend_faulty(b->mem, kind, nth);
    if (try_open(s, &key_file, &faulty, &err) < 0)
        return 1;
    size_t before = count_objects(b->mem, "snapshots/");
    struct job j = { .n_threads = 2 };
    struct backup_result res = { 0 };
    const char *paths[] = { place };
    struct backup_files f = { .paths = paths, .n_paths = 1 };
    OK(job_init(&j, &err));
    int r = backup_files(faulty, &j, &b->common, &f, &res, &err);
    job_clear(&j);
    int fired = store_fault_fired(s);
    repo_free(faulty);
    assert_int_equal(count_objects(b->mem, "snapshots/"), before + (r == 0));
    assert_true(fired || r == 0);
    backup_result_clear(&res);
    return fired;
}

/* Each call to the store fails once: a run says truly whether there is a snapshot, and the last one is whole.
 */
static void a_failing_store_leaves_a_snapshot_or_none(void **state)
{
    (void)state;
    static const enum store_fault_kind kinds[] = { FAULT_ERROR, FAULT_LOST_ACK, FAULT_CUT };
    uint8_t data[100000];
    noise(data, sizeof data, 2);
    put_dir("d");
    put_file("d/f", data, sizeof data);
    for (size_t k = 0; k < 3; k++) {
        int fired = 1;
        for (uint64_t nth = 1; fired; nth++) {
            struct bed b = bed_new();
            fired = run_with_fault(&b, kinds[k], nth);
            assert_true(fired || nth > 5);
            assert_true(nth < 200);
            struct snapshot s = bed_run(&b);
            struct view v = view_open(&b, &s);
            view_file_is(&v, "d/f", data, sizeof data);
            view_close(&v);
            snapshot_clear(&s);
            bed_free(&b);
        }
    }
}

/* Too few descriptors are our trouble, not the source's: the run fails, or it has everything. */
static void a_lack_of_descriptors_is_no_exception(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct rlimit old;
    unsigned n_failed = 0;
    put_dir("d");
    put_dir("d/e");
    put_file("d/e/f", "text", 4);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t spare = 0; spare < 40; spare++) {
        struct bed b = bed_new();
        struct backup_result res = { 0 };
        struct backup_files f = { .paths = (const char *const[]){ place }, .n_paths = 1 };
        struct job j = { .n_threads = 2 };
        assert_int_equal(job_init(&j, &err), 0);
        int probe = open("/", O_RDONLY | O_DIRECTORY);
        assert_true(probe >= 0);
        close(probe);
        struct rlimit low = { .rlim_cur = (rlim_t)probe + spare, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        int r = backup_files(b.repo, &j, &b.common, &f, &res, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        job_clear(&j);
        if (r < 0) {
            n_failed++;
            assert_int_equal(err.sys, EMFILE);
            assert_non_null(strstr(err.hint, "ulimit"));
            assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
            err = (struct bk_error){ 0 };
        } else {
            assert_int_equal(res.snap.state, STATE_COMPLETE);
            backup_result_clear(&res);
        }
        bed_free(&b);
    }
    assert_true(n_failed > 1 && n_failed < 40);
}

static void a_missing_path_starts_nothing(void **state)
{
    (void)state;
    struct bed b = bed_new();
    size_t before = count_objects(b.mem, "");
    b.paths[0] = "/no/such/path";
    struct backup_result r = bed_try(&b, BK_E_ABSENT);
    backup_result_clear(&r);
    assert_int_equal(count_objects(b.mem, ""), before);
    bed_free(&b);
}

/* Far past PATH_MAX, and deeper than the directories that are kept open. */
static void a_very_deep_tree_is_saved(void **state)
{
    (void)state;
    enum { DEPTH = 2500 };
    struct bed b = bed_new();
    int fd = open(place, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "level", 0755), 0);
        int f = openat(fd, "z", O_WRONLY | O_CREAT, 0644);
        assert_int_equal(write(f, "z", 1), 1);
        close(f);
        int next = openat(fd, "level", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        b.n_threads = threads;
        struct snapshot s = bed_run(&b);
        assert_int_equal(s.state, STATE_COMPLETE);
        assert_int_equal(s.n_files, DEPTH);
        assert_true(s.n_dirs >= DEPTH + 1);
        assert_int_equal(s.n_unchanged, threads == 1 ? 0 : DEPTH);
        snapshot_clear(&s);
    }
    bed_free(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        T(a_growing_file_is_saved_and_reported),
        T(a_shrinking_file_is_saved_and_reported),
        T(what_cannot_be_opened_is_an_exception),
        T(cancelling_leaves_no_snapshot),
        T(a_failing_store_leaves_a_snapshot_or_none),
        T(a_lack_of_descriptors_is_no_exception),
        T(a_missing_path_starts_nothing),
        T(a_very_deep_tree_is_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
