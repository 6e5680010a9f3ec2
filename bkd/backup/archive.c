/* backup_archive: an archive that libarchive can read becomes a tree snapshot. */
#include "bkd/backup/backup.h"

#if HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

#include "bkd/backup/graft.h"
#include "bkd/backup/owners.h"
#include "bkd/backup/run.h"
#include "bkd/source/meta.h"

struct import {
    struct run *run;
    struct archive *a;
    struct graft *graft;
    struct ingest in;
    const char *path; /* of the archive, for messages */
};

static int fail_archive(struct import *im, struct bk_error *err)
{
    const char *text = archive_error_string(im->a);
    bk_fail(err, BK_E_FAILED, "archive '%s': %s", im->path, text ? text : bk_text(N_("cannot be read")));
    if (archive_errno(im->a) == EILSEQ) /* libarchive's number for a format it does not know */
        bk_hint(err,
                "tar, cpio, zip, 7z and ISO 9660 archives can be imported; any other file is saved as it "
                "is by a backup");
    return BK_E_FAILED;
}

static int skip(struct import *im, const char *path, const char *why, struct bk_error *err)
{
    return troubles_add(&im->run->troubles, TROUBLE_SKIPPED, 0, path, why, err);
}

/* libarchive takes the fraction of a pax time as counting forwards from the whole second, also before 1970,
 * where the text "-1.25" means one second and a quarter before it. */
