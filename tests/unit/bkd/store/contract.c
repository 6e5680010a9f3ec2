/* The contract of struct store_ops, put to any store.
 *
 *     contract          on a memory store and on a directory store
 *     contract URL...   on each of these: empty places, made when they are not there; left empty again
 *
 * CONTRACT_MANY: how many objects the big listing has (default 1200, more than any page of a listing). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdatomic.h>
#include <cmocka.h>
#include <pthread.h>

#include "bkd/store/mem.h"

static struct store *store;

enum { PLAIN_MOST = 64 << 20 };

/* Bytes that depend on their place and a seed. */
static uint8_t *pattern(size_t len, uint64_t seed)
{
    uint8_t *p = malloc(len ? len : 1);
    assert_non_null(p);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        p[i] = (uint8_t)(x >> 8 * (i % 8));
    }
    return p;
}

static void ok(int r, const struct bk_error *err)
{
    if (r != 0)
        fail_msg("%s: %s", bk_code_name(r), err->text);
}

static void put(const char *name, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    ok(store_put(store, name, data, len, &err), &err);
}

static void drop(const char *name)
{
    struct bk_error err = { 0 };
    ok(store_remove(store, name, &err), &err);
}

static size_t get(const char *name, uint64_t offset, void *out, size_t len)
{
    struct bk_error err = { 0 };
    size_t got = SIZE_MAX;
    ok(store->ops->get(store, name, offset, out, len, &got, &err), &err);
    return got;
}

static uint64_t size_of(const char *name)
{
    struct bk_error err = { 0 };
    uint64_t size = UINT64_MAX;
    ok(store_stat(store, name, &size, &err), &err);
    return size;
}

static void absent(const char *name)
{
    struct bk_error err = { 0 };
    uint8_t byte;
    size_t got = 77;
    uint64_t size = 77;
    assert_int_equal(store->ops->get(store, name, 0, &byte, 1, &got, &err), BK_E_ABSENT);
    assert_int_equal(store->ops->get(store, name, 0, &byte, 0, &got, &err), BK_E_ABSENT);
    assert_int_equal(store_stat(store, name, &size, &err), BK_E_ABSENT);
    assert_int_equal(got, 77);
    assert_int_equal(size, 77);
}

static void bytes_come_back_whole_and_in_ranges(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8193, (1 << 20) + 3, 16 << 20 };
    for (size_t i = 0; i < BK_COUNT(sizes); i++) {
        size_t n = sizes[i];
        bk_auto(free) uint8_t *want = pattern(n, i);
        bk_auto(free) uint8_t *out = malloc(n + 16);
        assert_non_null(out);
        put("data/3f/object", want, n);
        assert_int_equal(size_of("data/3f/object"), n);
        assert_int_equal(get("data/3f/object", 0, out, n), n);
        assert_memory_equal(out, want, n);
        /* longer than the object: short; nothing behind what was read is touched */
        memset(out, 0xa5, n + 16);
        assert_int_equal(get("data/3f/object", 0, out, n + 9), n);
        assert_memory_equal(out, want, n);
        for (size_t k = n; k < n + 16; k++)
            assert_int_equal(out[k], 0xa5);
        assert_int_equal(get("data/3f/object", n, out, 16), 0);
        assert_int_equal(get("data/3f/object", n + 100, out, 16), 0);
        assert_int_equal(get("data/3f/object", 0, out, 0), 0);
        for (size_t k = 1; k < 5 && n > 10; k++) {
            uint64_t at = n / 5 * k;
            size_t len = n - at < 5000 ? (size_t)(n - at) : 5000;
            assert_int_equal(get("data/3f/object", at, out, len), len);
            assert_memory_equal(out, want + at, len);
        }
        drop("data/3f/object");
        absent("data/3f/object");
    }
}

static void the_largest_object_is_put_and_a_larger_one_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bool bounded = store->max_object_bytes <= 2 * (uint64_t)PLAIN_MOST;
    size_t n = bounded ? (size_t)store->max_object_bytes : PLAIN_MOST;
    bk_auto(free) uint8_t *want = pattern(n + 1, 5);
    bk_auto(free) uint8_t *out = malloc(n);
    assert_non_null(out);
    if (bounded) {
        assert_int_equal(store_put(store, "data/large", want, n + 1, &err), BK_E_LIMIT);
        absent("data/large");
    }
    put("data/large", want, n);
    assert_int_equal(get("data/large", 0, out, n), n);
    assert_memory_equal(out, want, n);
    drop("data/large");
}

