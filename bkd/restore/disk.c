#include "bkd/restore/disk.h"

#include <errno.h>
#include <string.h>

#include "bkd/restore/browse.h"
#include "bkd/restore/disk_target.h"
#include "bkd/restore/hold.h"
#include "bkd/restore/plan.h"

enum { WINDOW_FIRST = 2048, WINDOW_ITEMS = 32768, WINDOWS = 3 };
#define PART ((uint64_t)64 << 20) /* bytes gone through at once */

struct disk_restore {
    struct repo *repo;
    struct job *job;
    const struct content *content;
    const struct restore_disk_opts *opts;
    struct reader *reader; /* these two are lent */
    struct pool *pool;
    struct plan *plan;
    struct disk_target *target;
    uint8_t **block; /* owned: CHUNK_MAX bytes for each worker and the calling thread, made when needed */
    unsigned n_block;
    pthread_mutex_t lock; /* guards the call of on_problem */
    atomic_uint_fast64_t n_problems, bytes, bytes_verified;
};

static uint8_t *block_of(struct disk_restore *d, unsigned worker)
{
    if (!d->block[worker])
        d->block[worker] = malloc(CHUNK_MAX);
    return d->block[worker];
}

static void problem(struct disk_restore *d, const struct bk_error *why)
{
    atomic_fetch_add(&d->n_problems, 1);
    pthread_mutex_lock(&d->lock);
    if (d->opts->on_problem)
        d->opts->on_problem(d->opts->ctx, (const uint8_t *)d->opts->name, strlen(d->opts->name), why);
    pthread_mutex_unlock(&d->lock);
}

static void lost(struct disk_restore *d, uint64_t from, uint64_t to, const struct bk_error *why)
{
    struct bk_error err = *why;
    bk_context(&err, "bytes %llu to %llu could not be restored and are zero", (unsigned long long)from,
               (unsigned long long)to);
    problem(d, &err);
}

static void count(struct disk_restore *d, uint64_t len)
{
    atomic_fetch_add_explicit(&d->bytes, len, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->job->done_bytes, len, memory_order_relaxed);
}

/* ---- from the plan to the target ---- */

static int on_data(void *ctx, unsigned worker, const struct plan_item *const *v, size_t n, const uint8_t *p,
                   size_t len, struct bk_error *err)
{
    (void)n;
    struct disk_restore *d = ctx;
    int r = job_check(d->job, err);
    if (r == 0)
        r = d->target->ops->write(d->target, worker, v[0]->at, p, len, err);
    if (r == 0)
        count(d, len);
    return r;
}

static int on_bare(void *ctx, unsigned worker, const struct plan_item *it, struct bk_error *err)
{
    struct disk_restore *d = ctx;
    int r = d->target->ops->zero(d->target, worker, it->at, it->len, it->off == EXTENT_HOLE, err);
    if (r == 0)
        count(d, it->len);
    return r;
}

/* What was there before may be what the damaged chunk held; else zeroes are better than a mixture of two
 * states. */
static bool is_there(struct disk_restore *d, unsigned worker, const struct plan_item *it)
{
    struct bk_error ignored = { 0 };
    uint8_t *p = it->off == 0 && it->len <= CHUNK_MAX && !d->target->fresh ? block_of(d, worker) : NULL;
    chunk_id id;
    return p && d->target->ops->read(d->target, worker, it->at, p, (size_t)it->len, &ignored) == 0 &&
           chunk_name(repo_namer(d->repo), CHUNK_DATA, p, (size_t)it->len, &id, &ignored) == 0 &&
           chunk_id_cmp(&id, &it->id) == 0;
}

static void on_damage(void *ctx, unsigned worker, const struct plan_item *it, const struct bk_error *why)
{
    struct disk_restore *d = ctx;
    struct bk_error zero = { 0 };
    if (bk_code_aborts(why->code) || d->opts->dry_run || is_there(d, worker, it))
        return;
    if (d->target->ops->zero(d->target, worker, it->at, it->len, false, &zero) < 0) {
        problem(d, &zero);
        return;
    }
    lost(d, it->at, it->at + it->len, why);
}

