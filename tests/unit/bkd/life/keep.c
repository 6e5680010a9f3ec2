/* Object lock: what a snapshot needs is locked before it is committed, old packs too. */
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/bkd/backup/backup_fixture.h"

#include "bkd/copy/copy.h"
#include "bkd/life/keep.h"
#include "bkd/life/lock.h"
#include "bkd/life/prune.h"
#include "tests/unit/bkd/life/locks.h"

#define DAY (INT64_C(86400) * 1000000000)
#define TODAY (INT64_C(20800) * DAY)
enum { MINIMUM_DAYS = 32 };

static struct world world;
static struct bed bed;
static uint8_t bytes_a[400000], bytes_b[300000];

static void no_cache(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", getenv("XDG_CACHE_HOME"));
    assert_int_equal(system(command), 0);
}

static void set_up(bool minimum)
{
    struct bk_error err = { 0 };
    bed = bed_new();
    repo_free(bed.repo);
    bed.paths[0] = strdup(at("source"));
    assert_int_equal(mkdir(bed.paths[0], 0700), 0);
    setenv("XDG_CACHE_HOME", at("cache"), 1);
    locks.n = locks.n_retains = 0;
    locks.now_ns = TODAY;
    locks.put_lock_ns = locks.ahead_ns = 0;
    locks.refuses = false;
    world = world_real;
    world.now_ns = locks_now;
    OK(repo_open_adopt_store(locking_new(bed.mem), &key_file, &world, &bed.repo, &err));
    if (minimum)
        OK(lock_set(bed.repo, MINIMUM_DAYS * 86400, "test", &err));
    noise(bytes_a, sizeof bytes_a, 1);
    noise(bytes_b, sizeof bytes_b, 2);
    put_file("source/a", bytes_a, sizeof bytes_a);
}

static void tear_down(void)
{
    char command[128];
    no_cache();
    snprintf(command, sizeof command, "rm -rf '%s'", bed.paths[0]);
    assert_int_equal(system(command), 0);
    free((char *)bed.paths[0]);
    bed_free(&bed);
}

static int see_lock(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size;
    (void)err;
    if (strncmp(name, "sessions/", 9) == 0)
        return 0;
    int64_t until = locks_until(name);
    if (!until)
        print_message("%s is not locked\n", name);
    if (until < *(int64_t *)ctx)
        *(int64_t *)ctx = until;
    return 0;
}

/* The shortest lock of all that is there, from the store's time on. */
static int64_t shortest(void)
{
    struct bk_error err = { 0 };
    int64_t least = INT64_MAX;
    OK(store_list(bed.mem, "", see_lock, &least, &err));
    return least - locks.now_ns - locks.ahead_ns;
}

static void deadlines_are_rounded_up(void **state)
{
    (void)state;
    const uint64_t minimums[] = { 1, 3, 60, 86400, 30 * 86400, MINIMUM_SECONDS_MAX };
    for (size_t i = 0; i < BK_COUNT(minimums); i++) {
        int64_t m = (int64_t)minimums[i] * 1000000000;
        for (int64_t now = TODAY; now < TODAY + 40 * DAY; now += DAY / 7 + 1234567) {
            int64_t d = keep_deadline(now, minimums[i]);
            assert_true(d >= now + m + m / 16 - m / 16 % 1000000000);
            assert_true(d <= now + m + m / 16 + m / 4 + INT64_C(3000000000));
        }
    }
}

static void nothing_is_locked_without_a_minimum(void **state)
{
    (void)state;
    set_up(false);
    struct snapshot s = bed_run(&bed);
    assert_int_equal(locks.n_retains, 0);
    snapshot_clear(&s);
    tear_down();
}

static void all_of_a_snapshot_is_locked_at_its_commit(void **state)
{
    (void)state;
    set_up(true);
    struct snapshot s = bed_run(&bed);
    assert_true(shortest() >= MINIMUM_DAYS * DAY);
    snapshot_clear(&s);
    tear_down();
}

static void old_packs_that_are_used_again_are_locked_again(void **state)
{
    (void)state;
    set_up(true);
    struct snapshot first = bed_run(&bed);
    locks.now_ns += 20 * DAY;
    struct snapshot second = bed_run(&bed); /* stores nothing */
    assert_true(second.new_bytes < sizeof bytes_a / 10);
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 2);
    char path[REPO_PATH];
    repo_id_path("snapshots/", first.id, SESSION_ID, path);
    struct bk_error err = { 0 };
    OK(store_remove(bed.mem, path, &err)); /* its record is not locked again */
    assert_true(shortest() >= MINIMUM_DAYS * DAY);
    snapshot_clear(&first);
    snapshot_clear(&second);
    tear_down();
}

static void most_runs_find_everything_locked(void **state)
{
    (void)state;
    unsigned asked[16];
    set_up(true);
    for (size_t i = 0; i < BK_COUNT(asked); i++) {
        noise(bytes_b, sizeof bytes_b, 100 + i);
        put_file("source/b", bytes_b, sizeof bytes_b);
        locks.n_retains = 0;
        struct snapshot s = bed_run(&bed);
        asked[i] = locks.n_retains;
        snapshot_clear(&s);
        locks.now_ns += DAY;
    }
    unsigned all = 0;
    for (size_t i = 1; i < BK_COUNT(asked); i++)
        all += asked[i] > 10;
    assert_in_range(all, 1, 2); /* a quarter of the minimum is 8 days */
    locks.n_retains = 0;
    no_cache();
    struct snapshot s = bed_run(&bed);
    assert_true(locks.n_retains > 30); /* a lost memory costs calls */
    assert_int_equal(count_objects(bed.mem, "snapshots/"), BK_COUNT(asked) + 1);
    snapshot_clear(&s);
    bed.common.forgetful = true;
    locks.n_retains = 0;
    s = bed_run(&bed);
    assert_true(locks.n_retains > 30);
    snapshot_clear(&s);
    tear_down();
}

