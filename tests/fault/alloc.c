/* Every allocation made to fail: init, a backup and a restore, once per allocation (sampled when there are
 * many). Each case ends in success or NOMEM, and what is in the store afterwards holds. The program is linked
 * with --wrap, so that the calls of our own code are caught and those of the libraries below are not. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include <errno.h>
#include <stdatomic.h>

#include "bkd/backup/backup.h"
#include "bkd/repo/catalog.h"
#include "tests/fault/life.h"

static struct sample sample;
static atomic_bool armed, fired;
static atomic_uint_fast64_t calls;
static uint64_t fail_at;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static bool fails(void)
{
    if (!atomic_load(&armed) || atomic_fetch_add(&calls, 1) + 1 != fail_at)
        return false;
    atomic_store(&fired, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

struct outcome {
    struct life life;
    int code; /* of the step that failed */
    char text[BK_ERROR_TEXT];
};

static int back_up(struct repo *r, struct outcome *o, struct bk_error *err)
{
    static const char *const tag = "first";
    const char *paths[] = { sample.shown };
    struct backup_files f = { .paths = paths, .n_paths = 1 };
    struct backup_common c = {
        .name = "life", .tags = &tag, .n_tags = 1, .level = LEVEL_INCREMENTAL, .zstd_level = 1
    };
    struct job j;
    life_job(&j);
    bk_auto(backup_result_clear) struct backup_result result = { 0 };
    int rc = backup_files(r, &j, &c, &f, &result, err);
    job_clear(&j);
    if (rc == 0) {
        if (result.snap.state != STATE_COMPLETE)
            fail_msg("allocation %u: the snapshot is not complete", (unsigned)fail_at);
        o->life.committed[0] = true;
        memcpy(o->life.ids[0], result.snap.id, SESSION_ID);
    }
    return rc;
}

static int restore(struct repo *r, struct bk_error *err)
{
    bk_auto(catalog_clear) struct catalog c = { 0 };
    int rc = catalog_load(r, NULL, NULL, &c, err);
    if (rc < 0)
        return rc;
    assert_int_equal(c.n, 1);
    struct restore_opts o = { .target = sample.restored };
    struct restore_report report = { 0 };
    struct job j;
    life_job(&j);
    rc = restore_files(r, &j, &c.v[0].snap, &o, &report, err);
    job_clear(&j);
    return rc;
}

static int live(struct store *s, struct outcome *o, struct bk_error *err)
{
    struct config c;
    life_config(&c);
    struct repo_init_opts init = {
        .suite = SUITE_AES256_GCM, .secret = &life_secret, .label = "k", .config = &c
    };
    struct repo *r = NULL;
    int rc = repo_init_adopt_store(s, &init, &world_real, &r, err);
    if (rc < 0) {
        store_free(s);
        return rc;
    }
    o->life.initialised = true;
    rc = back_up(r, o, err);
    if (rc == 0)
        rc = restore(r, err);
    repo_free(r);
    return rc;
}

static bool survive(uint64_t nth, struct outcome *o)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem(), *lent = lend(mem);
    memset(o, 0, sizeof *o);
    sample_show(&sample, 0);
    sample_remove_below(sample.restored);
    fail_at = nth;
    atomic_store(&calls, 0);
    atomic_store(&fired, false);
    atomic_store(&armed, true);
    o->code = live(lent, o, &err);
    atomic_store(&armed, false);
    memcpy(o->text, err.text, sizeof o->text);
    if (o->code && o->code != BK_E_NOMEM)
        fail_msg("allocation %u: not NOMEM but %s: %s", (unsigned)nth, bk_code_name(o->code), err.text);
    life_verify(&o->life, lend(mem), &sample, false);
    store_free(mem);
    return atomic_load(&fired);
}

static void failing_allocations_end_in_nomem(void **state)
{
    (void)state;
    enum { CASES = 500 };
    struct outcome o;
    assert_false(survive(0, &o));
    uint64_t total = atomic_load(&calls), nth = 1;
    unsigned cases = 0, reported = 0;
    while (survive(nth, &o)) {
        cases++;
        reported += o.code != 0;
        /* all of the first ones, where most is set up; then a sample */
        nth += nth < CASES / 2 || total <= CASES ? 1 : 2 * total / CASES;
    }
    printf("# %u of %llu allocations failed, %u survived: %u ended in NOMEM, %u went on without\n", cases,
           (unsigned long long)total, cases, reported, cases - reported);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(failing_allocations_end_in_nomem) };
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
