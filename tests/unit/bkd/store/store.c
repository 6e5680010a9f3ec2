#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "bkd/store/dir.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"

static char place[] = "/tmp/bk-store-XXXXXX";

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

/* Both ends of a stack keep one contract. */
static struct store *open_kind(int kind)
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    char path[64];
    static int n;
    snprintf(path, sizeof path, "%s/%d", place, n++);
    int r = kind ? store_dir_open(path, true, NULL, &world_real, &s, &err) : store_mem_new(&s, &err);
    assert_int_equal(r, 0);
    return s;
}

struct seen {
    char names[8][STORE_NAME_MAX + 1];
    uint64_t sizes[8];
    unsigned n;
};

static int see(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)err;
    struct seen *s = ctx;
    snprintf(s->names[s->n], sizeof s->names[0], "%s", name);
    s->sizes[s->n++] = size;
    return 0;
}

static void what_is_put_comes_back(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = open_kind(kind);
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(64 << 20);
        /* around the sizes at which the way of writing changes */
        const size_t sizes[] = { 0, 1, 4095, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (9 << 20) + 777 };
        for (size_t i = 0; i < BK_COUNT(sizes); i++) {
            char name[32];
            snprintf(name, sizeof name, "data/%02zx/object", i);
            uint8_t *data = malloc(sizes[i] + 1);
            for (size_t k = 0; k < sizes[i]; k++)
                data[k] = (uint8_t)(k * 31 + i);
            assert_int_equal(store_put(s, name, data, sizes[i], &err), 0);
            uint64_t size;
            assert_int_equal(store_stat(s, name, &size, &err), 0);
            assert_int_equal(size, sizes[i]);
            assert_int_equal(store_get_all(s, name, 64 << 20, &out, &err), 0);
            assert_int_equal(out.len, sizes[i]);
            assert_memory_equal(out.data, data, sizes[i]);
            free(data);
        }
    }
}

static void a_taken_name_is_left_alone(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = open_kind(kind);
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(100);
        assert_int_equal(store_put(s, "snapshots/a", "one", 3, &err), 0);
        assert_int_equal(store_put(s, "snapshots/a", "two", 3, &err), BK_E_EXISTS);
        assert_int_equal(store_get_all(s, "snapshots/a", 100, &out, &err), 0);
        assert_memory_equal(out.data, "one", 3);
    }
}

static void absent_short_and_hostile_reads_are_told_apart(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = open_kind(kind);
        char b[8];
        assert_int_equal(store_put(s, "a", "12345", 5, &err), 0);
        assert_int_equal(store_get_exact(s, "b", 0, b, 1, &err), BK_E_ABSENT);
        assert_int_equal(store_get_exact(s, "a", 3, b, 3, &err), BK_E_CORRUPT);
        assert_int_equal(store_get_exact(s, "a", 2, b, 3, &err), 0);
        assert_memory_equal(b, "345", 3);
        assert_int_equal(store_put(s, "../x", "1", 1, &err), BK_E_USAGE);
        assert_int_equal(store_put(s, "/x", "1", 1, &err), BK_E_USAGE);
        assert_int_equal(store_put(s, "a/../x", "1", 1, &err), BK_E_USAGE);
    }
}

static void listing_and_removing(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = open_kind(kind);
        const char *names[] = { "config", "data/00/aa", "data/01/bb", "notes/a.1", "notes/ab.1" };
        for (size_t i = 0; i < BK_COUNT(names); i++)
            assert_int_equal(store_put(s, names[i], names[i], i, &err), 0);
        struct seen all = { 0 }, data = { 0 }, notes = { 0 }, after = { 0 };
        assert_int_equal(store_list(s, "", see, &all, &err), 0);
        assert_int_equal(all.n, 5);
        assert_int_equal(store_list(s, "data/", see, &data, &err), 0);
        assert_int_equal(data.n, 2);
        assert_int_equal(store_list(s, "notes/a.", see, &notes, &err), 0);
        assert_int_equal(notes.n, 1);
        assert_string_equal(notes.names[0], "notes/a.1");
        assert_int_equal(notes.sizes[0], 3);
        assert_int_equal(store_remove(s, "data/00/aa", &err), 0);
        assert_int_equal(store_remove(s, "data/00/aa", &err), 0);
        assert_int_equal(store_list(s, "data/", see, &after, &err), 0);
        assert_int_equal(after.n, 1);
    }
}

static void faults_strike_the_call_they_are_set_for(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct store *mem = open_kind(0);
        bk_auto(store_free) struct store *f = NULL;
        assert_int_equal(store_fault_new(mem, FAULT_ERROR, nth, &f, &err), 0);
        unsigned failed_at = 0;
        for (unsigned i = 1; i <= 4; i++) {
            char name[8];
            snprintf(name, sizeof name, "o%u", i);
            if (store_put(f, name, "x", 1, &err) < 0)
                failed_at = i;
        }
        assert_int_equal(failed_at, nth);
        assert_true(store_fault_fired(f));
    }
}

static void a_lost_acknowledgement_leaves_the_object(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = open_kind(0);
    bk_auto(store_free) struct store *f = NULL;
    assert_int_equal(store_fault_new(mem, FAULT_LOST_ACK, 1, &f, &err), 0);
    assert_int_equal(store_put(f, "a", "x", 1, &err), BK_E_IO);
    char b;
    assert_int_equal(store_get_exact(f, "a", 0, &b, 1, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_back),
        cmocka_unit_test(a_taken_name_is_left_alone),
        cmocka_unit_test(absent_short_and_hostile_reads_are_told_apart),
        cmocka_unit_test(listing_and_removing),
        cmocka_unit_test(faults_strike_the_call_they_are_set_for),
        cmocka_unit_test(a_lost_acknowledgement_leaves_the_object),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
