#include "bkctl/mount.h"

#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkctl/command.h"
#include "bkctl/mount_node.h"
#include "bkctl/show.h"

enum { READ_MAX = 1 << 20, DIR_BUFFER_MAX = 1 << 20, HANDLE_NAME = 256 };
#define FOREVER 86400.0

struct mount {
    struct app *a;
    struct view view;
    struct mtable *nodes;
    uid_t uid;
    gid_t gid;
};

static struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static struct mnode *node_of(fuse_req_t req, fuse_ino_t ino)
{
    return mtable_by_ino(mount_of(req)->nodes, ino);
}

/* The reason goes to the one who mounted; the caller gets a number. */
static int errno_of(struct mount *m, const struct bk_error *err)
{
    if (err->code == BK_E_ABSENT && !err->sys)
        return ENOENT;
    ui_warn(&m->a->ui, "%s", err->text);
    return err->code == BK_E_NOMEM ? ENOMEM : EIO;
}

static const struct content *content_of(const struct mnode *n)
{
    if (n->kind == MNODE_BLOB)
        return &n->stream->content;
    return n->kind == MNODE_ENTRY && n->node.e.type == TREE_FILE ? &n->node.e.content : NULL;
}

/* ---- attributes ---- */

static mode_t type_bits(enum tree_type t)
{
    static const mode_t bits[] = { 0, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
    return (size_t)t < BK_COUNT(bits) ? bits[t] : 0;
}

static struct timespec time_of(const struct tree_time *t)
{
    return (struct timespec){ .tv_sec = (time_t)t->s, .tv_nsec = (long)t->ns };
}

/* Names of one file show one number, so that programs that copy see a hard link. The nodes stay two: the
 * kernel's number of a node is its own matter. The numbers are mixed from what the snapshot says, which needs
 * no table of links; numbers of nodes stay far below them. */
static ino_t shown_ino(const struct mnode *n)
{
    const struct tree_entry *e = &n->node.e;
    if (n->kind != MNODE_ENTRY || e->type == TREE_DIR || e->nlink < 2)
        return n->ino;
    uint64_t h = 1469598103934665603u;
    const uint64_t parts[] = { e->dev, e->ino };
    for (size_t i = 0; i < SESSION_ID; i++)
        h = (h ^ n->snap->id[i]) * 1099511628211u;
    for (size_t i = 0; i < BK_COUNT(parts); i++) {
        h = (h ^ parts[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return (ino_t)((h >> 2) | (uint64_t)1 << 62);
}

static void entry_stat(const struct tree_entry *e, struct stat *st)
{
    st->st_mode = type_bits(e->type) | (e->mode & 07777);
    st->st_uid = e->uid;
    st->st_gid = e->gid;
    st->st_nlink = e->type == TREE_DIR ? 1 : (nlink_t)(e->nlink ? e->nlink : 1);
    st->st_mtim = st->st_atim = time_of(&e->mtime);
    st->st_ctim = time_of(&e->ctime);
    if (e->type == TREE_FILE)
        st->st_size = (off_t)e->content.size;
    if (e->type == TREE_SYMLINK)
        st->st_size = (off_t)e->link_len;
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK)
        st->st_rdev = makedev(e->rdev_major, e->rdev_minor);
}

static void fill_stat(const struct mount *m, const struct mnode *n, struct stat *st)
{
    *st = (struct stat){
        .st_ino = shown_ino(n), .st_nlink = 1, .st_uid = m->uid, .st_gid = m->gid, .st_blksize = 1 << 17
    };
    if (n->snap)
        st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec =
            (time_t)(n->snap->start_ns / 1000000000);
    switch (n->kind) {
    case MNODE_FIXED:
    case MNODE_SNAP:
        st->st_mode = S_IFDIR | 0555;
        break;
    case MNODE_LINK:
        st->st_mode = S_IFLNK | 0777;
        st->st_size = (off_t)strlen(n->target);
        break;
    case MNODE_BLOB:
        st->st_mode = S_IFREG | 0400;
        st->st_size = (off_t)n->stream->content.size;
        break;
    case MNODE_ENTRY:
        entry_stat(&n->node.e, st);
        break;
    }
    st->st_blocks = (st->st_size + 511) / 512;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mnode *n = node_of(req, ino);
    struct stat st;
    if (!n) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fill_stat(mount_of(req), n, &st);
    fuse_reply_attr(req, &st, FOREVER);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mnode *n = node_of(req, ino);
    char target[TREE_LINK_MAX + 1];
    if (n && n->kind == MNODE_LINK) {
        fuse_reply_readlink(req, n->target);
    } else if (n && n->kind == MNODE_ENTRY && n->node.e.type == TREE_SYMLINK &&
               n->node.e.link_len < sizeof target) {
        memcpy(target, n->node.e.link, n->node.e.link_len);
        target[n->node.e.link_len] = '\0';
        fuse_reply_readlink(req, target);
    } else {
        fuse_reply_err(req, EINVAL);
    }
}

/* ---- names ---- */

static const struct tree_dir *dir_of(const struct mnode *n)
{
    if (n->kind == MNODE_ENTRY)
        return n->node.e.type == TREE_DIR ? &n->node.e.dir : NULL;
    const struct snapshot_stream *s = n->kind == MNODE_SNAP ? snapshot_stream_of(n->snap, STREAM_TREE) : NULL;
    return s ? &s->tree : NULL;
}

static bool is_blob(const struct snapshot_stream *s)
{
    return (s->kind == STREAM_BLOB || s->kind == STREAM_DISK) && tree_name_valid(s->name, strlen(s->name));
}

/* The child as a new node: 1 made, 0 not there. */
static int make_child(struct mount *m, struct mnode *parent, const char *name, struct mnode **ret,
                      struct bk_error *err)
{
    const struct tree_dir *d = dir_of(parent);
    bk_auto(node_clear) struct node found = { 0 };
    int r = d ? browse_lookup(m->view.reader, 0, d, name, strlen(name), &found, err) : 0;
    const struct snapshot_stream *blob = NULL;
    for (size_t i = 0; r == 0 && parent->kind == MNODE_SNAP && i < parent->snap->n_streams; i++)
        if (is_blob(&parent->snap->streams[i]) && !strcmp(parent->snap->streams[i].name, name))
            blob = &parent->snap->streams[i];
    if (r < 0 || (r == 0 && !blob))
        return r;
    struct mnode *n = mtable_add(m->nodes, parent, blob ? MNODE_BLOB : MNODE_ENTRY, name, false);
    if (!n)
        return bk_fail_errno(err, ENOMEM, "look up a name");
    n->stream = blob;
    if (!blob) {
        n->node = found;
        found = (struct node){ 0 };
    }
    *ret = n;
    return 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
    struct mount *m = mount_of(req);
    struct mnode *parent = node_of(req, parent_ino);
    struct bk_error err = { 0 };
    struct mnode *n = parent ? mtable_child(m->nodes, parent, name) : NULL;
    int r = n ? 1 : parent ? make_child(m, parent, name, &n, &err) : 0;
    if (r <= 0) {
        fuse_reply_err(req, r < 0 ? errno_of(m, &err) : ENOENT);
        return;
    }
    struct fuse_entry_param e = { .ino = n->ino, .attr_timeout = FOREVER, .entry_timeout = FOREVER };
    fill_stat(m, n, &e.attr);
    n->lookups++;
    if (fuse_reply_entry(req, &e) < 0)
        mtable_forget(m->nodes, n, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    struct mnode *n = node_of(req, ino);
    if (n)
        mtable_forget(mount_of(req)->nodes, n, lookups);
    fuse_reply_none(req);
}

/* ---- directories ---- */

/* A directory being listed. Offsets are positions: 1 and 2 are "." and "..", then the streams, then the tree.
 * An entry that did not fit the buffer is kept for the next call. */
struct listing {
    struct browse_dir *dir; /* NULL: none, or not begun */
    off_t at;               /* how many were taken */
    struct mnode *child;    /* FIXED: the next one */
    size_t stream;
    bool pending, ended;
    char name[HANDLE_NAME];
    mode_t mode;
};

static void listing_reset(struct listing *l, const struct mnode *n)
{
    browse_dir_free(l->dir);
    *l = (struct listing){ .child = n->first };
}

static void set_pending(struct listing *l, const void *name, size_t len, mode_t mode)
{
    if (len >= sizeof l->name)
        len = sizeof l->name - 1;
    memcpy(l->name, name, len);
    l->name[len] = '\0';
    l->mode = mode;
    l->pending = true;
}

static int next_of_tree(struct mount *m, const struct mnode *n, struct listing *l, struct bk_error *err)
{
    const struct tree_dir *d = dir_of(n);
    struct tree_entry e;
    int r = d && !l->dir ? browse_dir_open(m->view.reader, 0, d, &l->dir, err) : 0;
    if (r == 0 && l->dir)
        r = browse_dir_next(l->dir, &e, err);
    if (r == 1)
        set_pending(l, e.name, e.name_len, type_bits(e.type));
    return r;
}

/* Makes l->name the next entry: 1, or 0 at the end. */
static int advance(struct mount *m, const struct mnode *n, struct listing *l, struct bk_error *err)
{
    if (l->at < 2) {
        set_pending(l, "..", l->at == 0 ? 1 : 2, S_IFDIR);
        return 1;
    }
    if (n->kind == MNODE_FIXED) {
        struct mnode *c = l->child;
        if (!c)
            return 0;
        set_pending(l, c->name, strlen(c->name), c->kind == MNODE_LINK ? S_IFLNK : S_IFDIR);
        l->child = c->next;
        return 1;
    }
    while (n->kind == MNODE_SNAP && l->stream < n->snap->n_streams) {
        const struct snapshot_stream *s = &n->snap->streams[l->stream++];
        if (is_blob(s)) {
            set_pending(l, s->name, strlen(s->name), S_IFREG);
            return 1;
        }
    }
    return next_of_tree(m, n, l, err);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mnode *n = node_of(req, ino);
    struct listing *l = n ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        fuse_reply_err(req, n ? ENOMEM : ENOENT);
        return;
    }
    if (n->kind == MNODE_LINK || n->kind == MNODE_BLOB || (n->kind == MNODE_ENTRY && !dir_of(n))) {
        free(l);
        fuse_reply_err(req, ENOTDIR);
        return;
    }
    l->child = n->first;
    fi->fh = (uint64_t)(uintptr_t)l;
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    if (fuse_reply_open(req, fi) < 0)
        free(l);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    struct listing *l = (struct listing *)(uintptr_t)fi->fh;
    browse_dir_free(l->dir);
    free(l);
    fuse_reply_err(req, 0);
}

/* Go to an offset: only forward is cheap; back starts again. */
static int seek(struct mount *m, const struct mnode *n, struct listing *l, off_t offset, struct bk_error *err)
{
    if (offset < l->at)
        listing_reset(l, n);
    while (l->at < offset && !l->ended) {
        int r = l->pending ? 1 : advance(m, n, l, err);
        if (r < 0)
            return r;
        l->ended = r == 0;
        l->pending = false;
        l->at += r;
    }
    return 0;
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mnode *n = node_of(req, ino);
    struct listing *l = (struct listing *)(uintptr_t)fi->fh;
    struct bk_error err = { 0 };
    if (size > DIR_BUFFER_MAX)
        size = DIR_BUFFER_MAX;
    bk_auto(free) char *buf = n ? malloc(size) : NULL;
    if (!buf) {
        fuse_reply_err(req, n ? ENOMEM : ENOENT);
        return;
    }
    int r = seek(m, n, l, offset, &err);
    size_t used = 0;
    while (r == 0 && !l->ended) {
        int more = l->pending ? 1 : advance(m, n, l, &err);
        if (more < 0)
            r = more;
        if (more <= 0) {
            l->ended = more == 0;
            break;
        }
        struct stat st = { .st_mode = l->mode, .st_ino = (ino_t)-1 };
        size_t need = fuse_add_direntry(req, buf + used, size - used, l->name, &st, l->at + 1);
        if (need > size - used)
            break;
        used += need;
        l->pending = false;
        l->at++;
    }
    if (r < 0 && !used)
        fuse_reply_err(req, errno_of(m, &err));
    else
        fuse_reply_buf(req, buf, used);
}

/* ---- content ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mnode *n = node_of(req, ino);
    if (!n || !content_of(n)) {
        fuse_reply_err(req, n ? EINVAL : ENOENT);
        return;
    }
    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(req, EROFS);
        return;
    }
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)fi;
    struct mount *m = mount_of(req);
    struct mnode *n = node_of(req, ino);
    const struct content *c = n ? content_of(n) : NULL;
    if (!c || offset < 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    if (size > READ_MAX)
        size = READ_MAX;
    bk_auto(free) char *buf = malloc(size ? size : 1);
    struct bk_error err = { 0 };
    size_t got = 0;
    int r = buf ? browse_read(m->view.reader, 0, c, (uint64_t)offset, buf, size, &got, &err)
                : bk_fail_errno(&err, ENOMEM, "read");
    if (r < 0)
        fuse_reply_err(req, errno_of(m, &err));
    else
        fuse_reply_buf(req, buf, got);
}

/* ---- extended attributes ---- */

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct mnode *n = node_of(req, ino);
    const char *key;
    const uint8_t *value;
    size_t len;
    struct bk_error err = { 0 };
    struct bk_reader r = bk_reader_of("", 0);
    if (n && n->kind == MNODE_ENTRY && n->node.e.xattrs)
        r = bk_reader_of(n->node.e.xattrs, n->node.e.xattrs_len);
    int more;
    while ((more = tree_xattr_next(&r, &key, &value, &len, &err)) == 1)
        if (!strcmp(key, name)) {
            if (!size)
                fuse_reply_xattr(req, len);
            else if (size < len)
                fuse_reply_err(req, ERANGE);
            else
                fuse_reply_buf(req, (const char *)value, len);
            return;
        }
    fuse_reply_err(req, more < 0 ? EIO : ENODATA);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct mnode *n = node_of(req, ino);
    bk_auto(bk_buf_clear) struct bk_buf names = BK_BUF(TREE_XATTRS_MAX);
    struct bk_error err = { 0 };
    struct bk_reader r = bk_reader_of("", 0);
    if (n && n->kind == MNODE_ENTRY && n->node.e.xattrs)
        r = bk_reader_of(n->node.e.xattrs, n->node.e.xattrs_len);
    const char *key;
    const uint8_t *value;
    size_t len;
    int more;
    while ((more = tree_xattr_next(&r, &key, &value, &len, &err)) == 1)
        if (bk_buf_append(&names, key, strlen(key) + 1, &err) < 0)
            break;
    if (more != 0)
        fuse_reply_err(req, EIO);
    else if (!size)
        fuse_reply_xattr(req, names.len);
    else if (size < names.len)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, (const char *)names.data, names.len);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct statvfs s = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = TREE_NAME_MAX, .f_flag = ST_RDONLY };
    fuse_reply_statfs(req, &s);
}

