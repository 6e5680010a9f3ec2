/* Object lock: what a collection does about objects that the store does not let go yet. */
#include "tests/unit/bkd/backup/backup_fixture.h"

#include "bkd/life/forget.h"
#include "bkd/life/prune.h"
#include "bkd/repo/check.h"
#include "bkd/repo/collection.h"
#include "tests/unit/bkd/life/locks.h"

#define DAY (INT64_C(86400) * 1000000000)
#define TODAY (INT64_C(20800) * DAY)

static struct world world;
static struct bed bed;
static uint8_t bytes_a[400000], bytes_b[300000], bytes_c[200000];

static void set_up(int64_t put_lock_ns)
{
    struct bk_error err = { 0 };
    bed = bed_new();
    repo_free(bed.repo);
    locks.n = locks.n_retains = 0;
    locks.now_ns = TODAY;
    locks.put_lock_ns = put_lock_ns;
    locks.refuses = false;
    world = world_real;
    world.now_ns = locks_now;
    OK(repo_open_adopt_store(locking_new(bed.mem), &key_file, &world, &bed.repo, &err));
    noise(bytes_a, sizeof bytes_a, 1);
    noise(bytes_b, sizeof bytes_b, 2);
    noise(bytes_c, sizeof bytes_c, 3);
}

static void tear_down(void)
{
    unlink(at("a"));
    unlink(at("b"));
    unlink(at("c"));
    bed_free(&bed);
}

static struct prune_report collect(void)
{
    struct bk_error err = { 0 };
    struct prune_report rep = { 0 };
    struct job j = { .n_threads = 1 };
    struct prune_opts o = { .max_unused_percent = 0.1, .poll_ms = 1, .timeout_s = 600 };
    OK(job_init(&j, &err));
    OK(prune_run(bed.repo, &j, &o, &rep, &err));
    job_clear(&j);
    return rep;
}

static void forget(const struct snapshot *s)
{
    struct bk_error err = { 0 };
    char path[REPO_PATH];
    repo_id_path("snapshots/", s->id, SESSION_ID, path);
    OK(store_remove(bed.mem, path, &err));
}

static void on_damage(void *ctx, const struct check_damage *d)
{
    (void)ctx;
    print_message("damage: %s: %s\n", d->object ? d->object : "?", d->why ? d->why->text : "");
}

static void is_sound(void)
{
    struct bk_error err = { 0 };
    struct check_report rep = { 0 };
    struct check_opts o = { .read_data = true };
    struct job j = { .n_threads = 1 };
    OK(job_init(&j, &err));
    OK(check_run(bed.repo, &j, &o, on_damage, NULL, &rep, &err));
    job_clear(&j);
    assert_int_equal(rep.n_damages, 0);
    assert_int_equal(rep.n_files_hit, 0);
}

static size_t n_packs(void)
{
    return count_objects(bed.mem, "data/") + count_objects(bed.mem, "meta/");
}

static uint64_t generation(void)
{
    struct bk_error err = { 0 };
    uint64_t n;
    OK(collection_generation(bed.repo, &n, &err));
    return n;
}

/* How many packs the collector's word dooms. */
static size_t n_doomed(void)
{
    struct bk_error err = { 0 };
    bk_auto(collection_clear) struct collection c = { 0 };
    size_t n = 0;
    OK(collection_read(bed.repo, &c, &err));
    for (size_t i = 0; i < c.list.count; i++)
        n += collection_shuns(&c, c.list.v[i].kind, &c.list.v[i].name);
    return n;
}

static void locked_packs_stay_and_go_when_their_time_is_over(void **state)
{
    (void)state;
    set_up(30 * DAY);
    put_file("a", bytes_a, sizeof bytes_a);
    put_file("b", bytes_b, sizeof bytes_b);
    struct snapshot first = bed_run(&bed);
    unlink(at("b"));
    struct snapshot second = bed_run(&bed);
    size_t before = n_packs();
    forget(&first);
    struct prune_report rep =
        collect(); /* what is needed of the packs is written anew, and the old ones stay */
    assert_int_equal(rep.n_deleted, 0);
    assert_true(rep.n_locked > 0);
    assert_true(rep.locked_bytes > sizeof bytes_b);
    assert_true(n_packs() > before);
    size_t stuck = n_doomed();
    assert_true(stuck > 0 && stuck < rep.n_locked); /* an index segment, too */
    is_sound();

    /* once more: nothing is new, so nothing is published or written */
    uint64_t g = generation();
    size_t segments = count_objects(bed.mem, "index/"), packs = n_packs();
    struct prune_report again = collect();
    assert_int_equal(again.n_locked, rep.n_locked);
    assert_int_equal(again.n_segments_put, 0);
    assert_int_equal(generation(), g);
    assert_int_equal(count_objects(bed.mem, "index/"), segments);
    assert_int_equal(n_packs(), packs);

    locks.now_ns += 31 * DAY;
    again = collect();
    assert_int_equal(again.n_deleted, stuck);
    assert_int_equal(again.n_locked, 0);
    assert_int_equal(n_packs(), packs - stuck);
    assert_true(count_objects(bed.mem, "index/") < segments);
    is_sound();
    struct view v = view_open(&bed, &second);
    view_file_is(&v, "a", bytes_a, sizeof bytes_a);
    view_close(&v);
    snapshot_clear(&first);
    snapshot_clear(&second);
    tear_down();
}