static void a_name_that_is_taken_keeps_its_object(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 3, 100000 };
    for (size_t i = 0; i < BK_COUNT(sizes); i++) {
        struct bk_error err = { 0 };
        uint8_t out[8];
        bk_auto(free) uint8_t *other = pattern(sizes[i], 9);
        put("config", "first", 5);
        assert_int_equal(store_put(store, "config", other, sizes[i], &err), BK_E_EXISTS);
        assert_int_equal(store_put(store, "config", "first", 5, &err), BK_E_EXISTS);
        assert_int_equal(get("config", 0, out, sizeof out), 5);
        assert_memory_equal(out, "first", 5);
        drop("config");
        drop("config"); /* once more is as good */
        absent("config");
    }
    put("config", "second", 6); /* a name that was removed is free again */
    assert_int_equal(size_of("config"), 6);
    drop("config");
}

enum { RACERS = 8, ROUNDS = 12, RACE_BYTES = 70000 };
struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    unsigned number;
    int result[ROUNDS];
};

static void race_name(unsigned round, char out[static 32])
{
    snprintf(out, 32, "sessions/race-%u", round);
}

static void *race(void *arg)
{
    struct racer *r = arg;
    uint8_t *mine = pattern(RACE_BYTES, r->number + 100);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct bk_error err = { 0 };
        char name[32];
        race_name(i, name);
        pthread_barrier_wait(r->start);
        r->result[i] = store_put(store, name, mine, RACE_BYTES, &err);
    }
    free(mine);
    return NULL;
}

static void of_racing_puts_exactly_one_succeeds(void **state)
{
    (void)state;
    pthread_barrier_t start;
    struct racer r[RACERS];
    pthread_barrier_init(&start, NULL, RACERS);
    for (unsigned i = 0; i < RACERS; i++) {
        r[i] = (struct racer){ .start = &start, .number = i };
        assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++)
        pthread_join(r[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (unsigned k = 0; k < ROUNDS; k++) {
        unsigned winners = 0, winner = 0;
        for (unsigned i = 0; i < RACERS; i++) {
            assert_true(r[i].result[k] == 0 || r[i].result[k] == BK_E_EXISTS);
            winner = r[i].result[k] == 0 ? i : winner;
            winners += r[i].result[k] == 0;
        }
        assert_int_equal(winners, 1);
        char name[32];
        race_name(k, name);
        bk_auto(free) uint8_t *want = pattern(RACE_BYTES, winner + 100);
        bk_auto(free) uint8_t *out = malloc(RACE_BYTES);
        assert_int_equal(get(name, 0, out, RACE_BYTES), RACE_BYTES);
        assert_memory_equal(out, want, RACE_BYTES);
        drop(name);
    }
}

/* What a listing told, under names of the form PREFIX<number>. */
struct told {
    unsigned n;
    uint64_t bytes;
    char last[STORE_NAME_MAX + 1];
    int stop_after;
};

static int tell(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)err;
    struct told *t = ctx;
    t->n++;
    t->bytes += size;
    snprintf(t->last, sizeof t->last, "%s", name);
    return t->stop_after && t->n == (unsigned)t->stop_after ? 42 : 0;
}

static struct told list(const char *prefix)
{
    struct bk_error err = { 0 };
    struct told t = { 0 };
    ok(store_list(store, prefix, tell, &t, &err), &err);
    return t;
}

static void a_listing_tells_what_starts_with_its_prefix(void **state)
{
    (void)state;
    static const char *const names[] = { "a",         "ab",      "ab.c/d",     "ab.c/de",       "abc",
                                         "data/00/x", "data/01", "data/0/y/z", "data/00/x.y_-", "datb" };
    for (size_t i = 0; i < BK_COUNT(names); i++)
        if (strcmp(names[i], "abc") != 0) {
            put(names[i], "0123456789abcdef", i);
        }
    put("abc", "0123456789abcdef", 4);
    static const char *const prefixes[] = { "",        "a",          "ab",         "abc",        "abcd",
                                            "ab.c/",   "ab.c/d",     "data",       "data/",      "data/0",
                                            "data/00", "data/00/",   "data/00/x",  "data/00/x.", "data/2",
                                            "e",       "data/0/y/z", "data/0/y/z/" };
    for (size_t p = 0; p < BK_COUNT(prefixes); p++) {
        unsigned n = 0;
        uint64_t bytes = 0;
        for (size_t i = 0; i < BK_COUNT(names); i++)
            if (strncmp(names[i], prefixes[p], strlen(prefixes[p])) == 0) {
                n++;
                bytes += i;
            }
        struct told t = list(prefixes[p]);
        assert_int_equal(t.n, n);
        assert_int_equal(t.bytes, bytes);
    }
    assert_string_equal(list("data/01").last, "data/01");
    struct bk_error err = { 0 };
    struct told two = { .stop_after = 2 };
    assert_int_equal(store_list(store, "", tell, &two, &err), 42);
    assert_int_equal(two.n, 2);
    for (size_t i = 0; i < BK_COUNT(names); i++) {
        drop(names[i]);
        assert_int_equal(list("").n, BK_COUNT(names) - 1 - i);
    }
}

static atomic_uint next_number;

static unsigned many(void)
{
    const char *s = getenv("CONTRACT_MANY");
    return s ? (unsigned)atoi(s) : 1200;
}

static void *put_many(void *arg)
{
    const bool *away = arg;
    for (unsigned i; (i = atomic_fetch_add(&next_number, 1)) < many();) {
        char name[64];
        snprintf(name, sizeof name, "meta/%02x/%08x", i % 7, i);
        if (*away)
            drop(name);
        else
            put(name, name, i % 50);
    }
    return NULL;
}

static void with_threads(bool away)
{
    pthread_t t[RACERS];
    atomic_store(&next_number, 0);
    for (unsigned i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, put_many, &away), 0);
    for (unsigned i = 0; i < RACERS; i++)
        pthread_join(t[i], NULL);
}