static const struct fuse_lowlevel_ops ops = {
    .lookup = op_lookup,
    .forget = op_forget,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .open = op_open,
    .read = op_read,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .statfs = op_statfs,
};

/* ---- the fixed part ---- */

/* A snapshot's name as one file name. */
static void file_name(const char *name, char out[static HANDLE_NAME])
{
    size_t at = 0;
    for (; *name && at + 4 < HANDLE_NAME; name++) {
        if (*name == '/' || *name == '%')
            at += (size_t)snprintf(out + at, HANDLE_NAME - at, "%%%02X", (unsigned char)*name);
        else
            out[at++] = *name;
    }
    out[at] = '\0';
    if (!tree_name_valid(out, at))
        snprintf(out, HANDLE_NAME, "%%");
}

static struct mnode *fixed_child(struct mount *m, struct mnode *parent, const char *name)
{
    struct mnode *n = mtable_child(m->nodes, parent, name);
    return n ? n : mtable_add(m->nodes, parent, MNODE_FIXED, name, true);
}

static struct mnode *set_link(struct mount *m, struct mnode *parent, const char *name, const char *target)
{
    struct mnode *n = mtable_child(m->nodes, parent, name);
    if (!n)
        n = mtable_add(m->nodes, parent, MNODE_LINK, name, true);
    if (!n)
        return NULL;
    free(n->target);
    n->target = strdup(target);
    return n->target ? n : NULL;
}

