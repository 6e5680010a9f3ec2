/* Stores that sit on others: retry, throttle, cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <dirent.h>
#include <fcntl.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "bkd/store/cache.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "bkd/store/retry.h"
#include "bkd/store/throttle.h"

static char place[] = "/tmp/bk-stacking-XXXXXX";

static int make_place(void **state)
{
    (void)state;
    return mkdtemp(place) ? 0 : -1;
}
static int remove_place(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", place);
    return system(command);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const struct backoff_opts quick = { .first_ms = 2, .most_ms = 8, .bound_ms = 200 };

static struct store *retry_over(enum store_fault_kind kind, uint64_t nth)
{
    struct bk_error err = { 0 };
    struct store *mem, *fault, *s;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    assert_int_equal(store_fault_new(mem, kind, nth, &fault, &err), 0);
    assert_int_equal(store_retry_new(fault, &quick, &world_real, &s, &err), 0);
    return s;
}

static int count_names(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name, (void)size, (void)err;
    ++*(unsigned *)ctx;
    return 0;
}

/* The same calls whatever goes wrong once, with the same result. */
static void one_failure_anywhere_is_not_seen(void **state)
{
    (void)state;
    static const enum store_fault_kind kinds[] = { FAULT_ERROR, FAULT_LOST_ACK };
    for (size_t k = 0; k < BK_COUNT(kinds); k++) {
        for (uint64_t nth = 0; nth < 12; nth++) {
            struct bk_error err = { 0 };
            bk_auto(store_free) struct store *s = retry_over(kinds[k], nth);
            char b[4] = "";
            unsigned n = 0;
            uint64_t size = 0;
            assert_int_equal(store_put(s, "a", "one", 3, &err), 0);
            assert_int_equal(store_put(s, "b", "", 0, &err), 0);
            assert_int_equal(store_put(s, "a", "two", 3, &err), BK_E_EXISTS);
            assert_int_equal(store_get_exact(s, "a", 0, b, 3, &err), 0);
            assert_string_equal(b, "one");
            assert_int_equal(store_stat(s, "a", &size, &err), 0);
            assert_int_equal(size, 3);
            assert_int_equal(store_list(s, "", count_names, &n, &err), 0);
            assert_int_equal(n, 2);
            assert_int_equal(store_remove(s, "a", &err), 0);
            assert_int_equal(store_stat(s, "a", &size, &err), BK_E_ABSENT);
        }
    }
}

static void what_stays_broken_ends_within_the_bound(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = retry_over(FAULT_CUT, 1);
    double start = now_s();
    assert_int_equal(store_put(s, "a", "one", 3, &err), BK_E_IO);
    assert_true(now_s() - start < 2);
    assert_non_null(strstr(err.text, "given up after"));
}

static void lack_of_space_is_not_tried_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = retry_over(FAULT_NOSPACE, 1);
    double start = now_s();
    assert_int_equal(store_put(s, "a", "one", 3, &err), BK_E_NOSPACE);
    assert_true(now_s() - start < 0.1);
}

static void an_unsure_put_is_settled_by_the_bytes_that_stand_there(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = retry_over(FAULT_ERROR, 0);
    assert_int_equal(store_put(s, "a", "one", 3, &err), 0);
    assert_int_equal(retry_settle_put(s, "a", "one", 3, &err), 0);
    assert_int_equal(retry_settle_put(s, "a", "two", 3, &err), BK_E_EXISTS);
    assert_int_equal(retry_settle_put(s, "a", "on", 2, &err), BK_E_EXISTS);
    assert_int_equal(retry_settle_put(s, "a", "ones", 4, &err), BK_E_EXISTS);
    assert_int_equal(retry_settle_put(s, "b", "one", 3, &err), BK_E_ABSENT);
}

