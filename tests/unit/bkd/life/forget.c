#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/life/forget.h"
#include "bkd/life/received.h"
#include "bkd/repo/copies.h"
#include "bkd/repo/session.h"

#define NS INT64_C(1000000000)
enum { DAY = 86400 };

static int64_t now_s = 100 * DAY;

static int64_t set_clock(void *ctx)
{
    (void)ctx;
    return now_s * NS;
}

static struct world test_world;

struct place {
    struct store *mem;
    struct repo *repo;
    struct job job;
};

static struct place new_place(void)
{
    struct bk_error err = { 0 };
    struct place p = { .mem = new_repository() };
    test_world = world_real;
    test_world.now_ns = set_clock;
    now_s = 100 * DAY;
    OK(repo_open_adopt_store(lend(p.mem), &key_file, &test_world, &p.repo, &err));
    OK(job_init(&p.job, &err));
    return p;
}

static void end_place(struct place *p)
{
    repo_free(p->repo);
    store_free(p->mem);
    job_clear(&p->job);
}

/* A snapshot of that day. */
static void add(struct place *p, const char *name, int day, char *ret_hex)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    struct snapshot snap = { .level = LEVEL_FULL, .state = STATE_COMPLETE };
    snap.name = strdup(name);
    snap.host = strdup("h");
    snap.user = strdup("u");
    snap.program = strdup("t");
    snap.start_ns = snap.end_ns = day * DAY * NS;
    OK(session_open(p->repo, SESSION_WRITER, "backup", &s, &err));
    OK(session_commit(s, &snap, &err));
    if (ret_hex)
        object_hex(snap.id, SESSION_ID, ret_hex);
    session_free(s);
    snapshot_clear(&snap);
}

static void hold(struct place *p, const char *hex, int set)
{
    struct bk_error err = { 0 };
    struct catalog c = { 0 };
    const struct catalog_item *i = NULL;
    struct note_change change = { .hold = set };
    OK(catalog_load(p->repo, NULL, NULL, &c, &err));
    OK(catalog_resolve(&c, hex, &i, &err));
    OK(catalog_annotate(p->repo, i, &change, &err));
    catalog_clear(&c);
}

static struct retention_input last(unsigned n)
{
    return (struct retention_input){ .rules.count[RETENTION_LAST] = n };
}

static int by_rules(struct place *p, unsigned n, struct forget_plan *ret, struct bk_error *err)
{
    struct retention_input what = last(n);
    return forget_by_rules(p->repo, &what, NULL, NULL, ret, err);
}

static int by_name(struct place *p, char *name, struct forget_plan *ret, struct bk_error *err)
{
    struct retention_input what = { 0 };
    return forget_by_names(p->repo, &what, &name, 1, NULL, NULL, ret, err);
}

static void rules_remove_snapshots_and_their_notes(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct forget_plan plan = { 0 };
    struct forget_report rep = { 0 };
    char hex[2 * SESSION_ID + 1];
    for (int day = 1; day <= 6; day++)
        add(&p, "home", day, day == 2 ? hex : NULL);
    hold(&p, hex, 1);
    hold(&p, hex, 0);
    assert_int_equal(count_objects(p.mem, "notes/"), 2);
    OK(by_rules(&p, 2, &plan, &err));
    assert_int_equal(plan.n_remove, 4);
    assert_int_equal(plan.n_keep, 2);
    assert_int_equal(count_objects(p.mem, "snapshots/"), 6);
    OK(forget_carry_out(p.repo, &p.job, &plan, NULL, NULL, &rep, &err));
    assert_int_equal(rep.n_removed, 4);
    assert_int_equal(count_objects(p.mem, "snapshots/"), 2);
    assert_int_equal(count_objects(p.mem, "notes/"), 0);
    forget_plan_clear(&plan);
    assert_int_equal(by_rules(&p, 0, &plan, &err), BK_E_USAGE);
    end_place(&p);
}

static void receive(struct place *p, const char *hex, const char *note)
{
    struct bk_error err = { 0 };
    char path[256];
    snprintf(path, sizeof path, "received/snapshots/%s", hex);
    OK(store_put(p->mem, path, note, strlen(note), &err));
}

static void the_server_says_when_and_in_which_order(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct forget_plan plan = { 0 };
    struct forget_report rep = { 0 };
    char hex[4][2 * SESSION_ID + 1], note[64];
    /* The second and the third came the other way round: their client made up the sequence. All are dated
     * years back. */
    static const int came[4] = { 90, 95, 94, 99 };
    for (int i = 0; i < 4; i++) {
        add(&p, "home", 1 + i, hex[i]);
        snprintf(note, sizeof note, "1 %lld laptop\n", (long long)(came[i] * DAY * NS));
        receive(&p, hex[i], note);
    }
    OK(lock_set(p.repo, 7 * DAY, "owner", &err));
    OK(by_rules(&p, 1, &plan, &err));
    assert_int_equal(plan.n_remove, 1);
    assert_int_equal(plan.n_keep, 3);
    assert_memory_equal(plan.catalog.v[3].snap.id, plan.in.v[3].snap.id, SESSION_ID);
    char second[2 * SESSION_ID + 1];
    object_hex(plan.catalog.v[1].snap.id, SESSION_ID, second);
    assert_string_equal(second, hex[2]);
    assert_false(plan.verdict[0].keep);
    assert_int_equal(plan.verdict[1].why, RETENTION_MINIMUM);
    assert_true(plan.verdict[1].free_s == 101 * DAY);
    OK(forget_carry_out(p.repo, &p.job, &plan, NULL, NULL, &rep, &err));
    assert_int_equal(rep.n_removed, 1);
    assert_int_equal(count_objects(p.mem, "received/"), 3); /* its note went as well */
    forget_plan_clear(&plan);
    assert_int_equal(by_name(&p, hex[1], &plan, &err), BK_E_PERM);
    end_place(&p);
}