/* Snapshots come oldest first, so the links that are set last point at the newest. */
static int add_snapshot(struct mount *m, struct mnode *by_name, struct mnode *ids, const struct snapshot *s)
{
    char name[HANDLE_NAME], when[TEXT_TIME], title[TEXT_TIME + 16], id[SHOW_ID], target[2 * HANDLE_NAME + 64];
    file_name(s->name, name);
    text_time(s->start_ns / 1000000000, when);
    when[strcspn(when, " ")] = 'T'; /* no blank in a file name */
    snprintf(title, sizeof title, "%s", when);
    struct mnode *series = fixed_child(m, by_name, name);
    if (!series)
        return -1;
    for (unsigned i = 2; mtable_child(m->nodes, series, title); i++) /* two in one second */
        snprintf(title, sizeof title, "%s.%u", when, i);
    struct mnode *top = mtable_add(m->nodes, series, MNODE_SNAP, title, true);
    if (!top)
        return -1;
    top->snap = s;
    snprintf(target, sizeof target, "../snapshots/%s/%s", name, title);
    if (!set_link(m, ids, text_hex(s->id, SESSION_ID, id), target))
        return -1;
    if (s->state == STATE_INCOMPLETE)
        return 0;
    if (!set_link(m, series, "latest", title) || !set_link(m, mtable_root(m->nodes), "latest", target + 3))
        return -1;
    return 0;
}