static void traffic_keeps_to_its_limits(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem;
    bk_auto(store_free) struct store *s = NULL;
    static char data[100000];
    size_t got;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    assert_int_equal(
        store_throttle_new(mem, &(struct throttle_opts){ .up = 500000, .down = 1000000 }, &s, &err), 0);
    double start = now_s();
    assert_int_equal(store_put(s, "a", data, sizeof data, &err), 0);
    double up = now_s() - start;
    assert_true(up > 0.19 && up < 2);
    start = now_s();
    assert_int_equal(s->ops->get(s, "a", 0, data, sizeof data, &got, &err), 0);
    double down = now_s() - start;
    assert_int_equal(got, sizeof data);
    assert_true(down > 0.09 && down < 2);
}

/* A store that counts what reaches it. */
struct counting {
    struct store store;
    struct store *below;
    unsigned puts, gets, stats;
    bool damage; /* gets return wrong bytes */
};
static int counting_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    ((struct counting *)s)->puts++;
    return store_put(((struct counting *)s)->below, name, data, len, err);
}
static int counting_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                        size_t *ret_len, struct bk_error *err)
{
    struct counting *c = (struct counting *)s;
    c->gets++;
    int r = c->below->ops->get(c->below, name, offset, out, len, ret_len, err);
    if (r == 0 && c->damage && *ret_len)
        ((char *)out)[0] ^= 1;
    return r;
}
static int counting_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    ((struct counting *)s)->stats++;
    return store_stat(((struct counting *)s)->below, name, ret_size, err);
}
static int counting_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                         struct bk_error *err)
{
    return store_list(((struct counting *)s)->below, prefix, fn, ctx, err);
}
static int counting_remove(struct store *s, const char *name, struct bk_error *err)
{
    return store_remove(((struct counting *)s)->below, name, err);
}
static void counting_free(struct store *s)
{
    (void)s; /* lives in the test */
}
static const struct store_ops counting_ops = { .put = counting_put,
                                               .get = counting_get,
                                               .stat = counting_stat,
                                               .list = counting_list,
                                               .remove = counting_remove,
                                               .free = counting_free };

static void counting_init(struct counting *c, struct store *below)
{
    *c = (struct counting){ .store = *below, .below = below };
    c->store.ops = &counting_ops;
    c->store.remote = true;
}

static struct store *cache_over(struct counting *c, const char *sub, uint64_t bytes)
{
    struct bk_error err = { 0 };
    struct store *s;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/%s/deep", place, sub);
    assert_int_equal(store_cache_new(&c->store, dir, bytes, &s, &err), 0);
    return s;
}

static void name_by_hash(const char *folder, const void *data, size_t len, const EVP_MD *md, char *out)
{
    uint8_t d[EVP_MAX_MD_SIZE];
    unsigned n;
    EVP_Digest(data, len, d, &n, md, NULL);
    size_t k = (size_t)sprintf(out, "%s/", folder);
    for (unsigned i = 0; i < n; i++)
        k += (size_t)sprintf(out + k, "%02x", d[i]);
}

