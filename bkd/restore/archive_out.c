#include "bkd/restore/archive_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { ZEROES = 64 << 10, SPARSE_BLOCK = 4096 };

struct archive_out {
    struct archive *a;
    struct archive_entry *entry;
    const struct snapshot *snap;
    bool links, sparse, xattrs;
    int fd;
    bool over; /* nothing more may be written */
};

static int fail_archive(struct bk_error *err, struct archive *a, const char *what)
{
    int sys = archive_errno(a);
    const char *text = archive_error_string(a);
    if (sys > 0)
        return bk_fail_errno(err, sys, "%s", bk_text(what));
    return bk_fail(err, BK_E_IO, "%s: %s", bk_text(what), text ? text : bk_text(N_("unknown error")));
}

static int set_tar(struct archive_out *o)
{
    o->links = o->sparse = o->xattrs = true;
    int r = archive_write_set_format_pax(o->a);
    /* One header per attribute, the one everybody reads. Names that the locale cannot express as UTF-8 are
     * written as the bytes they are. */
    if (r == ARCHIVE_OK)
        r = archive_write_set_format_option(o->a, "pax", "xattrheader", "SCHILY");
    return r;
}

static int set_format(struct archive_out *o, const char *format, struct bk_error *err)
{
    int r;
    if (strcmp(format, "tar") == 0) {
        r = set_tar(o);
    } else if (strcmp(format, "tar.zst") == 0) {
        r = set_tar(o);
        if (r == ARCHIVE_OK)
            r = archive_write_add_filter_zstd(o->a);
    } else if (strcmp(format, "tar.gz") == 0) {
        r = set_tar(o);
        if (r == ARCHIVE_OK)
            r = archive_write_add_filter_gzip(o->a);
    } else if (strcmp(format, "zip") == 0) {
        r = archive_write_set_format_zip(o->a);
    } else if (strcmp(format, "cpio") == 0) {
        r = archive_write_set_format_cpio_newc(o->a);
    } else {
        bk_fail(err, BK_E_USAGE, "'%s' is no archive format", format);
        return bk_hint(err, "the formats are tar, tar.zst, tar.gz, zip and cpio");
    }
    return r >= ARCHIVE_WARN ? 0 : fail_archive(err, o->a, N_("set up the archive"));
}

static la_ssize_t write_fd(struct archive *a, void *ctx, const void *p, size_t len)
{
    struct archive_out *o = ctx;
    ssize_t n = -1;
    if (o->over)
        archive_set_error(a, ECANCELED, "the archive is not complete");
    else
        do
            n = write(o->fd, p, len);
        while (n < 0 && errno == EINTR);
    if (n < 0 && !o->over)
        archive_set_error(a, errno, "write");
    return n;
}

int archive_out_open(const char *format, int fd, const struct snapshot *s, struct archive_out **ret,
                     struct bk_error *err)
{
    bk_auto(archive_out_free) struct archive_out *o = calloc(1, sizeof *o);
    if (!o || !(o->a = archive_write_new()) || !(o->entry = archive_entry_new()))
        return bk_fail(err, BK_E_NOMEM, "set up the archive");
    o->snap = s;
    o->fd = fd;
    int r = set_format(o, format, err);
    if (r < 0)
        return r;
    archive_write_set_bytes_in_last_block(o->a, 1);
    if (archive_write_open(o->a, o, NULL, write_fd, NULL) != ARCHIVE_OK)
        return fail_archive(err, o->a, N_("start the archive"));
    *ret = bk_steal(o);
    return 0;
}

bool archive_out_links(const struct archive_out *a)
{
    return a->links;
}

static unsigned format_of(enum tree_type t)
{
    switch (t) {
    case TREE_FILE:
        return AE_IFREG;
    case TREE_DIR:
        return AE_IFDIR;
    case TREE_SYMLINK:
        return AE_IFLNK;
    case TREE_FIFO:
        return AE_IFIFO;
    case TREE_SOCKET:
        return AE_IFSOCK;
    case TREE_CHAR:
        return AE_IFCHR;
    case TREE_BLOCK:
        return AE_IFBLK;
    }
    return 0;
}

static const char *name_of(const struct snapshot_id_name *v, size_t n, uint32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].id == id)
            return v[i].name;
    return NULL;
}

static int add_xattrs(struct archive_entry *ae, const struct tree_entry *e, struct bk_error *err)
{
    if (!e->xattrs || !e->xattrs_len)
        return 0;
    struct bk_reader r = bk_reader_of(e->xattrs, e->xattrs_len);
    const char *name;
    const uint8_t *value;
    size_t len;
    int rc = 0;
    while (bk_reader_left(&r) && (rc = tree_xattr_next(&r, &name, &value, &len, err)) > 0)
        archive_entry_xattr_add_entry(ae, name, value, len);
    return rc < 0 ? rc : 0;
}

/* Where there is data. Regions are widened to whole blocks: GNU tar reads each from a new block. An empty
 * list would mean "all", so a file that is one hole gets an empty region. */
