#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

#include "bkd/restore/hold.h"

enum { WINDOW_FIRST = 2048, WINDOW_ITEMS = 32768, WINDOWS = 3 };

/* Measured rates behind the estimate of a dry run; docs/design/restore.md. */
#define COST_ENTRY 25e-6 /* seconds of one thread to create, set and close a small file */

static void end_dir(void *ctx, struct tdir *d, int fd, const struct bk_error *why)
{
    struct run *r = ctx;
    struct place at = { .dir = d, .name = "", .name_len = 0 };
    if (!r->verifying && d->has_attrs && !pool_failed(r->pool)) {
        struct stat st;
        if (fd < 0) {
            run_problem(r, &at, why);
        } else if (fstat(fd, &st) == 0 && (d->fresh || (r->opts->overwrite && !d->lead))) {
            attrs_apply_fd(&r->attrs, &at, fd, &d->attrs,
                           &(struct attrs_now){ .uid = st.st_uid,
                                                .gid = st.st_gid,
                                                .mode = st.st_mode & 07777,
                                                .existing = !d->fresh,
                                                .acl = d->acl });
        }
        atomic_fetch_add(&r->n_dirs, 1);
        run_count_item(r, &at);
    }
    if (fd >= 0)
        close(fd);
}

static void run_clear(struct run *r)
{
    plan_free(r->plan); /* files in it are finished before what they refer to goes */
    if (r->pool) {
        struct bk_error ignored = { 0 };
        if (pool_drain(r->pool, &ignored) < 0)
            bk_error_clear(&ignored);
        links_finish(r);
    }
    tdir_unref(&r->targets, r->root);
    for (unsigned i = 0; r->scratch && i < r->n_scratch; i++)
        free(r->scratch[i]);
    free(r->scratch);
    free(r->bad);
    free(r->prefix);
    idmap_free(r->idmap);
    select_clear(&r->select);
    handles_clear(&r->files);
    handles_clear(&r->targets.handles);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->links_lock);
}
BK_AUTO_CLEAR(struct run, run_clear)

static void run_init(struct run *r, struct repo *repo, struct job *j, const struct snapshot *s,
                     const struct restore_opts *o)
{
    *r = (struct run){ .repo = repo, .job = j, .snap = s, .opts = o };
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->links_lock, NULL);
    handles_init(&r->files, handles_limit(2));
    handles_init(&r->targets.handles, handles_limit(2));
    r->targets.egid = getegid();
    r->targets.ctx = r;
    r->targets.finish = end_dir;
}

static int open_plan(struct run *r, struct bk_error *err)
{
    r->n_scratch = r->lane + 1;
    r->scratch = calloc(r->n_scratch, sizeof *r->scratch);
    r->prefix = strdup("");
    if (!r->scratch || !r->prefix)
        return bk_fail(err, BK_E_NOMEM, "restore files");
    struct plan_opts po = { .sink = file_sink,
                            .n_windows = WINDOWS,
                            .first_items = WINDOW_FIRST,
                            .max_items = WINDOW_ITEMS,
                            .dry_run = r->opts->dry_run };
    po.sink.ctx = r;
    return plan_new(r->reader, r->pool, r->job, &po, &r->plan, err);
}

static int prepare(struct run *r, struct bk_error *err)
{
    const struct restore_opts *o = r->opts;
    int rc = select_init(&r->select, o->includes, o->n_includes, o->excludes, o->n_excludes, err);
    if (rc < 0 || (rc = idmap_new(r->snap, o->numeric_owner, &r->idmap, err)) < 0 ||
        (rc = open_plan(r, err)) < 0)
        return rc;
    r->attrs = (struct attrs_ctx){ .idmap = r->idmap,
                                   .no_owner = o->no_owner,
                                   .umask = attrs_umask(),
                                   .euid = geteuid(),
                                   .ctx = r,
                                   .trouble = run_trouble };
    return 0;
}

static int open_target(struct run *r, struct bk_error *err)
{
    const struct restore_opts *o = r->opts;
    if (o->dry_run)
        return tdir_root(&r->targets, -1, true, &r->root, err);
    bk_auto(close) int fd = -1;
    bool fresh;
    int rc = target_open(o->target, &fd, &fresh, err);
    int empty = rc < 0 ? rc : target_is_empty(fd, err);
    if (empty < 0)
        return empty;
    if (!empty && !o->overwrite) {
        bk_fail(err, BK_E_USAGE, "the target '%s' is not empty", o->target);
        return bk_hint(err, "choose an empty directory, or allow existing files to be overwritten");
    }
    /* In one with something in it, what is restored may lie in directories that can be written into. */
    if (empty && (rc = target_check_writable(fd, o->target, err)) < 0)
        return rc;
    rc = tdir_root(&r->targets, fd, fresh, &r->root, err);
    if (rc == 0)
        bk_steal_fd(&fd);
    return rc;
}

/* ---- totals, for the progress display ---- */

struct sum {
    struct job *job;
    uint64_t bytes, items;
};

static int add_entry(void *ctx, const uint8_t *path, size_t len, const struct tree_entry *e,
                     struct bk_error *err)
{
    (void)path;
    (void)len;
    struct sum *s = ctx;
    s->items++;
    if (e->type == TREE_FILE)
        s->bytes += e->content.size;
    return job_check(s->job, err);
}