static void a_garbled_memory_costs_calls_only(void **state)
{
    (void)state;
    char command[256];
    set_up(true);
    struct snapshot s = bed_run(&bed);
    snapshot_clear(&s);
    snprintf(command, sizeof command,
             "for f in '%s'/bkctl/*.locks; do head -c 150 /dev/urandom | dd of=$f bs=1 seek=40 conv=notrunc "
             "2>/dev/null; done",
             getenv("XDG_CACHE_HOME"));
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < locks.n; i++)
        locks.v[i].until_ns = 0;
    snprintf(command, sizeof command, "sed -i '2,$d' '%s'/bkctl/*.locks", getenv("XDG_CACHE_HOME"));
    assert_int_equal(system(command), 0);
    bed.common.level = LEVEL_FULL;
    s = bed_run(&bed);
    char path[REPO_PATH];
    repo_id_path("snapshots/", s.id, SESSION_ID, path);
    assert_true(locks_until(path) >= locks.now_ns + MINIMUM_DAYS * DAY);
    snapshot_clear(&s);
    tear_down();
}

static void without_locks_there_is_no_snapshot(void **state)
{
    (void)state;
    set_up(true);
    struct snapshot first = bed_run(&bed);
    locks.now_ns += 20 * DAY;
    locks.refuses = true;
    put_file("source/b", bytes_b, sizeof bytes_b);
    bed_try(&bed, BK_E_PERM);
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 1);
    assert_int_equal(count_objects(bed.mem, "sessions/"), 0);
    locks.refuses = false;
    struct snapshot second = bed_run(&bed); /* what was stored is found again */
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 2);
    snapshot_clear(&first);
    snapshot_clear(&second);
    tear_down();
}

static void the_time_is_the_stores(void **state)
{
    (void)state;
    const int64_t ahead[] = { -300 * DAY, 300 * DAY };
    for (size_t i = 0; i < BK_COUNT(ahead); i++) {
        set_up(true);
        locks.ahead_ns = ahead[i];
        struct snapshot s = bed_run(&bed);
        assert_true(shortest() >= MINIMUM_DAYS * DAY);
        assert_true(shortest() <= MINIMUM_DAYS * DAY * 3 / 2);
        snapshot_clear(&s);
        tear_down();
    }
}

static void what_is_given_up_is_not_locked_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep = { 0 };
    struct job j = { .n_threads = 1 };
    struct prune_opts o = { .max_unused_percent = 0.1, .poll_ms = 1, .timeout_s = 600 };
    char path[REPO_PATH];
    set_up(true);
    put_file("source/b", bytes_b, sizeof bytes_b);
    struct snapshot first = bed_run(&bed);
    unlink(at("source/b"));
    struct snapshot second = bed_run(&bed);
    repo_id_path("snapshots/", first.id, SESSION_ID, path);
    OK(store_remove(bed.mem, path, &err));
    OK(job_init(&j, &err));
    OK(prune_run(bed.repo, &j, &o, &rep, &err));
    assert_true(rep.n_locked > 0);
    for (int i = 0; i < 3; i++) {
        locks.now_ns += 15 * DAY;
        struct snapshot s = bed_run(&bed);
        snapshot_clear(&s);
    }
    OK(prune_run(bed.repo, &j, &o, &rep, &err));
    assert_int_equal(rep.locked_bytes, 0);
    assert_true(rep.n_deleted > 0);
    job_clear(&j);
    snapshot_clear(&first);
    snapshot_clear(&second);
    tear_down();
}

static void copies_are_locked_where_they_go(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct job j = { .n_threads = 1 };
    struct copy_result res = { 0 };
    set_up(true);
    struct bed from = bed_new();
    from.paths[0] = bed.paths[0];
    struct snapshot s = bed_run(&from);
    bk_auto(copy_free) struct copy *c = NULL;
    OK(job_init(&j, &err));
    OK(copy_open(from.repo, bed.repo, &j, &(struct copy_opts){ .zstd_level = 1 }, &c, &err));
    locks.refuses = true;
    assert_int_equal(copy_one(c, &copy_source(c)->v[0], &res, &err), BK_E_PERM);
    assert_int_equal(count_objects(bed.mem, "snapshots/"), 0);
    locks.refuses = false;
    OK(copy_one(c, &copy_source(c)->v[0], &res, &err));
    assert_true(shortest() >= MINIMUM_DAYS * DAY);
    copy_free(bk_steal(c));
    job_clear(&j);
    snapshot_clear(&s);
    bed_free(&from);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_rounded_up),
        cmocka_unit_test(nothing_is_locked_without_a_minimum),
        cmocka_unit_test(all_of_a_snapshot_is_locked_at_its_commit),
        cmocka_unit_test(old_packs_that_are_used_again_are_locked_again),
        cmocka_unit_test(most_runs_find_everything_locked),
        cmocka_unit_test(a_garbled_memory_costs_calls_only),
        cmocka_unit_test(without_locks_there_is_no_snapshot),
        cmocka_unit_test(the_time_is_the_stores),
        cmocka_unit_test(what_is_given_up_is_not_locked_again),
        cmocka_unit_test(copies_are_locked_where_they_go),
    };
    return cmocka_run_group_tests(tests, place_make, place_remove);
}