static void a_long_listing_is_complete_at_once(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    unsigned third = 0;
    with_threads(false);
    for (unsigned i = 0; i < many(); i++) {
        bytes += i % 50;
        third += i % 7 == 3;
    }
    struct told t = list("meta/");
    assert_int_equal(t.n, many());
    assert_int_equal(t.bytes, bytes);
    assert_int_equal(list("meta/03/").n, third);
    with_threads(true);
    assert_int_equal(list("").n, 0);
}

static void every_valid_name_can_be_used(void **state)
{
    (void)state;
    char longest[STORE_NAME_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = 0;
    memcpy(longest, "data/0/", 7);
    struct bk_error err = { 0 };
    assert_int_equal(store_put(store, longest, "x", 1, &err), BK_E_USAGE);
    absent(longest);
    longest[STORE_NAME_MAX] = 0;
    const char *const names[] = { longest, "a_b-c.d/0123456789/z..y", "abcdefghijklmnopqrstuvwxyz" };
    for (size_t i = 0; i < BK_COUNT(names); i++) {
        put(names[i], names[i], strlen(names[i]));
        assert_string_equal(list("").last, names[i]);
        assert_int_equal(size_of(names[i]), strlen(names[i]));
        drop(names[i]);
    }
    static const char *const bad[] = { "",  "/a",  "a/",   "a//b",     "../a", "a/../b", "./a",
                                       "A", "a b", "a%2f", "\xc3\xa4", "a\n",  "a?b" };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        assert_int_equal(store_put(store, bad[i], "x", 1, &err), BK_E_USAGE);
        absent(bad[i]);
    }
    assert_int_equal(list("").n, 0);
}

static void names_that_were_never_there_are_absent(void **state)
{
    (void)state;
    absent("nothing");
    absent("nothing/below/it");
    drop("nothing");
    drop("nothing/below/it");
    put("file", "x", 1);
    absent("fil");
    absent("file2");
    drop("file");
}

static int on(const char *what, struct store *s)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_were_never_there_are_absent),
        cmocka_unit_test(bytes_come_back_whole_and_in_ranges),
        cmocka_unit_test(the_largest_object_is_put_and_a_larger_one_refused),
        cmocka_unit_test(a_name_that_is_taken_keeps_its_object),
        cmocka_unit_test(of_racing_puts_exactly_one_succeeds),
        cmocka_unit_test(a_listing_tells_what_starts_with_its_prefix),
        cmocka_unit_test(a_long_listing_is_complete_at_once),
        cmocka_unit_test(every_valid_name_can_be_used),
    };
    store = s;
    int failed = s->parallel > 0 ? cmocka_run_group_tests_name(what, tests, NULL, NULL) : 1;
    store_free(s);
    return failed;
}

static int on_url(const char *url)
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    if (store_open(url, true, &world_real, &s, &err) < 0) {
        fprintf(stderr, "%s: %s (%s)\n", url, err.text, err.hint);
        return 1;
    }
    return on(url, s);
}

static int on_both(void)
{
    char place[] = "/tmp/bk-contract-XXXXXX", command[64];
    struct store *mem = NULL;
    if (store_mem_new(&mem, NULL) < 0 || !mkdtemp(place))
        return 1;
    int failed = on("mem", mem) + on_url(place);
    snprintf(command, sizeof command, "rm -rf %s", place);
    return system(command) ? 1 : failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2 ? on_both() : 0;
    for (int i = 1; i < argc; i++)
        failed += on_url(argv[i]);
    return failed != 0;
}