static void metadata_is_fetched_once_and_data_every_time(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    static char bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    char meta[128], sm3[128];
    name_by_hash("meta/aa", bytes, sizeof bytes, EVP_sha256(), meta);
    name_by_hash("index", bytes, sizeof bytes, EVP_sm3(), sm3);
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    static const char *const others[] = { "snapshots/1", "keys/2" };
    assert_int_equal(store_put(mem, meta, bytes, sizeof bytes, &err), 0);
    assert_int_equal(store_put(mem, sm3, bytes, sizeof bytes, &err), 0);
    assert_int_equal(store_put(mem, "data/aa/1", bytes, sizeof bytes, &err), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(store_put(mem, others[i], bytes, 10, &err), 0);
    unsigned before = 0;
    for (unsigned round = 0; round < 3; round++) {
        bk_auto(store_free) struct store *s = cache_over(&c, "once", 64 << 20);
        char part[100];
        uint64_t size;
        bk_auto(close) int fd = -1;
        assert_int_equal(store_get_exact(s, meta, 200000, part, sizeof part, &err), 0);
        assert_memory_equal(part, bytes + 200000, sizeof part);
        assert_int_equal(store_get_exact(s, sm3, 0, part, sizeof part, &err), 0);
        assert_int_equal(store_get_exact(s, meta, 299999, part, 2, &err), BK_E_CORRUPT);
        assert_int_equal(store_stat(s, meta, &size, &err), 0);
        assert_int_equal(size, sizeof bytes);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(store_get_exact(s, others[i], 5, part, 5, &err), 0);
        assert_int_equal(s->ops->fd(s, meta, &fd, &err), 0);
        assert_int_equal(pread(fd, part, 100, 100), 100);
        assert_memory_equal(part, bytes + 100, 100);
        if (round == 0)
            before = c.gets;
    }
    assert_int_equal(c.gets, before);
    bk_auto(store_free) struct store *s = cache_over(&c, "once", 64 << 20);
    char part[4];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(store_get_exact(s, "data/aa/1", 0, part, 4, &err), 0);
    assert_int_equal(c.gets, before + 3);
    assert_int_equal(store_get_exact(s, "meta/aa/none", 0, part, 4, &err), BK_E_ABSENT);
}

static void what_was_put_need_not_be_fetched(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    bk_auto(store_free) struct store *s = cache_over(&c, "put", 64 << 20);
    char b[3];
    assert_int_equal(store_put(s, "snapshots/a", "abc", 3, &err), 0);
    assert_int_equal(store_get_exact(s, "snapshots/a", 0, b, 3, &err), 0);
    assert_memory_equal(b, "abc", 3);
    assert_int_equal(c.gets, 0);
    /* whoever finds the name taken is shown what the store has */
    assert_int_equal(store_put(s, "snapshots/a", "xyz", 3, &err), BK_E_EXISTS);
    assert_int_equal(store_get_exact(s, "snapshots/a", 0, b, 3, &err), 0);
    assert_memory_equal(b, "abc", 3);
    assert_int_equal(c.gets, 1);
    assert_int_equal(store_remove(s, "snapshots/a", &err), 0);
    assert_int_equal(store_get_exact(s, "snapshots/a", 0, b, 3, &err), BK_E_ABSENT);
}

static int count_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name, (void)size, (void)err;
    ++*(unsigned *)ctx;
    return 0;
}

/* A snapshot was forgotten, and its name given to a void record, by somebody with another cache. */
static void a_name_that_was_put_again_is_fetched_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    char b[8];
    size_t got;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    for (unsigned again = 0; again < 2; again++) { /* by this process, and by a later one */
        bk_auto(store_free) struct store *s = cache_over(&c, "again", 64 << 20);
        if (!again)
            assert_int_equal(store_put(s, "snapshots/a", "snapshot", 8, &err), 0);
        assert_int_equal(store_get_exact(s, "snapshots/a", 0, b, again ? 4 : 8, &err), 0);
        assert_int_equal(store_remove(mem, "snapshots/a", &err), 0);
        assert_int_equal(store_put(mem, "snapshots/a", again ? "no" : "void", again ? 2 : 4, &err), 0);
        unsigned n = 0;
        assert_int_equal(store_list(s, "snapshots/", count_one, &n, &err), 0);
        assert_int_equal(n, 1);
        assert_int_equal(s->ops->get(s, "snapshots/a", 0, b, sizeof b, &got, &err), 0);
        assert_int_equal(got, again ? 2 : 4);
        assert_memory_equal(b, again ? "no" : "void", got);
    }
}

/* Every byte of a copy flipped in turn: the right bytes come back each time. */
static void a_damaged_copy_is_fetched_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    assert_int_equal(store_put(mem, "snapshots/d", "0123456789", 10, &err), 0);
    char file[160];
    snprintf(file, sizeof file, "%s/damage/deep/snapshots+d", place);
    for (unsigned at = 0; at < 50; at++) {
        char b[11] = "", one;
        bk_auto(store_free) struct store *fill = cache_over(&c, "damage", 64 << 20);
        assert_int_equal(store_get_exact(fill, "snapshots/d", 0, b, 10, &err), 0);
        int fd = open(file, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &one, 1, at), 1);
        one ^= 0x40;
        assert_int_equal(pwrite(fd, &one, 1, at), 1);
        close(fd);
        bk_auto(store_free) struct store *s = cache_over(&c, "damage", 64 << 20);
        assert_int_equal(store_get_exact(s, "snapshots/d", 0, b, 10, &err), 0);
        assert_string_equal(b, "0123456789");
    }
}

