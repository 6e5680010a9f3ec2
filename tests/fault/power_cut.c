/* Power cuts: the log of what a life of a repository did to its disk is cut after every call, in every way
 * that calls without an fsync may be lost, and the repository that is left must hold all that had been
 * reported as done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/fault/disk.h"
#include "tests/fault/life.h"

enum { STEPS_MAX = 8 };

/* What had been promised when the log was n calls long. */
struct promises {
    struct disk *disk;
    struct {
        size_t calls;
        struct life life;
    } v[STEPS_MAX];
    size_t n;
};

static void promise(void *ctx, const struct life *l)
{
    struct promises *p = ctx;
    assert_true(p->n < STEPS_MAX);
    p->v[p->n].calls = disk_calls(p->disk);
    p->v[p->n].life = *l;
    p->v[p->n++].life.passed = NULL;
}

static void record(struct promises *p, struct sample *t)
{
    char path[128];
    struct bk_error err = { 0 };
    struct store *s = NULL;
    snprintf(path, sizeof path, "%s/recorded", t->top);
    assert_int_equal(store_dir_open(path, true, disk_io(p->disk), &world_real, &s, &err), 0);
    struct life l = { .passed = promise, .ctx = p };
    life_run(&l, s, t);
    assert_int_equal(l.code, 0);
}

static void survive(const struct promises *p, struct sample *t, size_t n, enum disk_loss loss)
{
    static const struct life nothing;
    const struct life *l = &nothing;
    for (size_t i = 0; i < p->n && p->v[i].calls <= n; i++)
        l = &p->v[i].life;
    char path[128];
    snprintf(path, sizeof path, "%s/cut", t->top);
    sample_remove_below(path);
    disk_cut(p->disk, n, loss, path);
    struct bk_error err = { 0 };
    struct store *s = NULL;
    assert_int_equal(store_dir_open(path, false, &disk_io_unsynced, &world_real, &s, &err), 0);
    life_verify(l, s, t, n % 32 == 0);
}

static void what_was_committed_survives_every_power_cut(void **state)
{
    (void)state;
    struct sample sample;
    sample_make(&sample);
    struct promises p = { .disk = disk_new() };
    record(&p, &sample);
    assert_true(p.n >= 3);
    uint64_t seen[DISK_LOSSES] = { 0 };
    unsigned cuts = 0, cases = 0;
    for (size_t n = 0; n <= disk_calls(p.disk); n++, cuts++)
        for (int loss = 0; loss < DISK_LOSSES; loss++) {
            uint64_t left = disk_cut(p.disk, n, loss, NULL);
            bool known = n > 0 && left == seen[loss];
            for (int k = 0; k < loss; k++)
                known |= left == seen[k] && seen[k];
            seen[loss] = left;
            bool promised = false;
            for (size_t i = 0; i < p.n; i++)
                promised |= p.v[i].calls == n;
            if (known && !promised)
                continue;
            survive(&p, &sample, n, loss);
            cases++;
        }
    printf("# power cut after each of %u calls: %u different disks, %u survived\n", cuts, cases, cases);
    disk_free(p.disk);
    sample_remove(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_was_committed_survives_every_power_cut) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