/* The bytes are there, and a collector that sleeps may delete them any day. */
static void nobody_relies_on_a_locked_pack_that_is_given_up(void **state)
{
    (void)state;
    set_up(30 * DAY);
    put_file("a", bytes_a, sizeof bytes_a);
    struct snapshot first = bed_run(&bed);
    unlink(at("a"));
    put_file("c", bytes_c, sizeof bytes_c);
    struct snapshot second = bed_run(&bed);
    forget(&first);
    collect();
    size_t stuck = n_doomed();
    assert_true(stuck > 0);
    put_file("a", bytes_a, sizeof bytes_a);
    struct backup_result third = bed_try(&bed, 0);
    assert_true(third.snap.new_bytes >= sizeof bytes_a);
    forget(&second); /* a new list, which names the stuck ones again */
    uint64_t g = generation();
    unlink(at("c"));
    struct snapshot fourth = bed_run(&bed);
    forget(&third.snap);
    collect();
    assert_true(generation() > g);
    assert_true(n_doomed() > stuck);
    is_sound();
    locks.now_ns += 31 * DAY;
    collect();
    is_sound();
    struct view v = view_open(&bed, &fourth);
    view_file_is(&v, "a", bytes_a, sizeof bytes_a);
    view_close(&v);
    snapshot_clear(&first);
    snapshot_clear(&second);
    snapshot_clear(&third.snap);
    snapshot_clear(&fourth);
    tear_down();
}

static void everything_can_be_locked_and_go_later(void **state)
{
    (void)state;
    set_up(30 * DAY);
    put_file("a", bytes_a, sizeof bytes_a);
    struct snapshot s = bed_run(&bed);
    forget(&s);
    size_t packs = n_packs(), segments = count_objects(bed.mem, "index/");
    for (int i = 0; i < 3; i++) {
        struct prune_report rep = collect();
        assert_int_equal(rep.n_locked, packs + segments);
        assert_int_equal(count_objects(bed.mem, "index/"), segments);
        is_sound();
    }
    locks.now_ns += 31 * DAY;
    collect();
    assert_int_equal(n_packs(), 0);
    assert_int_equal(count_objects(bed.mem, "index/"), 0);
    is_sound();
    snapshot_clear(&s);
    tear_down();
}

/* Packs are given up day after day while those of earlier days are still locked. */
static void lists_name_what_is_stuck_until_it_is_gone(void **state)
{
    (void)state;
    enum { DAYS = 24, KEPT = 3, LOCK = 7 };
    struct snapshot s[DAYS];
    set_up(LOCK * DAY);
    put_file("a", bytes_a, sizeof bytes_a);
    for (size_t i = 0; i < DAYS; i++) {
        noise(bytes_c, sizeof bytes_c, 100 + i);
        put_file("c", bytes_c, sizeof bytes_c);
        s[i] = bed_run(&bed);
        if (i >= KEPT) {
            forget(&s[i - KEPT]);
            struct prune_report rep = collect();
            assert_true(rep.n_locked > 0);
        }
        is_sound();
        locks.now_ns += DAY;
    }
    assert_true(count_objects(bed.mem, "index/") < 6 * LOCK); /* and not one more with each run */
    locks.now_ns += LOCK * DAY;
    struct prune_report rep = collect();
    assert_int_equal(rep.n_locked, 0);
    is_sound();
    collect();
    assert_true(count_objects(bed.mem, "index/") <= 4);
    struct view v = view_open(&bed, &s[DAYS - 1]);
    view_file_is(&v, "a", bytes_a, sizeof bytes_a);
    view_file_is(&v, "c", bytes_c, sizeof bytes_c);
    view_close(&v);
    for (size_t i = 0; i < DAYS; i++)
        snapshot_clear(&s[i]);
    tear_down();
}

/* Of processes that are gone. */
static void end_sessions(void)
{
    struct bk_error err = { 0 };
    bk_auto(names_clear) struct names l = { 0 };
    OK(names_list(bed.mem, "sessions/", 100, &l, &err));
    for (size_t i = 0; i < l.n; i++)
        OK(store_remove(bed.mem, l.v[i].name, &err));
}

