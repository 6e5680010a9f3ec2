#include "bkd/restore/export.h"

#if HAVE_ARCHIVE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bkd/restore/archive_out.h"
#include "bkd/restore/browse.h"
#include "bkd/restore/feed.h"
#include "bkd/restore/hold.h"
#include "bkd/restore/inodes.h"

#define WINDOW_MAX ((size_t)32 << 20)

struct export
{
    struct job *job;
    const struct export_opts *opts;
    struct export_report *report;
    struct hold hold;
    struct archive_out *out;
    struct feed *feed;
    struct inodes links; /* (device, inode) to the owned path of the first name */
    bool skipping;       /* the entry at hand is not in the archive: its data goes nowhere */
    char *path;          /* owned: of the entry at hand */
    uint64_t at;         /* bytes of it so far */
};

/* An entry on its way through the feed. */
struct mark {
    struct node node;
    char *path;    /* owned */
    char *link_to; /* owned; or NULL */
    struct extents holes;
    bool sparse;
};

static void mark_free(struct mark *m)
{
    if (!m)
        return;
    node_clear(&m->node);
    extents_clear(&m->holes);
    free(m->path);
    free(m->link_to);
    free(m);
}
BK_AUTO(struct mark *, mark_free)

static void problem(struct export *x, const char *path, const struct bk_error *why)
{
    x->report->n_problems++;
    atomic_fetch_add(&x->job->exceptions, 1);
    if (x->opts->on_problem)
        x->opts->on_problem(x->opts->ctx, (const uint8_t *)path, strlen(path), why);
}

/* ---- out of the feed ---- */

static int on_mark(void *ctx, void *mark, struct bk_error *err)
{
    struct export *x = ctx;
    bk_auto(mark_free) struct mark *m = mark;
    struct bk_error why = { 0 };
    free(x->path);
    x->path = bk_steal(m->path);
    x->at = 0;
    int r = job_check(x->job, err);
    if (r < 0)
        return r;
    job_set_path(x->job, x->path, strlen(x->path));
    struct archive_item it = {
        .path = x->path, .e = &m->node.e, .link_to = m->link_to, .holes = m->sparse ? &m->holes : NULL
    };
    r = archive_out_entry(x->out, &it, &why);
    x->skipping = r < 0;
    if (r < 0 && why.code != BK_E_UNSUPPORTED && why.code != BK_E_CORRUPT) {
        *err = why;
        return bk_context(err, "'%s'", x->path);
    }
    if (r < 0)
        problem(x, x->path, &why);
    else
        x->report->n_entries++;
    atomic_fetch_add(&x->job->done_items, 1);
    return 0;
}

static void on_drop(void *ctx, void *mark)
{
    (void)ctx;
    mark_free(mark);
}

static void count(struct export *x, uint64_t len)
{
    x->at += len;
    atomic_fetch_add_explicit(&x->job->done_bytes, len, memory_order_relaxed);
}

static int on_data(void *ctx, const uint8_t *p, size_t len, struct bk_error *err)
{
    struct export *x = ctx;
    int r = job_check(x->job, err);
    if (r == 0 && !x->skipping) {
        r = archive_out_data(x->out, p, len, err);
        x->report->bytes += len;
    }
    count(x, len);
    return r;
}

static int on_zero(void *ctx, uint64_t len, struct bk_error *err)
{
    struct export *x = ctx;
    int r = x->skipping ? 0 : archive_out_zero(x->out, len, err);
    count(x, len);
    return r;
}

static int on_damage(void *ctx, uint64_t len, const struct bk_error *why, struct bk_error *err)
{
    struct export *x = ctx;
    struct bk_error told = *why;
    bk_context(&told, "bytes %llu to %llu are zero in the archive", (unsigned long long)x->at,
               (unsigned long long)(x->at + len));
    problem(x, x->path, &told);
    return on_zero(ctx, len, err);
}

/* ---- into the feed ---- */

