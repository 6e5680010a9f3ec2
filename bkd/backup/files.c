/* backup_files: the story of a file backup. */
#include <errno.h>

#include "bkd/backup/owners.h"
#include "bkd/backup/run.h"
#include "bkd/backup/walk.h"

/* The given paths, absolute, and the default name of the series: all of them with commas. */
static int absolute_paths(const struct backup_files *f, struct snapshot_list *ret, struct bk_buf *name,
                          struct bk_error *err)
{
    bk_auto(free) char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return bk_fail_errno(err, errno, "ask for the working directory");
    for (size_t i = 0; i < f->n_paths; i++) {
        bk_auto(free) char *abs = NULL;
        int r = roots_absolute(cwd, f->paths[i], &abs, err);
        if (r == 0)
            r = snapshot_list_add(ret, abs, err);
        if (r == 0 && i)
            r = bk_buf_append(name, ",", 1, err);
        if (r == 0)
            r = bk_buf_append(name, abs, strlen(abs), err);
        if (r < 0)
            return r;
    }
    return bk_buf_u8(name, 0, err);
}

static int walk(struct run *run, const struct backup_files *f, const struct roots_node *roots,
                const struct exclude *exclude, struct bk_error *err)
{
    struct walk w = { .opts = f,
                      .job = run->job,
                      .sink = &run->sink,
                      .reader = run->reader,
                      .verify = run->verify,
                      .troubles = &run->troubles,
                      .roots = roots,
                      .exclude = exclude };
    if (run->parent)
        w.parent = snapshot_stream_of(&run->parent->snap, STREAM_TREE)->tree;
    int r = walk_run(&w, err);
    if (r == 0 && w.n_roots_lost >= w.n_roots)
        r = bk_fail(err, BK_E_FAILED, "nothing of what was asked for could be read");
    struct snapshot *s = &run->snap;
    s->n_files = w.totals.n_files;
    s->n_dirs = w.totals.n_dirs;
    s->n_others = w.totals.n_others;
    s->n_unchanged = w.totals.n_unchanged;
    s->content_bytes = w.totals.content_bytes;
    s->read_bytes = w.totals.read_bytes;
    if (r == 0)
        r = owners_name(&w.owners, s, err);
    owners_clear(&w.owners);
    return r < 0 ? r : run_add_stream(run, STREAM_TREE, "", &w.root, NULL, err);
}

int backup_files(struct repo *repo, struct job *j, const struct backup_common *c,
                 const struct backup_files *f, struct backup_result *ret, struct bk_error *err)
{
    bk_auto(roots_free) struct roots_node *roots = NULL;
    bk_auto(exclude_free) struct exclude *exclude = NULL;
    bk_auto(bk_buf_clear) struct bk_buf name = BK_BUF(SIZE_MAX);
    bk_auto(snapshot_clear) struct snapshot asked = { 0 }; /* only its paths and excludes are used */

    int r = roots_new(f->paths, f->n_paths, &roots, err);
    if (r == 0)
        r = exclude_new(f->excludes, f->n_excludes, &exclude, err);
    if (r == 0)
        r = absolute_paths(f, &asked.paths, &name, err);
    for (size_t i = 0; i < f->n_excludes && r == 0; i++)
        r = snapshot_list_add(&asked.excludes, f->excludes[i], err);
    if (r < 0)
        return r;

    bk_auto(run_close) struct run run;
    r = run_open(&run, repo, j, c, (const char *)name.data, STREAM_TREE, err);
    if (r < 0)
        return r;
    if (f->ahead && ahead_started_ns(f->ahead) < run.snap.start_ns) /* that is when reading began */
        run.snap.start_ns = ahead_started_ns(f->ahead);
    run.snap.paths = asked.paths;
    run.snap.excludes = asked.excludes;
    asked.paths = asked.excludes = (struct snapshot_list){ 0 };

    r = walk(&run, f, roots, exclude, err);
    if (r == 0)
        r = run_commit(&run, ret, err);
    return r;
}