static void notes_of_a_server_that_make_no_sense_count_as_none(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",         "1 ",       "1 5\n", "2 5 a\n", "1 -5 a\n", "1 5 a", "1 99999999999999999999 a\n",
        "1  5 a\n", "x 1 5 a\n"
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_true(received_parse(odd[i], strlen(odd[i])) == 0);
    assert_true(received_parse("1 5 a\n", 6) == 5);
}

static void holds_are_kept_even_when_set_in_between(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct forget_plan plan = { 0 };
    struct forget_report rep = { 0 };
    char held[2 * SESSION_ID + 1], late[2 * SESSION_ID + 1];
    add(&p, "home", 1, held);
    add(&p, "home", 2, late);
    add(&p, "home", 3, NULL);
    hold(&p, held, 1);
    assert_int_equal(by_name(&p, held, &plan, &err), BK_E_PERM);
    OK(by_rules(&p, 1, &plan, &err));
    assert_int_equal(plan.n_remove, 1);
    hold(&p, late, 1);
    OK(forget_carry_out(p.repo, &p.job, &plan, NULL, NULL, &rep, &err));
    assert_int_equal(rep.n_removed, 0);
    assert_int_equal(rep.n_skipped, 1);
    assert_int_equal(count_objects(p.mem, "snapshots/"), 3);
    forget_plan_clear(&plan);
    end_place(&p);
}

static void nothing_younger_than_the_minimum_goes(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct forget_plan plan = { 0 };
    struct forget_report rep = { 0 };
    struct lock lock = { 0 };
    char young[2 * SESSION_ID + 1];
    add(&p, "home", 80, NULL);
    add(&p, "home", 90, young);
    add(&p, "home", 99, NULL);
    OK(lock_read(p.repo, &lock, &err));
    assert_int_equal(lock.seconds, 0);
    OK(lock_set(p.repo, 5 * DAY, "me", &err));
    OK(by_rules(&p, 1, &plan, &err));
    assert_int_equal(plan.n_remove, 2);
    OK(lock_set(p.repo, 14 * DAY, "me", &err));
    assert_int_equal(forget_carry_out(p.repo, &p.job, &plan, NULL, NULL, &rep, &err), BK_E_CHANGED);
    assert_int_equal(count_objects(p.mem, "snapshots/"), 3);
    forget_plan_clear(&plan);
    assert_int_equal(by_name(&p, young, &plan, &err), BK_E_PERM);
    assert_non_null(strstr(err.text, "1970-04-15"));
    OK(by_rules(&p, 1, &plan, &err));
    assert_int_equal(plan.n_remove, 1);
    assert_int_equal(plan.verdict[1].why, RETENTION_MINIMUM);
    forget_plan_clear(&plan);
    now_s = 104 * DAY;
    OK(by_name(&p, young, &plan, &err));
    forget_plan_clear(&plan);
    end_place(&p);
}

static void the_minimum_never_shrinks(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct lock lock = { 0 };
    OK(lock_set(p.repo, 7 * DAY, "me", &err));
    OK(lock_set(p.repo, 7 * DAY, "me", &err));
    assert_int_equal(count_objects(p.mem, "retention/"), 1);
    assert_int_equal(lock_set(p.repo, 6 * DAY, "me", &err), BK_E_USAGE);
    OK(lock_set(p.repo, 8 * DAY, "me", &err));
    OK(lock_read(p.repo, &lock, &err));
    assert_int_equal(lock.seconds, 8 * DAY);
    /* damage: the copy stands in; without it nobody knows; stated anew it holds again */
    flip(p.mem, "retention/2", 70);
    OK(lock_read(p.repo, &lock, &err));
    assert_int_equal(lock.seconds, 8 * DAY);
    OK(store_remove(p.mem, "retention/2", &err));
    OK(lock_read(p.repo, &lock, &err));
    assert_int_equal(lock.highest, 2);
    flip(p.mem, "copies/retention/2", 70);
    assert_int_equal(lock_read(p.repo, &lock, &err), BK_E_CORRUPT);
    assert_int_equal(lock_set(p.repo, 6 * DAY, "me", &err), BK_E_USAGE);
    OK(lock_set(p.repo, 7 * DAY, "me", &err));
    OK(lock_read(p.repo, &lock, &err));
    assert_int_equal(lock.seconds, 7 * DAY);
    assert_int_equal(lock.highest, 3);
    assert_int_equal(lock_set(p.repo, MINIMUM_SECONDS_MAX + 1, "me", &err), BK_E_LIMIT);
    end_place(&p);
}

