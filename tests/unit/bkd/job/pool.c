#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bkd/job/job.h"
#include "bkd/job/pool.h"

struct counted {
    struct task task;
    struct pool *pool;
    atomic_uint *count;
    unsigned depth;
};

static void fan_out(struct task *t, unsigned worker)
{
    (void)worker;
    struct counted *c = (struct counted *)t;
    atomic_fetch_add(c->count, 1);
    for (unsigned i = 0; i < 2 && c->depth > 0; i++) {
        struct counted *child = malloc(sizeof *child);
        *child = *c;
        child->depth--;
        pool_push(c->pool, &child->task);
    }
    free(c);
}

static void tasks_that_push_tasks_all_run(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    for (unsigned n = 1; n <= 4; n++) {
        bk_auto(pool_free) struct pool *p = NULL;
        atomic_uint count = 0;
        assert_int_equal(pool_new(n, &p, &err), 0);
        struct counted *top = malloc(sizeof *top);
        *top = (struct counted){ .task.run = fan_out, .pool = p, .count = &count, .depth = 10 };
        pool_push(p, &top->task);
        assert_int_equal(pool_drain(p, &err), 0);
        assert_int_equal(count, 2047);
    }
}

struct ordered {
    struct task task;
    unsigned number;
    unsigned *seen;
    unsigned *n_seen;
};

static void note_order(struct task *t, unsigned worker)
{
    (void)worker;
    struct ordered *o = (struct ordered *)t;
    o->seen[(*o->n_seen)++] = o->number;
}

static void a_chain_runs_first_to_last_on_one_worker(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pool_free) struct pool *p = NULL;
    unsigned seen[3], n = 0;
    struct ordered v[3];
    for (unsigned i = 0; i < 3; i++)
        v[i] = (struct ordered){
            .task = { note_order, i < 2 ? &v[i + 1].task : NULL }, .number = i, .seen = seen, .n_seen = &n
        };
    assert_int_equal(pool_new(1, &p, &err), 0);
    pool_push_chain(p, &v[0].task);
    assert_int_equal(pool_drain(p, &err), 0);
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(seen[i], i);
}

struct failing {
    struct task task;
    struct pool *pool;
};

static void fail_task(struct task *t, unsigned worker)
{
    (void)worker;
    struct bk_error err = { 0 };
    bk_fail(&err, BK_E_IO, "broken on purpose");
    pool_fail(((struct failing *)t)->pool, &err);
}

static void the_first_error_ends_the_drain(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pool_free) struct pool *p = NULL;
    assert_int_equal(pool_new(2, &p, &err), 0);
    struct failing f = { .task.run = fail_task, .pool = p };
    pool_push(p, &f.task);
    assert_int_equal(pool_drain(p, &err), BK_E_IO);
    assert_string_equal(err.text, "broken on purpose");
    assert_true(pool_failed(p));
}

static void a_cancelled_job_says_so(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct job j = { 0 };
    assert_int_equal(job_init(&j, &err), 0);
    assert_int_equal(job_check(&j, &err), 0);
    job_cancel(&j);
    assert_int_equal(job_check(&j, &err), BK_E_CANCELLED);
    job_clear(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_push_tasks_all_run),
        cmocka_unit_test(a_chain_runs_first_to_last_on_one_worker),
        cmocka_unit_test(the_first_error_ends_the_drain),
        cmocka_unit_test(a_cancelled_job_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