struct adding {
    struct disk_restore *d;
    uint64_t end; /* of what was added */
    bool failed;  /* by the plan, not by a page */
};

static int add_extent(void *ctx, uint64_t at, const struct extent *x, struct bk_error *err)
{
    struct adding *k = ctx;
    struct plan *p = k->d->plan;
    int r = x->kind == EXTENT_DATA ? plan_add(p, x, k->d, at, err)
                                   : plan_add_bare(p, (uint32_t)x->kind, k->d, at, x->len, err);
    k->end = at + x->len;
    k->failed = r < 0;
    return r;
}

/* Part by part, so that a page that cannot be read costs only what it lists. */
static int add_all(struct disk_restore *d, unsigned lane, struct bk_error *err)
{
    uint64_t size = d->content->size;
    int r = 0;
    for (uint64_t at = 0; at < size && r == 0; at += PART) {
        struct adding k = { .d = d, .end = at };
        struct bk_error why = { 0 };
        r = browse_extents(d->reader, lane, d->content, at, PART, add_extent, &k, &why);
        if (r < 0 && reader_is_damage(r) && !k.failed) {
            uint64_t to = size - at < PART ? size : at + PART;
            if (!d->opts->dry_run)
                r = d->target->ops->zero(d->target, lane, k.end, to - k.end, false, err);
            lost(d, k.end, to, &why);
        } else if (r < 0) {
            *err = why;
        }
    }
    return r;
}

static int write_all(struct disk_restore *d, unsigned lane, struct bk_error *err)
{
    struct plan_opts po = { .sink = { .ctx = d, .data = on_data, .bare = on_bare, .damage = on_damage },
                            .n_windows = WINDOWS,
                            .first_items = WINDOW_FIRST,
                            .max_items = WINDOW_ITEMS,
                            .dry_run = d->opts->dry_run };
    int r = plan_new(d->reader, d->pool, d->job, &po, &d->plan, err);
    if (r < 0)
        return r;
    r = add_all(d, lane, err);
    if (r < 0)
        pool_fail(d->pool, err);
    struct bk_error late = { 0 };
    int waited = plan_wait(d->plan, r < 0 ? &late : err);
    return r < 0 ? r : waited;
}

/* ---- reading back ---- */

struct look {
    struct task task;
    struct disk_restore *d;
    uint64_t from, len;
};

static void differs(struct disk_restore *d, uint64_t at, uint64_t len)
{
    struct bk_error why = { 0 };
    bk_fail(&why, BK_E_CORRUPT, "bytes %llu to %llu read back differ from the snapshot",
            (unsigned long long)at, (unsigned long long)(at + len));
    problem(d, &why);
}

static void unreadable(struct disk_restore *d, uint64_t at, uint64_t len, const struct bk_error *why)
{
    struct bk_error err = *why;
    bk_context(&err, "bytes %llu to %llu cannot be read back", (unsigned long long)at,
               (unsigned long long)(at + len));
    problem(d, &err);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return !p[0] && !memcmp(p, p + 1, len - 1);
}

struct looking {
    struct disk_restore *d;
    unsigned worker;
};

static int look_at(void *ctx, uint64_t at, const struct extent *x, struct bk_error *err)
{
    struct looking *k = ctx;
    struct disk_restore *d = k->d;
    uint8_t *p = block_of(d, k->worker);
    if (!p)
        return bk_fail_errno(err, ENOMEM, "read a disk back");
    for (uint64_t done = 0; done < x->len;) {
        size_t n = x->len - done < CHUNK_MAX ? (size_t)(x->len - done) : CHUNK_MAX;
        int r = job_check(d->job, err);
        if (r < 0)
            return r;
        struct bk_error why = { 0 };
        r = d->target->ops->read(d->target, k->worker, at + done, p, n, &why);
        if (r < 0 && bk_code_aborts(r)) {
            *err = why;
            return r;
        }
        int same = r < 0                    ? r
                   : x->kind == EXTENT_DATA ? reader_matches(d->reader, k->worker, x, p, err)
                                            : is_zero(p, n);
        if (r < 0)
            unreadable(d, at + done, n, &why);
        else if (same < 0 && !reader_is_damage(same)) /* damage was told when it was written */
            return same;
        if (same == 0)
            differs(d, at + done, n);
        done += n;
        if (r < 0)
            continue;
        atomic_fetch_add_explicit(&d->bytes_verified, n, memory_order_relaxed);
        atomic_fetch_add_explicit(&d->job->read_bytes, n, memory_order_relaxed);
    }
    return 0;
}