static void add_sparse(struct archive_entry *ae, const struct extents *x)
{
    uint64_t at = 0, from = 0, to = 0; /* the region at hand is [from, to) */
    for (size_t i = 0; i < x->n; at += x->v[i++].len) {
        if (x->v[i].kind != EXTENT_DATA)
            continue;
        uint64_t start = at - at % SPARSE_BLOCK, end = at + x->v[i].len;
        end += (SPARSE_BLOCK - end % SPARSE_BLOCK) % SPARSE_BLOCK;
        if (start > to) {
            if (to > from)
                archive_entry_sparse_add_entry(ae, (la_int64_t)from, (la_int64_t)(to - from));
            from = start;
        }
        to = end < x->len ? end : x->len;
    }
    if (to > from)
        archive_entry_sparse_add_entry(ae, (la_int64_t)from, (la_int64_t)(to - from));
    if (to == 0)
        archive_entry_sparse_add_entry(ae, (la_int64_t)x->len, 0);
}

/* libarchive writes second and fraction one after the other, also before 1970, where pax and all other
 * readers count the fraction backwards. Of the last second before 1970 it cannot write a fraction at all. */
static void set_mtime(const struct archive_out *o, struct archive_entry *ae, const struct tree_time *t)
{
    if (!o->links || t->s >= 0 || t->ns == 0)
        archive_entry_set_mtime(ae, t->s, (long)t->ns);
    else if (t->s == -1)
        archive_entry_set_mtime(ae, -1, 0);
    else
        archive_entry_set_mtime(ae, t->s + 1, 1000000000 - (long)t->ns);
}

static int fill_entry(struct archive_out *o, const struct archive_item *it, struct bk_error *err)
{
    struct archive_entry *ae = archive_entry_clear(o->entry);
    const struct tree_entry *e = it->e;
    archive_entry_set_pathname(ae, it->path);
    archive_entry_set_filetype(ae, format_of(e->type));
    archive_entry_set_perm(ae, (__LA_MODE_T)(e->mode & 07777));
    archive_entry_set_uid(ae, e->uid);
    archive_entry_set_gid(ae, e->gid);
    archive_entry_set_uname(ae, name_of(o->snap->users, o->snap->n_users, e->uid));
    archive_entry_set_gname(ae, name_of(o->snap->groups, o->snap->n_groups, e->gid));
    set_mtime(o, ae, &e->mtime);
    archive_entry_set_nlink(ae, 1);
    archive_entry_set_size(ae, 0);
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK) {
        archive_entry_set_rdevmajor(ae, e->rdev_major);
        archive_entry_set_rdevminor(ae, e->rdev_minor);
    }
    if (e->type == TREE_SYMLINK) {
        char *to = strndup((const char *)e->link, e->link_len);
        if (!to)
            return bk_fail(err, BK_E_NOMEM, "write an entry");
        archive_entry_set_symlink(ae, to);
        free(to);
    }
    if (it->link_to) {
        archive_entry_set_hardlink(ae, it->link_to);
        return 0;
    }
    if (e->type == TREE_FILE) {
        archive_entry_set_size(ae, (la_int64_t)e->content.size);
        if (it->holes && o->sparse)
            add_sparse(ae, it->holes);
    }
    return o->xattrs ? add_xattrs(ae, e, err) : 0;
}

int archive_out_entry(struct archive_out *o, const struct archive_item *it, struct bk_error *err)
{
    if (it->e->type == TREE_SOCKET)
        return bk_fail(err, BK_E_UNSUPPORTED, "archives do not hold sockets");
    int r = fill_entry(o, it, err);
    if (r < 0)
        return r;
    r = archive_write_header(o->a, o->entry);
    if (r == ARCHIVE_FATAL)
        return fail_archive(err, o->a, N_("write an entry"));
    if (r < ARCHIVE_WARN)
        return bk_fail(err, BK_E_UNSUPPORTED, "the archive cannot hold it: %s", archive_error_string(o->a));
    return 0;
}

int archive_out_data(struct archive_out *o, const void *p, size_t len, struct bk_error *err)
{
    const uint8_t *at = p;
    while (len) {
        la_ssize_t n = archive_write_data(o->a, at, len);
        if (n <= 0)
            return fail_archive(err, o->a, N_("write the archive"));
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int archive_out_zero(struct archive_out *o, uint64_t len, struct bk_error *err)
{
    static const uint8_t zeroes[ZEROES];
    int r = 0;
    while (r == 0 && len) {
        size_t n = len < ZEROES ? (size_t)len : ZEROES;
        r = archive_out_data(o, zeroes, n, err);
        len -= n;
    }
    return r;
}

int archive_out_close(struct archive_out *o, struct bk_error *err)
{
    return archive_write_close(o->a) == ARCHIVE_OK ? 0 : fail_archive(err, o->a, N_("finish the archive"));
}

void archive_out_free(struct archive_out *o)
{
    if (!o)
        return;
    o->over = true; /* no end record behind an archive that was not closed */
    if (o->a)
        archive_write_free(o->a);
    archive_entry_free(o->entry);
    free(o);
}