static int build(struct mount *m, struct bk_error *err)
{
    int r = mtable_new(&m->nodes, err);
    if (r < 0)
        return r;
    struct mnode *by_name = fixed_child(m, mtable_root(m->nodes), "snapshots");
    struct mnode *ids = fixed_child(m, mtable_root(m->nodes), "ids");
    for (size_t i = 0; i < m->view.catalog.n; i++)
        if (!by_name || !ids || add_snapshot(m, by_name, ids, &m->view.catalog.v[i].snap) < 0)
            return bk_fail_errno(err, ENOMEM, "mount");
    return 0;
}

static int run_session(struct mount *m, const struct mount_args *x, struct fuse_session *session,
                       const char *dir, struct bk_error *err)
{
    if (fuse_session_mount(session, dir) != 0) {
        bk_fail(err, BK_E_FAILED, "mount at %s", dir);
        return bk_hint(err, "the folder must exist and be yours, and /dev/fuse must be there");
    }
    if (m->a->g.json) {
        json_t *o = show_record("mounted");
        text_json_bytes(o, "path", dir, strlen(dir));
        json_object_set_new(o, "snapshots", text_json_u64(m->view.catalog.n));
        ui_emit(&m->a->ui, o);
    } else if (!m->a->g.quiet) {
        printf(ngettext("%zu snapshot is mounted at %s; end with Ctrl-C or: fusermount3 -u %s\n",
                        "%zu snapshots are mounted at %s; end with Ctrl-C or: fusermount3 -u %s\n",
                        (unsigned long)m->view.catalog.n),
               m->view.catalog.n, dir, dir);
    }
    fflush(stdout);
    int r = fuse_daemonize(!x->background);
    if (r == 0)
        r = fuse_session_loop(session);
    fuse_session_unmount(session);
    return r < 0 ? bk_fail_errno(err, -r, "serve the mount at %s", dir) : 0; /* positive: a signal ended it */
}

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