static void run_look(struct task *t, unsigned worker)
{
    struct look *l = (struct look *)t;
    struct looking k = { l->d, worker };
    struct bk_error err = { 0 };
    if (pool_failed(l->d->pool))
        return;
    int r = browse_extents(l->d->reader, worker, l->d->content, l->from, l->len, look_at, &k, &err);
    if (r < 0 && !reader_is_damage(r)) /* damage was told when it was written */
        pool_fail(l->d->pool, &err);
}

static int read_back(struct disk_restore *d, struct bk_error *err)
{
    size_t n = (size_t)((d->content->size + PART - 1) / PART);
    bk_auto(free) struct look *v = calloc(n ? n : 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "read a disk back");
    for (size_t i = 0; i < n; i++)
        v[i] = (struct look){ .task = { .run = run_look, .next = i + 1 < n ? &v[i + 1].task : NULL },
                              .d = d,
                              .from = i * PART,
                              .len = PART };
    if (n)
        pool_push_chain(d->pool, &v[0].task);
    return pool_drain(d->pool, err);
}

/* ---- the story ---- */

static void clear(struct disk_restore *d)
{
    plan_free(d->plan);
    disk_target_free(d->target);
    for (unsigned i = 0; d->block && i < d->n_block; i++)
        free(d->block[i]);
    free(d->block);
    pthread_mutex_destroy(&d->lock);
}
BK_AUTO_CLEAR(struct disk_restore, clear)

static int open_target(struct disk_restore *d, unsigned n_workers, struct bk_error *err)
{
    const struct restore_disk_opts *o = d->opts;
    d->n_block = n_workers;
    d->block = calloc(n_workers, sizeof *d->block);
    if (!d->block)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    struct disk_target_opts to = { .to = o->to,
                                   .format = o->format,
                                   .size = d->content->size,
                                   .overwrite = o->overwrite,
                                   .n_workers = n_workers };
    return o->dry_run ? 0 : disk_target_open(&to, d->job, &d->target, err);
}

static void report(struct disk_restore *d, struct restore_report *ret)
{
    struct plan_totals t;
    plan_totals(d->plan, &t);
    ret->n_files++;
    ret->n_problems += atomic_load(&d->n_problems);
    ret->bytes += d->opts->dry_run ? d->content->size : atomic_load(&d->bytes);
    ret->bytes_written += d->target ? atomic_load(&d->target->bytes_written) : 0;
    ret->bytes_to_read += t.stored_bytes;
    ret->bytes_verified += atomic_load(&d->bytes_verified);
    ret->seconds_estimated += (double)t.raw_bytes / RESTORE_RATE_DECODE / pool_workers(d->pool);
}

int restore_disk(struct repo *repo, struct job *j, const struct content *c, const struct restore_disk_opts *o,
                 struct restore_report *ret, struct bk_error *err)
{
    bk_auto(hold_close) struct hold hold = { 0 };
    bk_auto(clear) struct disk_restore d = { .repo = repo, .job = j, .content = c, .opts = o };
    pthread_mutex_init(&d.lock, NULL);
    int r = hold_open(repo, j, "restore", !o->dry_run && !o->held, &hold, err);
    if (r < 0)
        return r;
    d.reader = hold.reader;
    d.pool = hold.pool;
    atomic_fetch_add(&j->total_bytes, c->size);
    job_set_path(j, o->name, strlen(o->name));
    r = open_target(&d, hold.lane + 1, err);
    if (r == 0)
        r = write_all(&d, hold.lane, err);
    if (r == 0 && d.target)
        r = d.target->ops->sync(d.target, err);
    if (r == 0 && d.target && o->verify)
        r = read_back(&d, err);
    if (r == 0 && d.target)
        r = d.target->ops->finish(d.target, err);
    if (r < 0)
        return bk_context(err, "restore '%s'", o->name);
    report(&d, ret);
    return 0;
}