static void bytes_that_do_not_fit_their_name_are_not_kept(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    char name[128], b[5];
    name_by_hash("index", "right", 5, EVP_sha256(), name);
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    assert_int_equal(store_put(mem, name, "right", 5, &err), 0);
    bk_auto(store_free) struct store *s = cache_over(&c, "fit", 64 << 20);
    c.damage = true;
    assert_int_equal(store_get_exact(s, name, 0, b, 5, &err), 0);
    c.damage = false;
    assert_int_equal(store_get_exact(s, name, 0, b, 5, &err), 0);
    assert_memory_equal(b, "right", 5);
}

static uint64_t bytes_in(const char *dir)
{
    char command[256], line[64] = "";
    snprintf(command, sizeof command, "find %s -type f -printf '%%s\\n' | awk '{s+=$1} END {print s+0}'",
             dir);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, f));
    pclose(f);
    return strtoull(line, NULL, 10);
}

static void the_cache_keeps_to_its_size(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct counting c;
    static char data[10000];
    char name[64], dir[128];
    assert_int_equal(store_mem_new(&mem, &err), 0);
    counting_init(&c, mem);
    bk_auto(store_free) struct store *s = cache_over(&c, "size", 100000);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "snapshots/%u", i);
        assert_int_equal(store_put(s, name, data, sizeof data, &err), 0);
    }
    snprintf(dir, sizeof dir, "%s/size", place);
    assert_true(bytes_in(dir) <= 100000);
    assert_true(bytes_in(dir) > 50000);
    for (unsigned i = 0; i < 50; i++) {
        char b;
        snprintf(name, sizeof name, "snapshots/%u", i);
        assert_int_equal(store_get_exact(s, name, 0, &b, 1, &err), 0);
    }
}

/* Several processes fill, read and trim one folder at once. */
static void many_processes_share_a_cache(void **state)
{
    (void)state;
    enum { PROCESSES = 6, OBJECTS = 40 };
    pid_t pids[PROCESSES];
    for (unsigned p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p])
            continue;
        struct bk_error err = { 0 };
        struct store *mem = NULL;
        struct counting c;
        bool ok = store_mem_new(&mem, &err) == 0;
        counting_init(&c, mem);
        struct store *s = cache_over(&c, "shared", 60000);
        for (unsigned i = 0; ok && i < OBJECTS; i++) {
            char name[32], want[2000];
            snprintf(name, sizeof name, "snapshots/%u", i);
            memset(want, (int)('a' + i % 26), sizeof want);
            ok = store_put(mem, name, want, sizeof want, &err) == 0;
        }
        for (unsigned i = 0; ok && i < 10 * OBJECTS; i++) {
            unsigned k = (i * 7 + p * 13) % OBJECTS;
            char name[32], want[2000], got[2000];
            snprintf(name, sizeof name, "snapshots/%u", k);
            memset(want, (int)('a' + k % 26), sizeof want);
            ok =
                store_get_exact(s, name, 0, got, sizeof got, &err) == 0 && memcmp(got, want, sizeof got) == 0;
        }
        _exit(ok ? 0 : 1);
    }
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failure_anywhere_is_not_seen),
        cmocka_unit_test(what_stays_broken_ends_within_the_bound),
        cmocka_unit_test(lack_of_space_is_not_tried_again),
        cmocka_unit_test(an_unsure_put_is_settled_by_the_bytes_that_stand_there),
        cmocka_unit_test(traffic_keeps_to_its_limits),
        cmocka_unit_test(metadata_is_fetched_once_and_data_every_time),
        cmocka_unit_test(what_was_put_need_not_be_fetched),
        cmocka_unit_test(a_name_that_was_put_again_is_fetched_again),
        cmocka_unit_test(a_damaged_copy_is_fetched_again),
        cmocka_unit_test(bytes_that_do_not_fit_their_name_are_not_kept),
        cmocka_unit_test(the_cache_keeps_to_its_size),
        cmocka_unit_test(many_processes_share_a_cache),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