static int find_totals(struct run *r, struct bk_error *err)
{
    const struct restore_opts *o = r->opts;
    struct sum sum = { .job = r->job };
    if (o->n_paths == 0) { /* with patterns: an upper bound */
        sum.bytes = r->snap->content_bytes;
        sum.items = r->snap->n_files + r->snap->n_dirs + r->snap->n_others;
    }
    for (size_t i = 0; i < o->n_paths; i++) {
        bk_auto(node_clear) struct node n = { 0 };
        struct bk_error why = { 0 };
        int rc = browse_path(r->reader, r->lane, r->snap, o->paths[i], strlen(o->paths[i]), &n, &why);
        if (rc == 0)
            rc = browse_walk(r->reader, r->lane, &n.e, o->paths[i], strlen(o->paths[i]), add_entry, &sum,
                             &why);
        if (rc < 0 && why.code != BK_E_CORRUPT &&
            why.code != BK_E_IO) { /* damage is reported by the restore itself */
            *err = why;
            return rc;
        }
    }
    atomic_store(&r->job->total_bytes, sum.bytes);
    atomic_store(&r->job->total_items, sum.items);
    return 0;
}

static int write_all(struct run *r, const struct tree_dir *root, struct bk_error *err)
{
    struct bk_error late = { 0 };
    int rc = walk_paths(r, root, err);
    if (rc < 0)
        pool_fail(r->pool, err);
    int waited = plan_wait(r->plan, rc < 0 ? &late : err);
    if (rc < 0 || waited < 0)
        return rc < 0 ? rc : waited;
    links_finish(r);
    return 0;
}

/* Only the target's own metadata is left to do; it is kept open for reading back. */
static int read_back(struct run *r, const struct tree_dir *root, struct bk_error *err)
{
    int fd;
    int rc = tdir_pin(&r->targets, r->root, &fd, err);
    if (rc < 0)
        return rc;
    bk_auto(close) int again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    tdir_unpin(&r->targets, r->root);
    if (again < 0 || syncfs(again) < 0)
        return bk_fail_errno(err, errno, "write what was restored to the medium");
    tdir_unref(&r->targets, r->root);
    r->root = NULL;
    if ((rc = tdir_root(&r->targets, again, false, &r->root, err)) < 0)
        return rc;
    bk_steal_fd(&again);
    return verify_run(r, root, err);
}

static void report(struct run *r, struct restore_report *ret)
{
    struct plan_totals t;
    plan_totals(r->plan, &t);
    *ret = (struct restore_report){ .n_files = atomic_load(&r->n_files),
                                    .n_dirs = atomic_load(&r->n_dirs),
                                    .n_others = atomic_load(&r->n_others),
                                    .n_kept = atomic_load(&r->n_kept),
                                    .n_deleted = r->n_deleted,
                                    .n_problems = atomic_load(&r->n_problems),
                                    .bytes = atomic_load(&r->bytes),
                                    .bytes_written = atomic_load(&r->bytes_written),
                                    .bytes_to_read = t.stored_bytes,
                                    .bytes_verified = atomic_load(&r->bytes_verified) };
    double threads = r->lane;
    ret->seconds_estimated = ((double)t.raw_bytes / RESTORE_RATE_DECODE +
                              (double)(ret->n_files + ret->n_dirs + ret->n_others) * COST_ENTRY) /
                             threads;
}

int restore_files(struct repo *repo, struct job *j, const struct snapshot *s, const struct restore_opts *o,
                  struct restore_report *ret, struct bk_error *err)
{
    const struct snapshot_stream *tree = snapshot_stream_of(s, STREAM_TREE);
    if (!tree)
        return bk_fail(err, BK_E_ABSENT, "the snapshot holds no files");
    if (!o->dry_run && (!o->target || !o->target[0]))
        return bk_fail(err, BK_E_USAGE, "no target directory is given");
    if (o->strip && o->n_paths != 1)
        return bk_fail(err, BK_E_USAGE, "stripping leading directories needs exactly one path");
    if (o->delete_extra && !o->overwrite)
        return bk_fail(err, BK_E_USAGE,
                       "deleting what the snapshot does not have needs permission to overwrite");

    bk_auto(hold_close) struct hold hold = { 0 };
    bk_auto(run_clear) struct run run = { 0 };
    run_init(&run, repo, j, s, o);
    int r = hold_open(repo, j, "restore", !o->dry_run && !o->held, &hold, err);
    if (r < 0)
        return r;
    run.reader = hold.reader;
    run.pool = hold.pool;
    run.lane = hold.lane;
    if ((r = prepare(&run, err)) < 0)
        return r;
    if ((r = find_totals(&run, err)) < 0 || (r = open_target(&run, err)) < 0)
        return r;
    if ((r = write_all(&run, &tree->tree, err)) < 0)
        return bk_context(err, "restore");
    if (o->verify && !o->dry_run && (r = read_back(&run, &tree->tree, err)) < 0)
        return bk_context(err, "verify");
    tdir_unref(&run.targets, run.root);
    run.root = NULL;
    run_log_refused(&run);
    report(&run, ret);
    return 0;
}