static int note_extent(void *ctx, uint64_t offset, const struct extent *e, struct bk_error *err)
{
    (void)offset;
    struct mark *m = ctx;
    struct extent x = *e;
    if (x.kind != EXTENT_DATA) {
        x.kind = EXTENT_HOLE;
        m->sparse = true;
    } else if (m->holes.n && m->holes.v[m->holes.n - 1].kind == EXTENT_DATA) {
        m->holes.v[m->holes.n - 1].len += x.len;
        m->holes.len += x.len;
        return 0;
    }
    return extents_add(&m->holes, &x, err);
}

/* The first name of a file gets its content; later ones say where that is. */
static int link_of(struct export *x, const struct tree_entry *e, struct mark *m, struct bk_error *err)
{
    if (e->nlink <= 1 || e->type == TREE_DIR || !archive_out_links(x->out))
        return 0;
    const char *first = inodes_find(&x->links, e->dev, e->ino);
    char *copy = strdup(first ? first : m->path);
    if (!copy)
        return bk_fail(err, BK_E_NOMEM, "export an entry");
    if (first) {
        m->link_to = copy;
        return 0;
    }
    int r = inodes_add(&x->links, e->dev, e->ino, copy, err);
    if (r < 0)
        free(copy);
    return r;
}

static int on_entry(void *ctx, const uint8_t *path, size_t len, const struct tree_entry *e,
                    struct bk_error *err)
{
    struct export *x = ctx;
    struct bk_error why = { 0 };
    bk_auto(mark_free) struct mark *m = calloc(1, sizeof *m);
    if (!m || !(m->path = strndup((const char *)path, len)))
        return bk_fail(err, BK_E_NOMEM, "export an entry");
    if (!tree_name_valid(e->name, e->name_len)) {
        bk_fail(&why, BK_E_CORRUPT, "no file can have this name");
        problem(x, m->path, &why);
        return 1;
    }
    int r = node_copy(e, &m->node, err);
    if (r < 0 || (r = link_of(x, e, m, err)) < 0)
        return r;
    bool content = e->type == TREE_FILE && !m->link_to;
    /* The map of a sparse file stands before its data. Pages that cannot be read are told when the data is.
     */
    if (content && browse_extents(x->hold.reader, x->hold.lane, &e->content, 0, e->content.size, note_extent,
                                  m, &why) < 0)
        m->sparse = false;
    if ((r = feed_mark(x->feed, m, err)) < 0)
        return r;
    (void)bk_steal(m);
    return content ? feed_content(x->feed, &e->content, err) : 0;
}

static int walk(struct export *x, const struct snapshot *s, const char *path, struct bk_error *err)
{
    bk_auto(node_clear) struct node top = { 0 };
    int r = browse_path(x->hold.reader, x->hold.lane, s, path, strlen(path), &top, err);
    return r < 0 ? r
                 : browse_walk(x->hold.reader, x->hold.lane, &top.e, path, strlen(path), on_entry, x, err);
}

static int walk_all(struct export *x, const struct snapshot *s, struct bk_error *err)
{
    int r = x->opts->n_paths ? 0 : walk(x, s, "", err);
    for (size_t i = 0; r == 0 && i < x->opts->n_paths; i++)
        r = walk(x, s, x->opts->paths[i], err);
    return r < 0 ? r : feed_finish(x->feed, err);
}

static void export_clear(struct export *x)
{
    feed_free(x->feed);
    archive_out_free(x->out);
    for (size_t i = 0; i < x->links.n_slots; i++)
        free(x->links.v[i].value);
    inodes_clear(&x->links);
    free(x->path);
    hold_close(&x->hold);
}
BK_AUTO_CLEAR(struct export, export_clear)

