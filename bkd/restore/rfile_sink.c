#include "bkd/restore/rfile.h"

#include <errno.h>

void rfile_fail(struct run *r, struct rfile *f, const struct bk_error *why)
{
    if (atomic_exchange(&f->failed, true))
        return;
    struct place at = rfile_place(f);
    run_problem(r, &at, why);
    run_mark_bad(r, &at);
}

static int settle(struct run *r, struct rfile *f, struct bk_error *err)
{
    int fd;
    int rc = rfile_pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    struct place at = rfile_place(f);
    f->now.no_time = f->damage != NULL;
    if (atomic_load(&f->dirty) && (f->now.mode & (S_ISUID | S_ISGID)))
        f->now.mode = (mode_t)-1; /* writing may have cleared them */
    attrs_apply_fd(&r->attrs, &at, fd, &f->attrs, &f->now);
    return close(handles_take(&r->files, &f->handle, true)) < 0 ? bk_fail_errno(err, errno, "close the file")
                                                                : 0;
}

static void finish(struct run *r, struct rfile *f)
{
    bool stopped = pool_failed(r->pool);
    struct bk_error err = { 0 };
    if (!stopped && !f->done && !atomic_load(&f->failed) && settle(r, f, &err) < 0) {
        rfile_fail(r, f, &err);
        if (run_is_fatal(err.code))
            pool_fail(r->pool, &err);
    }
    int fd = handles_take(&r->files, &f->handle, false);
    if (fd >= 0)
        close(fd);
    if (f->damage && !stopped)
        rfile_report_damage(r, f);
    if (f->link)
        links_done(r, f->link, f->done || f->opened);
    if (!stopped && !atomic_load(&f->failed)) {
        struct place at = rfile_place(f);
        atomic_fetch_add_explicit(&r->n_files, 1, memory_order_relaxed);
        run_count_item(r, &at);
    }
    tdir_unref(&r->targets, f->td);
    pthread_mutex_destroy(&f->lock);
    free(f->damage);
    free(f);
}

void rfile_put(struct run *r, struct rfile *f, size_t n)
{
    if (atomic_fetch_sub(&f->pending, n) == n)
        finish(r, f);
}

static int settle_error(struct run *r, struct rfile *f, int rc, const struct bk_error *err)
{
    if (rc >= 0)
        return 0;
    if (run_is_fatal(err->code))
        return rc;
    rfile_fail(r, f, err);
    return 0;
}

static int sink_data(void *ctx, unsigned worker, const struct plan_item *const *v, size_t n, const uint8_t *p,
                     size_t len, struct bk_error *err)
{
    struct run *r = ctx;
    struct rfile *f = v[0]->dst;
    int rc = 0;
    if (!pool_failed(r->pool) && !atomic_load(&f->failed)) {
        bool whole = v[0]->at == 0 && len == f->size && !f->in_place;
        rc = whole ? rfile_write_whole(r, f, p, len, err)
                   : rfile_write_part(r, f, worker, p, len, v[0]->at, err);
        if (rc == 0) {
            atomic_fetch_add_explicit(&r->bytes, len, memory_order_relaxed);
            atomic_fetch_add_explicit(&r->job->done_bytes, len, memory_order_relaxed);
        }
        rc = settle_error(r, f, rc, err);
    }
    /* A fatal error is known to the pool before the file is finished. */
    if (rc < 0)
        pool_fail(r->pool, err);
    rfile_put(r, f, n);
    return rc;
}

static int sink_bare(void *ctx, unsigned worker, const struct plan_item *it, struct bk_error *err)
{
    struct run *r = ctx;
    struct rfile *f = it->dst;
    int rc = 0;
    if (!pool_failed(r->pool) && !atomic_load(&f->failed)) {
        if (it->len == 0 && f->size == 0 && !f->in_place)
            rc = rfile_write_whole(r, f, NULL, 0, err);
        else if (it->len)
            rc = rfile_zero_part(r, f, worker, it, err);
        rc = settle_error(r, f, rc, err);
    }
    if (rc < 0)
        pool_fail(r->pool, err);
    rfile_put(r, f, 1);
    return rc;
}

static void sink_damage(void *ctx, unsigned worker, const struct plan_item *it, const struct bk_error *why)
{
    struct run *r = ctx;
    struct rfile *f = it->dst;
    if (!f) /* dry run */
        return;
    if (!pool_failed(r->pool) && why->code != BK_E_CANCELLED && !rfile_mend(r, f, worker, it))
        rfile_lose(r, f, it->at, it->at + it->len, why);
    rfile_put(r, f, 1);
}

const struct plan_sink file_sink = { .data = sink_data, .bare = sink_bare, .damage = sink_damage };
