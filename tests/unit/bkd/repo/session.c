#include "repo_fixture.h"

#include "bkd/repo/catalog.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bkd/repo/session.h"
#include "bkd/repo/sessions.h"
#include "formats/object/record.h"
#include "tests/unit/bkd/store/gate.h"

static struct session *begin(struct repo *r)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err));
    return s;
}

static struct snapshot sample(enum snapshot_level level)
{
    struct snapshot s = { .level = level, .state = STATE_COMPLETE, .start_ns = 5, .end_ns = 6 };
    s.name = strdup("home");
    s.host = strdup("h");
    s.user = strdup("u");
    s.program = strdup("t");
    return s;
}

static int commit(struct session *s, enum snapshot_level level, struct snapshot *ret, struct bk_error *err)
{
    struct snapshot snap = sample(level);
    int r = session_commit(s, &snap, err);
    if (ret)
        *ret = snap;
    snapshot_clear(&snap);
    return r;
}

static size_t n_snapshots(struct store *mem)
{
    struct bk_error err = { 0 };
    struct catalog c = { 0 };
    struct repo *r = open_mem(mem);
    OK(catalog_load(r, NULL, NULL, &c, &err));
    assert_int_equal(c.n_damaged, 0);
    size_t n = c.n;
    catalog_clear(&c);
    repo_free(r);
    return n;
}

static void a_commit_ends_the_session(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct session *s = begin(r);
    struct snapshot done;
    assert_int_equal(count_objects(mem, "sessions/"), 1);
    OK(commit(s, LEVEL_FULL, &done, &err));
    assert_memory_equal(done.id, session_record(s)->id, SESSION_ID);
    assert_memory_equal(done.base, done.id, SESSION_ID);
    assert_int_equal(done.sequence, 1);
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    session_free(s);
    assert_int_equal(n_snapshots(mem), 1);
    repo_free(r);
    store_free(mem);
}

static void without_commit_nothing_is_left(void **state)
{
    (void)state;
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    session_free(begin(r));
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    assert_int_equal(count_objects(mem, "snapshots/"), 0);
    repo_free(r);
    store_free(mem);
}

static void sequences_ascend_and_others_are_seen(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct session *a = begin(r), *b = begin(r);
    struct snapshot first, second;
    assert_int_equal(session_others(a), 0);
    assert_int_equal(session_others(b), 1);
    OK(commit(b, LEVEL_FULL, &first, &err));
    OK(commit(a, LEVEL_FULL, &second, &err));
    assert_int_equal(first.sequence, 1);
    assert_int_equal(second.sequence, 2);
    session_free(a);
    session_free(b);
    repo_free(r);
    store_free(mem);
}

static void the_generation_is_the_collectors_highest_number(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    OK(store_put(mem, "generation/7", "x", 1, &err));
    OK(store_put(mem, "generation/31", "x", 1, &err));
    OK(store_put(mem, "tombstones/32", "x", 1, &err));
    OK(store_put(mem, "tombstones/99x", "x", 1, &err));
    OK(store_put(mem, "generation/99999999999999999999999", "x", 1, &err));
    struct repo *r = open_mem(mem);
    struct session *s = begin(r);
    assert_int_equal(session_record(s)->generation, 32);
    session_free(s);
    repo_free(r);
    store_free(mem);
}

static void who_is_fenced_cannot_commit(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct session *s = begin(r);
    OK(session_fence(r, session_record(s)->id, &err));
    OK(session_fence(r, session_record(s)->id, &err)); /* again: it is dead already */
    assert_int_equal(commit(s, LEVEL_FULL, NULL, &err), BK_E_FENCED);
    session_free(s);
    assert_int_equal(n_snapshots(mem), 0);
    repo_free(r);
    store_free(mem);
}

static void who_has_committed_cannot_be_fenced(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct session *s = begin(r);
    OK(commit(s, LEVEL_FULL, NULL, &err));
    assert_int_equal(session_fence(r, session_record(s)->id, &err), BK_E_EXISTS);
    session_free(s);
    assert_int_equal(n_snapshots(mem), 1);
    repo_free(r);
    store_free(mem);
}

/* Every call of the store fails in turn. Success means one snapshot, and failure means that a repeat on the
 * sound store decides: there is never a second one, and never one when the session was free to give up. */
