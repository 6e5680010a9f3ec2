#include "rw_fixture.h"

#include "bkd/repo/pending.h"

/* Few distinct ids, so that they meet: same shard, same slots, wrap-around. */
static chunk_id close_id(uint32_t i)
{
    chunk_id id = { { 0 } };
    id.b[0] = (uint8_t)(i % 3);
    id.b[8] = (uint8_t)(i * 7);
    id.b[9] = (uint8_t)(i % 5 ? 0 : 255);
    id.b[31] = (uint8_t)(i >> 8);
    id.b[30] = (uint8_t)i;
    return id;
}

static void behaves_like_a_plain_set(void **state)
{
    (void)state;
    enum { IDS = 2000 };
    struct bk_error err = { 0 };
    bk_auto(pending_free) struct pending *p = NULL;
    static bool model[IDS];
    size_t n = 0;
    uint32_t x = 1;
    OK(pending_new(&p, &err));
    for (int step = 0; step < 200000; step++) {
        x = x * 1664525u + 1013904223u;
        uint32_t i = (x >> 8) % IDS;
        chunk_id id = close_id(i);
        assert_int_equal(pending_has(p, &id, NULL), model[i]);
        if (x >> 31) {
            assert_int_equal(pending_add(p, &id, NULL, &err), !model[i]);
            n += !model[i];
            model[i] = true;
        } else {
            pending_drop(p, &id);
            n -= model[i];
            model[i] = false;
        }
        assert_int_equal(step % 1000 ? n : pending_count(p), n);
    }
    for (uint32_t i = 0; i < IDS; i++) {
        chunk_id id = close_id(i);
        assert_int_equal(pending_has(p, &id, NULL), model[i]);
    }
}

struct racer {
    struct pending *p;
    unsigned won;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct bk_error err = { 0 };
    for (uint32_t i = 0; i < 20000; i++) {
        chunk_id id = close_id(i);
        if (pending_add(r->p, &id, NULL, &err) == 1)
            r->won++;
    }
    return NULL;
}

static void of_racing_threads_one_wins_each_id(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(pending_free) struct pending *p = NULL;
    pthread_t t[4];
    struct racer r[4];
    unsigned won = 0;
    OK(pending_new(&p, &err));
    for (int i = 0; i < 4; i++) {
        r[i] = (struct racer){ .p = p };
        assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        won += r[i].won;
    }
    assert_int_equal(won, pending_count(p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_a_plain_set),
        cmocka_unit_test(of_racing_threads_one_wins_each_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