static struct tree_time time_of(const struct import *im, time_t s, long ns)
{
    if (ns < 0 || ns >= 1000000000)
        ns = 0;
    bool tar = (archive_format(im->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    if (tar && s < 0 && ns > 0)
        return (struct tree_time){ .s = s - 1, .ns = 1000000000 - (uint32_t)ns };
    return (struct tree_time){ .s = s, .ns = (uint32_t)ns };
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* libarchive hands pairs out in the order of the archive; a tree has them sorted. */
static int take_xattrs(struct archive_entry *e, struct bk_buf *out, struct bk_error *err)
{
    size_t n = (size_t)archive_entry_xattr_reset(e), k = 0;
    if (!n)
        return 0;
    struct pair {
        const char *name;
        const void *value;
        size_t len;
    };
    bk_auto(free) struct pair *v = calloc(n, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "extended attributes");
    while (k < n && archive_entry_xattr_next(e, &v[k].name, &v[k].value, &v[k].len) == ARCHIVE_OK)
        k++;
    qsort(v, k, sizeof *v, by_name);
    out->len = 0;
    for (size_t i = 0; i < k; i++) {
        int r = tree_xattr_append(out, v[i].name, v[i].value, v[i].len, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int note_owner(struct snapshot_id_name **v, size_t *n, uint32_t id, const char *name,
                      struct bk_error *err)
{
    enum { NAMES_MAX = 1024 }; /* an archive with more owners than this keeps the numbers of the rest */
    if (!name || !*name || strlen(name) > SNAPSHOT_TEXT_MAX || *n >= NAMES_MAX)
        return 0;
    size_t at = 0;
    while (at < *n && (*v)[at].id < id)
        at++;
    if (at < *n && (*v)[at].id == id)
        return 0;
    struct snapshot_id_name *more = reallocarray(*v, *n + 1, sizeof *more);
    if (!more)
        return bk_fail_errno(err, ENOMEM, "names of owners");
    *v = more;
    char *copy = strdup(name);
    if (!copy)
        return bk_fail_errno(err, ENOMEM, "names of owners");
    memmove(more + at + 1, more + at, (*n - at) * sizeof *more);
    more[at] = (struct snapshot_id_name){ .id = id, .name = copy };
    ++*n;
    return 0;
}

static int take_meta(struct import *im, struct archive_entry *e, struct graft_inode *i, struct bk_error *err)
{
    struct snapshot *s = &im->run->snap;
    i->mode = (uint32_t)archive_entry_perm(e) & 07777;
    i->uid = (uint32_t)archive_entry_uid(e);
    i->gid = (uint32_t)archive_entry_gid(e);
    if (archive_entry_mtime_is_set(e))
        i->mtime = time_of(im, archive_entry_mtime(e), archive_entry_mtime_nsec(e));
    i->ctime = archive_entry_ctime_is_set(e)
                   ? time_of(im, archive_entry_ctime(e), archive_entry_ctime_nsec(e))
                   : i->mtime;
    if (archive_entry_birthtime_is_set(e)) {
        i->flags |= TREE_HAS_BTIME;
        i->btime = time_of(im, archive_entry_birthtime(e), archive_entry_birthtime_nsec(e));
    }
    if (i->type == TREE_CHAR || i->type == TREE_BLOCK) {
        i->rdev_major = (uint32_t)archive_entry_rdevmajor(e);
        i->rdev_minor = (uint32_t)archive_entry_rdevminor(e);
    }
    int r = note_owner(&s->users, &s->n_users, i->uid, archive_entry_uname(e), err);
    if (r == 0)
        r = note_owner(&s->groups, &s->n_groups, i->gid, archive_entry_gname(e), err);
    return r < 0 ? r : take_xattrs(e, &i->xattrs, err);
}

/* The data of the entry at hand, with its holes. A damaged block ends it: *ret_whole false. */
static int read_data(struct import *im, struct archive_entry *e, struct pieces *p, bool *ret_whole,
                     struct bk_error *err)
{
    uint64_t at = 0;
    *ret_whole = true;
    for (;;) {
        const void *data = NULL;
        size_t len = 0;
        la_int64_t off = (la_int64_t)at;
        int r = archive_read_data_block(im->a, &data, &len, &off);
        if (r == ARCHIVE_EOF)
            break;
        if (r == ARCHIVE_RETRY)
            continue;
        if (r == ARCHIVE_FATAL)
            return fail_archive(im, err);
        /* A warning comes with the last block when the checksum or the size of the member does not fit. */
        if (r == ARCHIVE_WARN)
            *ret_whole = false;
        if (r < ARCHIVE_WARN || off < 0 || (uint64_t)off < at) {
            *ret_whole = false;
            break;
        }
        r = ingest_feed_hole(&im->in, (uint64_t)off - at, p, err);
        if (r == 0)
            r = ingest_feed(&im->in, data, len, p, err);
        if (r < 0)
            return r;
        at = (uint64_t)off + len;
    }
    uint64_t size =
        archive_entry_size_is_set(e) && archive_entry_size(e) > 0 ? (uint64_t)archive_entry_size(e) : 0;
    int r = size > at ? ingest_feed_hole(&im->in, size - at, p, err) : 0;
    return r < 0 ? r : ingest_flush(&im->in, p, err);
}

static int take_content(struct import *im, struct archive_entry *e, const char *path, struct graft_inode *i,
                        struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces p = { 0 };
    struct content c = { 0 };
    bool whole;
    int r = read_data(im, e, &p, &whole, err);
    if (r == 0)
        r = pieces_join(&p, im->in.sink, im->in.lane, &c, err);
    i->content.len = 0;
    if (r == 0)
        r = content_encode(&c, &i->content, err);
    if (r == 0 && !whole) {
        i->flags |= TREE_CONTENT_PARTIAL;
        const char *text = archive_error_string(im->a);
        r = troubles_add(&im->run->troubles, TROUBLE_PARTIAL, 0, path, text ? text : "", err);
    }
    return r;
}

static int take_link(struct import *im, struct archive_entry *e, const char *path, const char *target,
                     struct bk_error *err)
{
    struct graft_node *to, *n;
    int r = graft_at(im->graft, target, false, &to, err);
    if (r < 0)
        return r;
    if (!r || to->inode->type == TREE_DIR)
        return skip(im, path, "a hard link to something that is not in the archive", err);
    r = graft_at(im->graft, path, true, &n, err);
    if (r < 0)
        return r;
    if (graft_has_children(n))
        return skip(im, path, "a directory of the archive stands in its place", err);
    graft_link(n, to);
    /* some formats carry the data with the last name */
    if (n->inode->type == TREE_FILE && archive_entry_size_is_set(e) && archive_entry_size(e) > 0)
        return take_content(im, e, path, n->inode, err);
    return 0;
}

static int take_entry(struct import *im, struct archive_entry *e, struct bk_error *err)
{
    const char *path = archive_entry_pathname(e);
    if (!path)
        path = archive_entry_pathname_utf8(e);
    if (!path || !graft_path_ok(path))
        return skip(im, path ? path : "?", "a path that a tree cannot hold", err);
    job_set_path(im->run->job, path, strlen(path));
    atomic_fetch_add_explicit(&im->run->job->done_items, 1, memory_order_relaxed);

    const char *hard = archive_entry_hardlink(e);
    enum tree_type type = meta_type(archive_entry_filetype(e));
    if (!type && !hard)
        return skip(im, path, "an unknown type of file", err);
    if (hard)
        return take_link(im, e, path, hard, err);
    struct graft_node *n;
    int r = graft_at(im->graft, path, true, &n, err);
    if (r < 0)
        return r;
    if (type != TREE_DIR && graft_has_children(n))
        return skip(im, path, "a directory of the archive stands in its place", err);
    r = graft_reset(im->graft, n, type, err);
    if (r == 0)
        r = take_meta(im, e, n->inode, err);
    if (r == 0 && type == TREE_SYMLINK) {
        const char *to = archive_entry_symlink(e);
        if (!to)
            to = archive_entry_symlink_utf8(e);
        r = bk_buf_append(&n->inode->link, to ? to : "", to ? strlen(to) : 0, err);
    }
    if (r == 0 && type == TREE_FILE)
        r = take_content(im, e, path, n->inode, err);
    return r;
}

/* All but mtree: it takes many texts for its own, and names files of this host as content. */
static void support_formats(struct archive *a)
{
    archive_read_support_format_tar(a);
    archive_read_support_format_cpio(a);
    archive_read_support_format_zip(a);
    archive_read_support_format_7zip(a);
    archive_read_support_format_rar(a);
    archive_read_support_format_rar5(a);
    archive_read_support_format_cab(a);
    archive_read_support_format_iso9660(a);
    archive_read_support_format_lha(a);
    archive_read_support_format_xar(a);
    archive_read_support_format_ar(a);
    archive_read_support_format_warc(a);
    archive_read_support_format_empty(a);
}

static int read_archive(struct import *im, struct bk_error *err)
{
    archive_read_support_filter_all(im->a);
    support_formats(im->a);
    int opened = strcmp(im->path, "-") ? archive_read_open_filename(im->a, im->path, INGEST_READ)
                                       : archive_read_open_fd(im->a, 0, INGEST_READ);
    if (opened != ARCHIVE_OK)
        return fail_archive(im, err);
    for (;;) {
        struct archive_entry *e;
        int r = archive_read_next_header(im->a, &e);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r == ARCHIVE_RETRY)
            continue;
        if (r < ARCHIVE_WARN)
            return fail_archive(im, err);
        r = job_check(im->run->job, err);
        if (r == 0)
            r = take_entry(im, e, err);
        if (r < 0)
            return r;
    }
}

static int import(struct import *im, struct bk_error *err)
{
    struct run *run = im->run;
    struct tree_dir top;
    struct graft_totals t;
    int r = ingest_open(&im->in, &run->sink, run->job, NULL, 0, err);
    if (r == 0)
        r = graft_new(run->job->memory_bytes, &im->graft, err);
    if (r == 0)
        r = read_archive(im, err);
    if (r == 0)
        r = graft_store(im->graft, &run->sink, 0, &top, &t, err);
    if (r < 0)
        return r;
    run->snap.n_files = t.n_files;
    run->snap.n_dirs = t.n_dirs;
    run->snap.n_others = t.n_others;
    run->snap.content_bytes = t.content_bytes;
    run->snap.read_bytes = im->in.read_bytes;
    return run_add_stream(run, STREAM_TREE, "", &top, NULL, err);
}

int backup_archive(struct repo *repo, struct job *j, const struct backup_common *c, const char *path,
                   struct backup_result *ret, struct bk_error *err)
{
    if (strcmp(path, "-") && access(path, R_OK) < 0)
        return bk_fail_errno(err, errno, "archive '%s'", path);
    bk_auto(run_close) struct run run;
    int r = run_open(&run, repo, j, c, path, 0, err);
    if (r < 0)
        return r;
    struct import im = { .run = &run, .path = path, .a = archive_read_new() };
    r = im.a ? snapshot_list_add(&run.snap.paths, path, err)
             : bk_fail_errno(err, ENOMEM, "archive '%s'", path);
    if (r == 0)
        r = import(&im, err);
    ingest_close(&im.in);
    graft_free(im.graft);
    archive_read_free(im.a);
    return r < 0 ? r : run_commit(&run, ret, err);
}

#else

int backup_archive(struct repo *repo, struct job *j, const struct backup_common *c, const char *path,
                   struct backup_result *ret, struct bk_error *err)
{
    (void)repo, (void)j, (void)c, (void)ret;
    return bk_fail(err, BK_E_UNSUPPORTED, "archive '%s': this build has no libarchive", path);
}

#endif
