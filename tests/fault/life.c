#include "tests/fault/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/backup/backup.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/check.h"

const struct slot_secret life_secret = { .kind = SLOT_KEYFILE,
                                         .data = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                         .len = 32 };
static const char *const tags[SAMPLE_STATES] = { "first", "second" };

void life_config(struct config *c)
{
    config_defaults(c);
    c->chunk_min = 4 << 10;
    c->chunk_avg = 8 << 10;
    c->chunk_max = 32 << 10;
    c->frame_bytes = 32 << 10;
    c->pack_bytes = 64 << 10;
    c->segment_bytes = 1 << 20;
}

void life_job(struct job *j)
{
    struct bk_error err = { 0 };
    memset(j, 0, sizeof *j);
    j->n_threads = 2;
    j->memory_bytes = JOB_MEMORY_MIN;
    assert_int_equal(job_init(j, &err), 0);
}

static int init(struct store *s, struct repo **ret, struct bk_error *err)
{
    struct config c;
    life_config(&c);
    struct repo_init_opts o = {
        .suite = SUITE_AES256_GCM, .secret = &life_secret, .label = "k", .config = &c
    };
    return repo_init_adopt_store(s, &o, &world_real, ret, err);
}

static int back_up(struct repo *r, struct sample *t, int state, uint8_t *ret_id, struct bk_error *err)
{
    sample_show(t, state);
    const char *paths[] = { t->shown };
    struct backup_files f = { .paths = paths, .n_paths = 1 };
    struct backup_common c = {
        .name = "life", .tags = &tags[state], .n_tags = 1, .level = LEVEL_INCREMENTAL, .zstd_level = 1
    };
    bk_auto(backup_result_clear) struct backup_result result = { 0 };
    struct job j;
    life_job(&j);
    int rc = backup_files(r, &j, &c, &f, &result, err);
    job_clear(&j);
    if (rc == 0) {
        assert_int_equal(result.snap.state, STATE_COMPLETE);
        memcpy(ret_id, result.snap.id, SESSION_ID);
    }
    return rc;
}

static const struct catalog_item *item_of(const struct catalog *c, const uint8_t *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (memcmp(c->v[i].snap.id, id, SESSION_ID) == 0)
            return &c->v[i];
    return NULL;
}

int life_state(const struct snapshot *s)
{
    assert_int_equal(s->tags.n, 1);
    for (int i = 0; i < SAMPLE_STATES; i++)
        if (strcmp(s->tags.v[0], tags[i]) == 0)
            return i;
    fail_msg("a snapshot with the foreign tag %s", s->tags.v[0]);
    return -1;
}

static int restore_newest(struct life *l, struct repo *r, struct sample *t, struct bk_error *err)
{
    bk_auto(catalog_clear) struct catalog c = { 0 };
    int rc = catalog_load(r, NULL, NULL, &c, err);
    if (rc < 0 || !c.n)
        return rc;
    static struct sample_problems problems;
    struct job j;
    life_job(&j);
    const struct snapshot *s = &c.v[c.n - 1].snap;
    rc = sample_restore(t, life_state(s), r, &j, s, &problems, err);
    job_clear(&j);
    l->restored = rc == 0;
    l->n_problems = problems.n;
    return rc;
}

static void step(struct life *l, int rc, const struct bk_error *err)
{
    if (rc < 0) {
        assert_int_equal(rc, err->code);
        assert_true(err->text[0]);
        if (!l->code) {
            l->code = rc;
            memcpy(l->text, err->text, sizeof l->text);
        }
    } else if (l->passed) {
        l->passed(l->ctx, l);
    }
}

void life_run(struct life *l, struct store *s, struct sample *t)
{
    struct bk_error err = { 0 };
    bk_auto(repo_free) struct repo *r = NULL;
    int rc = init(s, &r, &err);
    l->initialised = rc == 0;
    step(l, rc, &err);
    if (rc < 0) {
        store_free(s);
        return;
    }
    for (int i = 0; i < SAMPLE_STATES; i++) {
        rc = back_up(r, t, i, l->ids[i], &err);
        l->committed[i] = rc == 0;
        step(l, rc, &err);
    }
    rc = restore_newest(l, r, t, &err);
    step(l, rc, &err);
}

static void on_damage(void *ctx, const struct check_damage *d)
{
    (void)ctx;
    print_message("damage: %s: %s\n", d->object ? d->object : "?", d->why ? d->why->text : "");
}

static void check_clean(struct repo *r)
{
    struct bk_error err = { 0 };
    struct check_report report = { 0 };
    struct check_opts o = { .read_data = true };
    struct job j;
    life_job(&j);
    int rc = check_run(r, &j, &o, on_damage, NULL, &report, &err);
    job_clear(&j);
    if (rc < 0)
        fail_msg("check: %s", err.text);
    assert_int_equal(report.n_damages, 0);
    assert_int_equal(report.n_files_hit, 0);
}

static void snapshots_hold(const struct life *l, struct repo *r, struct sample *t, bool restore)
{
    struct bk_error err = { 0 };
    bk_auto(catalog_clear) struct catalog c = { 0 };
    if (catalog_load(r, NULL, NULL, &c, &err) < 0)
        fail_msg("catalogue: %s", err.text);
    assert_int_equal(c.n_damaged, 0);
    for (int i = 0; i < SAMPLE_STATES; i++)
        if (l->committed[i] && !item_of(&c, l->ids[i]))
            fail_msg("committed snapshot %d is lost", i);
    static struct sample_problems problems;
    for (size_t i = 0; i < c.n; i++) {
        const struct snapshot *s = &c.v[i].snap;
        if (sample_compare(t, life_state(s), r, s, &err) < 0)
            fail_msg("a committed snapshot does not read back: %s", err.text);
        if (!restore)
            continue;
        struct job j;
        life_job(&j);
        int rc = sample_restore(t, life_state(s), r, &j, s, &problems, &err);
        job_clear(&j);
        if (rc < 0 || problems.n)
            fail_msg("a committed snapshot does not restore: %s", rc < 0 ? err.text : problems.v[0].path);
    }
}

void life_verify(const struct life *l, struct store *s, struct sample *t, bool restore)
{
    struct bk_error err = { 0 };
    bk_auto(repo_free) struct repo *r = NULL;
    int rc = repo_open_adopt_store(s, &life_secret, &world_real, &r, &err);
    if (rc == BK_E_ABSENT && !l->initialised)
        rc = init(s, &r, &err);
    if (rc < 0) {
        store_free(s);
        fail_msg("the repository does not open: %s", err.text);
    }
    check_clean(r);
    snapshots_hold(l, r, t, restore);

    struct life after = { 0 };
    rc = back_up(r, t, 1, after.ids[1], &err);
    if (rc < 0)
        fail_msg("the next backup: %s", err.text);
    after.committed[1] = true;
    check_clean(r);
    snapshots_hold(&after, r, t, false);
}