static void the_shrink_guard_looks_at_each_group(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    struct forget_plan plan = { 0 };
    struct forget_shrink s;
    for (int day = 1; day <= 8; day++)
        add(&p, "home", day, NULL);
    for (int day = 1; day <= 4; day++)
        add(&p, "mail", day, NULL);
    OK(by_rules(&p, 4, &plan, &err)); /* half of home, none of mail */
    assert_false(forget_shrinks(&plan, &s));
    forget_plan_clear(&plan);
    OK(by_rules(&p, 3, &plan, &err));
    assert_true(forget_shrinks(&plan, &s));
    assert_string_equal(s.of->name, "home");
    assert_int_equal(s.n, 8);
    assert_int_equal(s.n_remove, 5);
    forget_plan_clear(&plan);
    for (int day = 9; day <= 60; day++)
        add(&p, "home", day, NULL);
    OK(by_rules(&p, 50, &plan, &err)); /* ten of sixty */
    assert_false(forget_shrinks(&plan, &s));
    forget_plan_clear(&plan);
    OK(by_rules(&p, 47, &plan, &err)); /* thirteen: more than ten and a fifth */
    assert_true(forget_shrinks(&plan, &s));
    assert_int_equal(s.n_remove, 13);
    forget_plan_clear(&plan);
    end_place(&p);
}

static void a_damaged_snapshot_goes_when_it_is_meant(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p = new_place();
    char hex[2 * SESSION_ID + 1], path[REPO_PATH];
    struct bk_buf b = BK_BUF(0);
    add(&p, "home", 1, hex);
    snprintf(path, sizeof path, "snapshots/%s", hex);
    assert_int_equal(forget_damaged(p.repo, hex, &err), BK_E_USAGE); /* sound */
    flip(p.mem, path, 80);
    assert_int_equal(forget_damaged(p.repo, "abcd", &err), BK_E_USAGE);
    OK(forget_damaged(p.repo, hex, &err));
    OK(store_get_all(p.mem, path, 1 << 20, &b, &err));
    assert_int_equal(object_peek_kind(b.data, b.len), OBJECT_VOID); /* its session can never commit again */
    assert_int_equal(forget_damaged(p.repo, hex, &err), BK_E_USAGE);
    hex[0] = hex[0] == 'a' ? 'b' : 'a';
    assert_int_equal(forget_damaged(p.repo, hex, &err), BK_E_ABSENT);
    bk_buf_clear(&b);
    end_place(&p);
}

/* Wherever a call of the store fails, each snapshot is there in full or gone, and a repeat ends it. */
static void a_failing_store_leaves_whole_snapshots(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct bk_error err = { 0 };
        struct place p = new_place();
        char hex[2 * SESSION_ID + 1];
        struct forget_plan plan = { 0 };
        struct forget_report rep = { 0 };
        for (int day = 1; day <= 3; day++)
            add(&p, "home", day, hex);
        struct repo *r = NULL;
        struct store *faulty = lend_faulty(p.mem, FAULT_ERROR, nth);
        if (repo_open_adopt_store(faulty, &key_file, &test_world, &r, &err) < 0) {
            store_free(faulty);
            end_place(&p);
            continue;
        }
        struct retention_input what = last(1);
        int rc = forget_by_rules(r, &what, NULL, NULL, &plan, &err);
        if (rc == 0)
            rc = forget_carry_out(r, &p.job, &plan, NULL, NULL, &rep, &err);
        bool fired = store_fault_fired(faulty);
        size_t left = count_objects(p.mem, "snapshots/");
        assert_true(left >= 1 && left <= 3);
        forget_plan_clear(&plan);
        repo_free(r);
        err = (struct bk_error){ 0 };
        rep = (struct forget_report){ 0 };
        OK(by_rules(&p, 1, &plan, &err));
        OK(forget_carry_out(p.repo, &p.job, &plan, NULL, NULL, &rep, &err));
        assert_int_equal(count_objects(p.mem, "snapshots/"), 1);
        forget_plan_clear(&plan);
        end_place(&p);
        if (!fired) {
            assert_int_equal(rc, 0);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_remove_snapshots_and_their_notes),
        cmocka_unit_test(the_server_says_when_and_in_which_order),
        cmocka_unit_test(notes_of_a_server_that_make_no_sense_count_as_none),
        cmocka_unit_test(holds_are_kept_even_when_set_in_between),
        cmocka_unit_test(nothing_younger_than_the_minimum_goes),
        cmocka_unit_test(the_minimum_never_shrinks),
        cmocka_unit_test(the_shrink_guard_looks_at_each_group),
        cmocka_unit_test(a_damaged_snapshot_goes_when_it_is_meant),
        cmocka_unit_test(a_failing_store_leaves_whole_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
