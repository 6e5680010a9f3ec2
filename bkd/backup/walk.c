#include "bkd/backup/walk.h"

#include <errno.h>
#include <sys/sysmacros.h>

void walk_fail(struct walk *w, const struct bk_error *err)
{
    pool_fail(w->pool, err);
}

void walk_parent_damaged(struct walk *w, const struct bk_error *why)
{
    job_log(w->job, JOB_WARN, "the parent snapshot is damaged, reading anew: %s", why->text);
}

void walk_own_xattrs(struct item *it, struct bk_buf *b)
{
    if (!b->len) {
        bk_buf_clear(b);
        return;
    }
    it->own = b->data;
    it->e.xattrs = b->data;
    it->e.xattrs_len = b->len;
    b->data = NULL;
}

/* Nothing is wrong with the source then: a snapshot that lacks what we had no memory or no descriptor for
 * helps nobody. */
static bool is_ours(int sys)
{
    return sys == ENOMEM || sys == EMFILE || sys == ENFILE;
}

void walk_trouble(struct walk *w, struct dir *d, const char *name, enum tree_trouble kind, int sys,
                  const char *detail)
{
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf path = BK_BUF(SIZE_MAX);
    int r = dirs_path(d, name, &path, &err);
    if (r == 0 && is_ours(sys)) {
        r = bk_fail_errno(&err, sys, "read %s", (const char *)path.data);
        if (sys != ENOMEM)
            bk_hint(&err, "allow more open files (ulimit -n), or use fewer threads");
    }
    if (r == 0)
        r = troubles_add(w->troubles, kind, sys, (const char *)path.data, detail, &err);
    if (r < 0)
        walk_fail(w, &err);
}

void walk_trouble_errno(struct walk *w, struct dir *d, const char *name, int sys)
{
    if (sys == ENOENT)
        walk_trouble(w, d, name, TROUBLE_VANISHED, sys, "");
    else if (sys == ESTALE || sys == ENOTDIR)
        walk_trouble(w, d, name, TROUBLE_VANISHED, sys, N_("something else is there now"));
    else
        walk_trouble(w, d, name, TROUBLE_UNREADABLE, sys, "");
}

static int open_lanes(struct walk *w, struct bk_error *err)
{
    w->n_lanes = w->job->n_threads;
    w->lanes = calloc(w->n_lanes, sizeof *w->lanes);
    if (!w->lanes)
        return bk_fail_errno(err, ENOMEM, "%u workers", w->n_lanes);
    job_rate_init(&w->rate, w->job->limit_read);
    struct job_rate *rate = w->job->limit_read ? &w->rate : NULL;
    for (unsigned i = 0; i < w->n_lanes; i++) {
        struct walk_lane *l = &w->lanes[i];
        l->page = BK_BUF(CHUNK_MAX);
        l->path = BK_BUF(SIZE_MAX);
        int r = ingest_open(&l->in, w->sink, w->job, rate, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void close_lanes(struct walk *w)
{
    for (unsigned i = 0; w->lanes && i < w->n_lanes; i++) {
        struct walk_lane *l = &w->lanes[i];
        const struct walk_totals *t = &l->totals;
        w->totals.n_files += t->n_files;
        w->totals.n_dirs += t->n_dirs;
        w->totals.n_others += t->n_others;
        w->totals.n_unchanged += t->n_unchanged;
        w->totals.content_bytes += t->content_bytes;
        w->totals.read_bytes += l->in.read_bytes;
        owners_join(&w->owners, &l->owners);
        owners_clear(&l->owners);
        ingest_close(&l->in);
        bk_buf_clear(&l->page);
        bk_buf_clear(&l->path);
    }
    free(w->lanes);
    w->lanes = NULL;
}

static int start(struct walk *w, struct bk_error *err)
{
    struct dir *top = calloc(1, sizeof *top);
    if (!top)
        return bk_fail_errno(err, ENOMEM, "start a walk");
    *top = (struct dir){
        .task.run = walk_dir, .w = w, .name = "/", .roots = w->roots, .only_roots = !w->roots->whole, .fd = -1
    };
    struct statx st;
    if (meta_stat(-1, "/", true, &st) == 0)
        top->one_dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    top->old.dir = w->parent;
    pool_push(w->pool, &top->task);
    return pool_drain(w->pool, err);
}

int walk_run(struct walk *w, struct bk_error *err)
{
    w->ignore =
        (w->opts->ignore_ctime ? META_IGNORE_CTIME : 0u) | (w->opts->ignore_inode ? META_IGNORE_INODE : 0u);
    w->n_roots = roots_count(w->roots);
    if (w->opts->ahead)
        ahead_stop(w->opts->ahead);
    int r = open_lanes(w, err);
    if (r == 0)
        r = dirs_new(&w->dirs, err);
    if (r == 0)
        r = links_new(&w->links, err);
    if (r == 0)
        r = pool_new(w->n_lanes, &w->pool, err);
    if (r == 0)
        r = start(w, err);
    pool_free(w->pool);
    w->pool = NULL;
    close_lanes(w);
    links_free(w->links);
    dirs_free(w->dirs);
    w->n_roots_lost = atomic_load(&w->roots_lost);
    return r;
}