int mount_serve(struct app *a, const struct mount_args *x, const char *dir, struct bk_error *err)
{
    struct mount m = { .a = a, .uid = getuid(), .gid = getgid() };
    int r = app_open_view(a, &m.view, err);
    if (r == 0)
        r = build(&m, err);
    if (r == 0) {
        char options[] = "ro,nosuid,nodev,default_permissions,fsname=bkctl,subtype=bkctl,allow_other";
        if (!x->allow_other)
            *strstr(options, ",allow_other") = '\0';
        char name[] = "bkctl", flag[] = "-o";
        char *argv[] = { name, flag, options, NULL };
        struct fuse_args args = FUSE_ARGS_INIT(3, argv);
        struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, &m);
        if (!session)
            r = bk_fail(err, BK_E_FAILED, "start FUSE");
        /* libfuse leaves handlers alone that are set already, and ours would not end its loop. */
        for (size_t i = 0; i < BK_COUNT(ending_signals); i++)
            signal(ending_signals[i], SIG_DFL);
        if (session && fuse_set_signal_handlers(session) != 0)
            r = bk_fail(err, BK_E_FAILED, "start FUSE");
        if (r == 0)
            r = run_session(&m, x, session, dir, err);
        if (session) {
            fuse_remove_signal_handlers(session);
            fuse_session_destroy(session);
        }
        fuse_opt_free_args(&args);
    }
    mtable_free(m.nodes);
    view_clear(&m.view);
    return r;
}