/* Whatever call of a collection fails, what was given up goes in the end, and nothing else. */
static void a_collection_that_fails_anywhere_is_made_good(void **state)
{
    (void)state;
    enum { STEP = 3 }; /* all of them take 20 s */
    bool fired = true;
    uint64_t opening = 1000; /* calls */
    unsigned nth;
    for (nth = 0; fired || nth < 2 * STEP; nth += STEP) {
        struct bk_error err = { 0 };
        struct prune_report rep = { 0 };
        struct job j = { .n_threads = 1 };
        struct prune_opts o = { .max_unused_percent = 0.1, .poll_ms = 1, .timeout_s = 600 };
        struct store *faulty = NULL;
        struct repo *r = NULL;
        set_up(30 * DAY);
        put_file("a", bytes_a, sizeof bytes_a);
        put_file("b", bytes_b, sizeof bytes_b);
        struct snapshot first = bed_run(&bed);
        unlink(at("b"));
        struct snapshot second = bed_run(&bed);
        forget(&first);
        collect();
        put_file("c", bytes_c, sizeof bytes_c);
        struct snapshot third = bed_run(&bed);
        unlink(at("c"));
        struct snapshot fourth = bed_run(&bed);
        forget(&third);

        OK(store_fault_new(locking_new(bed.mem), nth / STEP % 2 ? FAULT_CUT : FAULT_ERROR, opening + nth,
                           &faulty, &err));
        OK(repo_open_adopt_store(faulty, &key_file, &world, &r, &err));
        opening = store_fault_calls(faulty); /* known from the second round on */
        OK(job_init(&j, &err));
        (void)!prune_run(r, &j, &o, &rep, &err);
        fired = store_fault_fired(faulty);
        repo_free(r);
        job_clear(&j);
        end_sessions();

        collect();
        is_sound();
        struct snapshot fifth = bed_run(&bed);
        locks.now_ns += 31 * DAY;
        assert_int_equal(collect().n_locked, 0);
        assert_int_equal(collect().n_deleted, 0);
        is_sound();
        struct view v = view_open(&bed, &fifth);
        view_file_is(&v, "a", bytes_a, sizeof bytes_a);
        view_close(&v);
        snapshot_clear(&first);
        snapshot_clear(&second);
        snapshot_clear(&third);
        snapshot_clear(&fourth);
        snapshot_clear(&fifth);
        tear_down();
    }
    print_message("%u of %u calls failed, one at a time\n", nth / STEP - 2, nth - 2 * STEP);
}

static void forget_goes_on_past_a_locked_snapshot(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct job j = { .n_threads = 1 };
    struct forget_report rep = { 0 };
    bk_auto(forget_plan_clear) struct forget_plan p = { 0 };
    char path[REPO_PATH], *names[2];
    char id[2][REPO_PATH];
    set_up(0);
    put_file("a", bytes_a, sizeof bytes_a);
    struct snapshot s[2] = { bed_run(&bed), bed_run(&bed) };
    for (int i = 0; i < 2; i++) {
        repo_id_path("snapshots/", s[i].id, SESSION_ID, path);
        snprintf(id[i], sizeof id[i], "%s", path + strlen("snapshots/"));
        names[i] = id[i];
        if (i == 0)
            locks_set(path, locks.now_ns + DAY);
    }
    OK(job_init(&j, &err));
    OK(forget_by_names(bed.repo, &(struct retention_input){ 0 }, names, 2, NULL, NULL, &p, &err));
    OK(forget_carry_out(bed.repo, &j, &p, NULL, NULL, &rep, &err));
    assert_int_equal(rep.n_removed, 1);
    assert_int_equal(rep.n_locked, 1);
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 1);
    locks.now_ns += 2 * DAY;
    rep = (struct forget_report){ 0 };
    OK(forget_carry_out(bed.repo, &j, &p, NULL, NULL, &rep, &err));
    assert_int_equal(rep.n_locked, 0);
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 0);
    job_clear(&j);
    snapshot_clear(&s[0]);
    snapshot_clear(&s[1]);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked_packs_stay_and_go_when_their_time_is_over),
        cmocka_unit_test(nobody_relies_on_a_locked_pack_that_is_given_up),
        cmocka_unit_test(everything_can_be_locked_and_go_later),
        cmocka_unit_test(lists_name_what_is_stuck_until_it_is_gone),
        cmocka_unit_test(a_collection_that_fails_anywhere_is_made_good),
        cmocka_unit_test(forget_goes_on_past_a_locked_snapshot),
    };
    return cmocka_run_group_tests(tests, place_make, place_remove);
}
