/* The probe finds out stores that do not keep the contract, and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "bkd/store/probe.h"

enum flaw {
    FLAWLESS,
    REPLACES,      /* a put of a taken name goes through */
    FORGETS,       /* a put says it worked and stores nothing */
    HIDES,         /* listings are empty */
    WHOLE_ONLY,    /* a part is always the first bytes */
    KEEPS,         /* remove does nothing */
    STORES_BROKEN, /* a put that breaks off leaves its half */
    LATE,          /* the clock is an hour behind */
};

struct flawed {
    struct store store;
    struct store *below;
    enum flaw flaw;
};

static int flawed_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct flawed *f = (struct flawed *)s;
    if (f->flaw == FORGETS)
        return 0;
    int r = store_put(f->below, name, data, len, err);
    return r == BK_E_EXISTS && f->flaw == REPLACES ? 0 : r;
}
static int flawed_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                      size_t *ret_len, struct bk_error *err)
{
    struct flawed *f = (struct flawed *)s;
    return f->below->ops->get(f->below, name, f->flaw == WHOLE_ONLY ? 0 : offset, out, len, ret_len, err);
}
static int flawed_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    return store_stat(((struct flawed *)s)->below, name, ret_size, err);
}
static int flawed_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                       struct bk_error *err)
{
    struct flawed *f = (struct flawed *)s;
    return f->flaw == HIDES ? 0 : store_list(f->below, prefix, fn, ctx, err);
}
static int flawed_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct flawed *f = (struct flawed *)s;
    return f->flaw == KEEPS ? 0 : store_remove(f->below, name, err);
}
static int flawed_put_broken(struct store *s, const char *name, const void *data, size_t len,
                             struct bk_error *err)
{
    struct flawed *f = (struct flawed *)s;
    return f->flaw == STORES_BROKEN ? store_put(f->below, name, data, len / 2, err) : 0;
}
static int flawed_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err)
{
    (void)err;
    *ret_ahead_ns = ((struct flawed *)s)->flaw == LATE ? INT64_C(-3600000000000) : 0;
    return 0;
}
static void flawed_free(struct store *s)
{
    (void)s; /* lives in the test */
}
static const struct store_ops flawed_ops = { .put = flawed_put,
                                             .get = flawed_get,
                                             .stat = flawed_stat,
                                             .list = flawed_list,
                                             .remove = flawed_remove,
                                             .put_broken = flawed_put_broken,
                                             .clock = flawed_clock,
                                             .free = flawed_free };

static int count(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name, (void)size, (void)err;
    ++*(unsigned *)ctx;
    return 0;
}

static void each_flaw_is_named_and_only_that(void **state)
{
    (void)state;
    static const struct {
        enum flaw flaw;
        enum probe_check check;
        bool usable;
    } cases[] = {
        { REPLACES, PROBE_PUT_IF_ABSENT, false },      { HIDES, PROBE_LIST_AFTER_WRITE, false },
        { WHOLE_ONLY, PROBE_RANGES, false },           { KEEPS, PROBE_REMOVE, true },
        { STORES_BROKEN, PROBE_TRUNCATED_PUT, false }, { LATE, PROBE_CLOCK, true },
    };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *mem = NULL;
        struct probe_report r;
        assert_int_equal(store_mem_new(&mem, &err), 0);
        struct flawed f = { .store = *mem, .below = mem, .flaw = cases[i].flaw };
        f.store.ops = &flawed_ops;
        assert_int_equal(store_probe(&f.store, &(struct probe_opts){ 0 }, &world_real, &r, &err), 0);
        for (unsigned c = 0; c < PROBE_CHECKS; c++)
            assert_int_equal(r.of[c].result, c == cases[i].check ? PROBE_MISSING : PROBE_GOOD);
        assert_int_equal(r.usable, cases[i].usable);
        assert_true(r.of[cases[i].check].text[0]);
    }
}

static void a_store_that_forgets_is_of_no_use(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct probe_report r;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    struct flawed f = { .store = *mem, .below = mem, .flaw = FORGETS };
    f.store.ops = &flawed_ops;
    assert_int_equal(store_probe(&f.store, &(struct probe_opts){ 0 }, &world_real, &r, &err), 0);
    assert_int_equal(r.of[PROBE_READ_AFTER_WRITE].result, PROBE_MISSING);
    assert_false(r.usable);
}

static void a_good_store_is_left_as_it_was(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = NULL;
    struct probe_report r;
    unsigned n = 0;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    assert_int_equal(store_put(mem, "config", "x", 1, &err), 0);
    assert_int_equal(
        store_probe(mem, &(struct probe_opts){ .rounds = 3, .clients = 5 }, &world_real, &r, &err), 0);
    assert_true(r.usable);
    assert_int_equal(r.of[PROBE_CLOCK].result, PROBE_UNTRIED);
    assert_int_equal(store_list(mem, "", count, &n, &err), 0);
    assert_int_equal(n, 1);
}

static void a_store_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem;
    bk_auto(store_free) struct store *cut = NULL;
    struct probe_report r;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    assert_int_equal(store_fault_new(mem, FAULT_CUT, 1, &cut, &err), 0);
    assert_int_equal(store_probe(cut, &(struct probe_opts){ 0 }, &world_real, &r, &err), BK_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flaw_is_named_and_only_that),
        cmocka_unit_test(a_store_that_forgets_is_of_no_use),
        cmocka_unit_test(a_good_store_is_left_as_it_was),
        cmocka_unit_test(a_store_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
