#include "repo_fixture.h"

#include "bkd/repo/catalog.h"
#include "bkd/repo/session.h"
#include "formats/object/record.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