static void a_commit_happens_once_whatever_call_fails(void **state)
{
    (void)state;
    static const enum store_fault_kind kinds[] = { FAULT_ERROR, FAULT_LOST_ACK, FAULT_NOSPACE };
    for (size_t k = 0; k < BK_COUNT(kinds); k++)
        for (uint64_t nth = 1;; nth++) {
            struct bk_error err = { 0 };
            struct store *mem = new_repository();
            struct store *faulty = lend_faulty(mem, kinds[k], nth);
            struct repo *r = NULL;
            struct session *s = NULL;
            int rc = repo_open_adopt_store(faulty, &key_file, &world_real, &r, &err);
            if (rc == 0)
                rc = session_open(r, SESSION_WRITER, "backup", &s, &err);
            if (rc == 0)
                rc = commit(s, LEVEL_FULL, NULL, &err);
            bool fired = store_fault_fired(faulty);
            if (rc < 0)
                assert_int_equal(rc, kinds[k] == FAULT_NOSPACE ? BK_E_NOSPACE : BK_E_IO);
            session_free(s);
            if (r)
                repo_free(r);
            else
                store_free(faulty);
            assert_int_equal(n_snapshots(mem), rc == 0);
            store_free(mem);
            if (!fired)
                break;
        }
}

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

/* Wait until the session's counter passes n. */
static uint64_t counter_past(struct repo *r, uint64_t n)
{
    for (int i = 0; i < 2000; i++) {
        struct bk_error err = { 0 };
        bk_auto(sessions_clear) struct sessions s = { 0 };
        OK(sessions_list(r, &s, &err));
        assert_int_equal(s.n, 1); /* never out of sight */
        assert_true(s.v[0].readable);
        if (s.v[0].counter > n)
            return s.v[0].counter;
        nap(5);
    }
    fail_msg("the session was not renewed");
    return 0;
}

static void a_session_is_renewed_until_it_ends(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    session_renew_every(10);
    struct session *s = begin(r);
    uint64_t n = counter_past(r, 0);
    n = counter_past(r, n + 2);
    size_t objects = count_objects(mem, "sessions/");
    assert_true(objects == 2 || objects == 3); /* while one is exchanged */
    struct session *other = begin(r);
    assert_int_equal(session_others(other), 1);
    session_free(other);
    OK(commit(s, LEVEL_FULL, NULL, &err));
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    session_free(s);
    session_renew_every(30000);
    repo_free(r);
    store_free(mem);
}

