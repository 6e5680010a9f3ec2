#include "bkctl/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bkctl/mount_state.h"
#include "bkctl/show.h"

enum { READ_MAX = 1 << 20 };

int mount_errno(struct mount *m, const struct bk_error *err)
{
    if (err->code == BK_E_ABSENT && !err->sys)
        return ENOENT;
    ui_warn(&m->a->ui, "%s", err->text);
    return err->code == BK_E_NOMEM ? ENOMEM : EIO;
}

const struct tree_dir *mount_dir_of(const struct mnode *n)
{
    if (n->kind == MNODE_ENTRY)
        return n->node.e.type == TREE_DIR ? &n->node.e.dir : NULL;
    const struct snapshot_stream *s = n->kind == MNODE_SNAP ? snapshot_stream_of(n->snap, STREAM_TREE) : NULL;
    return s ? &s->tree : NULL;
}

bool mount_is_blob(const struct snapshot_stream *s)
{
    return (s->kind == STREAM_BLOB || s->kind == STREAM_DISK) && tree_name_valid(s->name, strlen(s->name));
}

/* ---- names ---- */

/* The child as a new node: 1 made, 0 not there. */
static int make_child(struct mount *m, struct mnode *parent, const char *name, struct mnode **ret,
                      struct bk_error *err)
{
    const struct tree_dir *d = mount_dir_of(parent);
    bk_auto(node_clear) struct node found = { 0 };
    int r = d ? browse_lookup(m->view.reader, 0, d, name, strlen(name), &found, err) : 0;
    const struct snapshot_stream *blob = NULL;
    for (size_t i = 0; r == 0 && parent->kind == MNODE_SNAP && i < parent->snap->n_streams; i++)
        if (mount_is_blob(&parent->snap->streams[i]) && !strcmp(parent->snap->streams[i].name, name))
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
    struct mnode *parent = mount_node(req, parent_ino);
    struct bk_error err = { 0 };
    struct mnode *n = parent ? mtable_child(m->nodes, parent, name) : NULL;
    int r = n ? 1 : parent ? make_child(m, parent, name, &n, &err) : 0;
    if (r <= 0) {
        fuse_reply_err(req, r < 0 ? mount_errno(m, &err) : ENOENT);
        return;
    }
    struct fuse_entry_param e = { .ino = n->ino,
                                  .attr_timeout = MOUNT_FOREVER,
                                  .entry_timeout = MOUNT_FOREVER };
    mount_stat(m, n, &e.attr);
    n->lookups++;
    if (fuse_reply_entry(req, &e) < 0)
        mtable_forget(m->nodes, n, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    struct mnode *n = mount_node(req, ino);
    if (n)
        mtable_forget(mount_of(req)->nodes, n, lookups);
    fuse_reply_none(req);
}

/* ---- content ---- */

static const struct content *content_of(const struct mnode *n)
{
    if (n->kind == MNODE_BLOB)
        return &n->stream->content;
    return n->kind == MNODE_ENTRY && n->node.e.type == TREE_FILE ? &n->node.e.content : NULL;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mnode *n = mount_node(req, ino);
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
    struct mnode *n = mount_node(req, ino);
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
        fuse_reply_err(req, mount_errno(m, &err));
    else
        fuse_reply_buf(req, buf, got);
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
    .getattr = mount_op_getattr,
    .readlink = mount_op_readlink,
    .opendir = mount_op_opendir,
    .readdir = mount_op_readdir,
    .releasedir = mount_op_releasedir,
    .open = op_open,
    .read = op_read,
    .getxattr = mount_op_getxattr,
    .listxattr = mount_op_listxattr,
    .statfs = op_statfs,
};

/* ---- the session ---- */

/* In the background from the start: a store's connections and a session's signs of life have threads of their
 * own, which a fork leaves behind. The parent ends when the child has mounted, or as the child ended.
 * *ret_fd: in the child, for detach. */
static int go_to_background(int *ret_fd, struct bk_error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return bk_fail_errno(err, errno, "make a pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        int e = errno;
        close(fds[0]);
        close(fds[1]);
        return bk_fail_errno(err, e, "start a process");
    }
    if (pid == 0) {
        close(fds[0]);
        *ret_fd = fds[1];
        return 0;
    }
    char byte;
    int status = 0;
    ssize_t n;
    close(fds[1]);
    do
        n = read(fds[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : bk_code_exit(BK_E_FAILED));
}

/* Mounted: leave the terminal and let the parent end. */
static void detach(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (chdir("/") < 0 || setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0) {
        /* it is mounted nevertheless */
    }
    if (null > 2)
        close(null);
    ssize_t told = write(fd, "", 1);
    (void)told; /* the parent was killed: nobody waits */
    close(fd);
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
    if (x->background)
        detach(m->parent_fd);
    int r = fuse_session_loop(session);
    fuse_session_unmount(session);
    return r < 0 ? bk_fail_errno(err, -r, "serve the mount at %s", dir) : 0; /* positive: a signal ended it */
}

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

int mount_serve(struct app *a, const struct mount_args *x, const char *dir, struct bk_error *err)
{
    struct mount m = { .a = a, .uid = getuid(), .gid = getgid() };
    int r = x->background ? go_to_background(&m.parent_fd, err) : 0;
    if (r == 0)
        r = app_hold_view(a, "mount", &m.view, err);
    if (r == 0)
        r = mount_build(&m, err);
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
