#include "bkd/restore/run.h"

#include <errno.h>

enum { PATH_BYTES_MAX = 1 << 24, ITEMS_PER_PATH = 64 };

static int full_path(struct run *r, const struct place *at, struct bk_buf *out)
{
    struct bk_error err;
    size_t n = strlen(r->prefix);
    if (bk_buf_append(out, r->prefix, n, &err) < 0)
        return -1;
    if (n && (at->name_len || (at->dir && at->dir->name_len)) && bk_buf_u8(out, '/', &err) < 0)
        return -1;
    return tdir_path(at->dir, at->name, at->name_len, out, &err);
}

void run_problem(struct run *r, const struct place *at, const struct bk_error *why)
{
    if (why->code == BK_E_CANCELLED)
        return;
    if (why->code == BK_E_UNREACHABLE) { /* no damage: the next file would wait as long for nothing */
        pool_fail(r->pool, why);
        return;
    }
    atomic_fetch_add(&r->n_problems, 1);
    atomic_fetch_add(&r->job->exceptions, 1);
    if (!r->opts->on_problem)
        return;
    bk_auto(bk_buf_clear) struct bk_buf path = BK_BUF(PATH_BYTES_MAX);
    bool named = full_path(r, at, &path) == 0;
    pthread_mutex_lock(&r->lock);
    if (named)
        r->opts->on_problem(r->opts->ctx, path.data ? path.data : (const uint8_t *)"", path.len, why);
    else
        r->opts->on_problem(r->opts->ctx, at->name, at->name_len, why);
    pthread_mutex_unlock(&r->lock);
}

/* Without privilege the same refusal would come for every file: it is told once and counted. */
void run_trouble(void *ctx, const void *where, enum attrs_kind kind, const struct bk_error *why)
{
    struct run *r = ctx;
    if (why->code == BK_E_PERM && r->attrs.euid != 0 && (kind == ATTRS_OWNER || kind == ATTRS_XATTR)) {
        if (atomic_fetch_add(&r->refused[kind], 1) > 0)
            return;
        struct bk_error once = *why;
        bk_hint(&once,
                "only root can restore every owner and attribute; further files of this kind are not listed");
        run_problem(r, where, &once);
        return;
    }
    run_problem(r, where, why);
}

void run_log_refused(struct run *r)
{
    uint64_t owners = atomic_load(&r->refused[ATTRS_OWNER]), xattrs = atomic_load(&r->refused[ATTRS_XATTR]);
    if (owners)
        job_log(r->job, JOB_WARN,
                BK_COUNTED("the owner of %llu entry could not be set: not permitted",
                           "the owner of %llu entries could not be set: not permitted", owners),
                (unsigned long long)owners);
    if (xattrs)
        job_log(r->job, JOB_WARN,
                BK_COUNTED("%llu extended attribute could not be set: not permitted",
                           "%llu extended attributes could not be set: not permitted", xattrs),
                (unsigned long long)xattrs);
}

void run_count_item(struct run *r, const struct place *at)
{
    uint64_t n = atomic_fetch_add_explicit(&r->job->done_items, 1, memory_order_relaxed);
    if (n % ITEMS_PER_PATH)
        return;
    bk_auto(bk_buf_clear) struct bk_buf path = BK_BUF(PATH_BYTES_MAX);
    if (full_path(r, at, &path) == 0 && path.len)
        job_set_path(r->job, path.data, path.len);
}

bool run_is_fatal(int code)
{
    return code == BK_E_NOSPACE || bk_code_aborts(code);
}

static uint64_t path_hash(struct run *r, const struct place *at)
{
    bk_auto(bk_buf_clear) struct bk_buf path = BK_BUF(PATH_BYTES_MAX);
    if (full_path(r, at, &path) < 0)
        return 0;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < path.len; i++)
        h = (h ^ path.data[i]) * 0x100000001b3u;
    return h;
}

void run_mark_bad(struct run *r, const struct place *at)
{
    if (!r->opts->verify)
        return;
    uint64_t h = path_hash(r, at);
    pthread_mutex_lock(&r->lock);
    if (r->n_bad == r->cap_bad) {
        size_t cap = r->cap_bad ? r->cap_bad * 2 : 64;
        uint64_t *v = reallocarray(r->bad, cap, sizeof *v);
        if (v) {
            r->bad = v;
            r->cap_bad = cap;
        }
    }
    if (r->n_bad < r->cap_bad)
        r->bad[r->n_bad++] = h;
    pthread_mutex_unlock(&r->lock);
}

bool run_is_bad(struct run *r, const struct place *at)
{
    if (r->n_bad == 0)
        return false;
    uint64_t h = path_hash(r, at);
    for (size_t i = 0; i < r->n_bad; i++)
        if (r->bad[i] == h)
            return true;
    return false;
}

uint8_t *run_scratch(struct run *r, unsigned worker)
{
    if (!r->scratch[worker])
        r->scratch[worker] = malloc(RUN_SCRATCH);
    return r->scratch[worker];
}