static void count_lost(void *ctx)
{
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void who_is_fenced_is_told(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    atomic_uint lost = 0;
    session_renew_every(10);
    struct session *s = begin(r);
    session_on_lost(s, count_lost, &lost);
    counter_past(r, 0);
    assert_int_equal(atomic_load(&lost), 0);
    OK(session_dismiss(r, session_record(s)->id, &err));
    while (!atomic_load(&lost))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    session_free(s);
    assert_int_equal(atomic_load(&lost), 1);
    session_renew_every(30000);
    repo_free(r);
    store_free(mem);
}

static void a_store_that_is_silent_is_waited_for_once(void **state)
{
    (void)state;
    for (int renewing = 0; renewing < 2; renewing++) {
        struct bk_error err = { 0 };
        struct store *mem = new_repository();
        struct gate silent;
        gate_init(&silent, mem);
        silent.code = BK_E_UNREACHABLE;
        struct repo *r = NULL;
        OK(repo_open_adopt_store(&silent.store, &key_file, &world_real, &r, &err));
        session_renew_every(renewing ? 10 : 30000);
        struct session *s = begin(r);
        if (renewing)
            counter_past(r, 0);
        silent.shut = true;
        while (renewing && !silent.refused)
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        unsigned before = silent.refused;
        session_free(s);
        assert_true(silent.refused - before <= 2); /* a call that is under way, and what follows from it */
        session_renew_every(30000);
        repo_free(r);
        assert_true(count_objects(mem, "sessions/") > 0); /* for a collector to find */
        store_free(mem);
    }
}

static void fencing_removes_all_that_stands_of_a_session(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    session_renew_every(10);
    struct session *s = begin(r);
    counter_past(r, 1);
    OK(session_fence(r, session_record(s)->id, &err));
    nap(40); /* it notices, and is not renewed any more */
    OK(session_fence(r, session_record(s)->id, &err));
    nap(40);
    assert_int_equal(count_objects(mem, "sessions/"), 0);
    assert_int_equal(commit(s, LEVEL_FULL, NULL, &err), BK_E_FENCED);
    session_free(s);
    session_renew_every(30000);
    repo_free(r);
    store_free(mem);
}

static void a_dead_process_of_this_host_is_told_from_a_living_one(void **state)
{
    (void)state;
    struct session_record rec = { .role = SESSION_WRITER, .pid = (uint64_t)getpid() };
    assert_int_equal(gethostname(rec.host, sizeof rec.host - 1), 0);
    sessions_process(rec.process);
    if (!rec.process[0])
        skip();
    assert_int_equal(sessions_fate(&rec), SESSION_ALIVE);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    struct session_record child = rec; /* another start time under that id */
    child.pid = (uint64_t)pid;
    nap(20);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(sessions_fate(&child), SESSION_DEAD);
    struct session_record elsewhere = child;
    snprintf(elsewhere.host, sizeof elsewhere.host, "elsewhere.example");
    assert_int_equal(sessions_fate(&elsewhere), SESSION_UNKNOWN);
    struct session_record boot = child;
    boot.process[0] ^= 1;
    assert_int_equal(sessions_fate(&boot), SESSION_UNKNOWN);
    struct session_record unknown = child;
    unknown.process[0] = 0;
    assert_int_equal(sessions_fate(&unknown), SESSION_UNKNOWN);
    struct session_record again = rec; /* our id, but an earlier process had it */
    snprintf(strrchr(again.process, '.'), 8, ".17");
    assert_int_equal(sessions_fate(&again), SESSION_DEAD);
}

static void put_list(struct repo *r, uint64_t n, uint8_t first)
{
    struct bk_error err = { 0 };
    struct tombstone v = { .kind = CHUNK_DATA };
    v.name.b[0] = first;
    struct tombstones t = { .n = n, .v = &v, .count = 1 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    char path[REPO_PATH];
    OK(tombstones_encode(&t, &b, &err));
    collection_list_path(n, path);
    OK(repo_put_record(r, OBJECT_TOMBSTONES, path, b.data, b.len, &err));
}

static void put_decision(struct repo *r, uint64_t n, uint8_t first, bool doomed)
{
    struct bk_error err = { 0 };
    struct tombstone v = { .kind = CHUNK_DATA };
    v.name.b[0] = first;
    struct tombstones t = { .n = n, .v = &v, .count = 1 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    uint8_t bits = doomed;
    struct generation g = { .n = n, .count = 1, .doomed = &bits };
    char path[REPO_PATH];
    OK(tombstones_encode(&t, &b, &err));
    OK(suite_hash(repo_keyring(r)->suite, b.data, b.len, g.digest, &err));
    b.len = 0;
    OK(generation_encode(&g, &b, &err));
    collection_decision_path(n, path);
    OK(repo_put_record(r, OBJECT_GENERATION, path, b.data, b.len, &err));
}

static bool shuns(struct repo *r, uint8_t first, enum collection_state want)
{
    struct bk_error err = { 0 };
    bk_auto(collection_clear) struct collection c = { 0 };
    pack_name name = { .b = { first } };
    OK(collection_read(r, &c, &err));
    assert_int_equal(c.state, want);
    return collection_shuns(&c, CHUNK_DATA, &name);
}

static void what_the_collector_says_is_understood(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    assert_false(shuns(r, 5, COLLECTION_NONE));
    put_list(r, 1, 5);
    assert_true(shuns(r, 5, COLLECTION_UNDECIDED));
    assert_false(shuns(r, 6, COLLECTION_UNDECIDED));
    put_decision(r, 1, 5, true);
    assert_true(shuns(r, 5, COLLECTION_DECIDED));
    assert_false(shuns(r, 6, COLLECTION_DECIDED));
    put_list(r, 2, 7);
    put_decision(r, 2, 7, false); /* lifted */
    assert_false(shuns(r, 7, COLLECTION_DECIDED));
    put_list(r, 3, 7);
    put_decision(r, 3, 8, true); /* of another list */
    assert_true(shuns(r, 99, COLLECTION_UNKNOWN));
    OK(store_put(mem, "tombstones/4", "x", 1, &err));
    assert_true(shuns(r, 99, COLLECTION_UNKNOWN));
    repo_free(r);
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_ends_the_session),
        cmocka_unit_test(without_commit_nothing_is_left),
        cmocka_unit_test(sequences_ascend_and_others_are_seen),
        cmocka_unit_test(the_generation_is_the_collectors_highest_number),
        cmocka_unit_test(who_is_fenced_cannot_commit),
        cmocka_unit_test(who_has_committed_cannot_be_fenced),
        cmocka_unit_test(a_commit_happens_once_whatever_call_fails),
        cmocka_unit_test(a_session_is_renewed_until_it_ends),
        cmocka_unit_test(who_is_fenced_is_told),
        cmocka_unit_test(a_store_that_is_silent_is_waited_for_once),
        cmocka_unit_test(fencing_removes_all_that_stands_of_a_session),
        cmocka_unit_test(a_dead_process_of_this_host_is_told_from_a_living_one),
        cmocka_unit_test(what_the_collector_says_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