static int write_archive(struct repo *repo, struct job *j, const struct snapshot *s,
                         const struct export_opts *o, int fd, struct export_report *report,
                         struct bk_error *err)
{
    bk_auto(export_clear) struct export x = { .job = j, .opts = o, .report = report };
    struct feed_ops ops = {
        .ctx = &x, .mark = on_mark, .drop = on_drop, .data = on_data, .zero = on_zero, .damage = on_damage
    };
    size_t window = j->memory_bytes / 8 > WINDOW_MAX ? WINDOW_MAX : j->memory_bytes / 8;
    int r;
    if ((r = archive_out_open(o->format, fd, s, &x.out, err)) < 0 ||
        (r = hold_open(repo, j, "export", !o->held, &x.hold, err)) < 0 ||
        (r = feed_new(x.hold.reader, x.hold.pool, j, &ops, window, &x.feed, err)) < 0)
        return r;
    if (!o->n_paths) {
        atomic_store(&j->total_bytes, s->content_bytes);
        atomic_store(&j->total_items, s->n_files + s->n_dirs + s->n_others);
    }
    r = walk_all(&x, s, err);
    return r < 0 ? r : archive_out_close(x.out, err);
}

/* A file beside the final name, with what a new file of this process may be read by. */
static int open_temp(const char *output, char **ret_name, struct bk_error *err)
{
    if (asprintf(ret_name, "%s.XXXXXX.tmp", output) < 0) {
        *ret_name = NULL;
        return bk_fail(err, BK_E_NOMEM, "create '%s'", output);
    }
    int fd = mkostemps(*ret_name, 4, O_CLOEXEC);
    if (fd < 0) {
        int e = errno;
        free(bk_steal(*ret_name));
        return bk_fail_errno(err, e, "create a file beside '%s'", output);
    }
    return fd;
}

/* The name outlives a power cut as well. What stands at the path need not be writable or a file of ours: a
 * directory that cannot be opened for reading, and a file system that has no sync of directories, are left
 * alone. */
static int sync_parent(const char *output, struct bk_error *err)
{
    const char *slash = strrchr(output, '/');
    bk_auto(free) char *dir = !slash            ? strdup(".")
                              : slash == output ? strdup("/")
                                                : strndup(output, (size_t)(slash - output));
    if (!dir)
        return bk_fail(err, BK_E_NOMEM, "write '%s' to the medium", output);
    bk_auto(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return 0;
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        return bk_fail_errno(err, errno, "write '%s' to the medium", output);
    return 0;
}

static int name_output(int fd, const char *temp, const char *output, struct bk_error *err)
{
    if (fsync(fd) < 0)
        return bk_fail_errno(err, errno, "write '%s' to the medium", output);
    if (rename(temp, output) < 0)
        return bk_fail_errno(err, errno, "name '%s'", output);
    return sync_parent(output, err);
}

int export_run(struct repo *r, struct job *j, const struct snapshot *s, const struct export_opts *o,
               struct export_report *ret, struct bk_error *err)
{
    struct export_report report = { 0 };
    if (!o->format || !o->output)
        return bk_fail(err, BK_E_USAGE, "an export needs a format and an output");
    if (strcmp(o->output, "-") == 0) {
        int rc = write_archive(r, j, s, o, STDOUT_FILENO, &report, err);
        if (rc == 0)
            *ret = report;
        return rc;
    }
    bk_auto(free) char *temp = NULL;
    bk_auto(close) int fd = open_temp(o->output, &temp, err);
    if (fd < 0)
        return fd;
    int rc = write_archive(r, j, s, o, fd, &report, err);
    if (rc == 0)
        rc = name_output(fd, temp, o->output, err);
    if (rc < 0)
        unlink(temp); /* nothing stands there any more once it has its name */
    else
        *ret = report;
    return rc;
}

#else

int export_run(struct repo *r, struct job *j, const struct snapshot *s, const struct export_opts *o,
               struct export_report *ret, struct bk_error *err)
{
    (void)r;
    (void)j;
    (void)s;
    (void)o;
    (void)ret;
    return bk_fail(err, BK_E_UNSUPPORTED, "this program was built without libarchive");
}

#endif
