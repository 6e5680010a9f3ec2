#include "bkctl/mount_state.h"

#include <errno.h>
#include <string.h>

enum { DIR_BUFFER_MAX = 1 << 20 };

/* A directory being listed. Offsets are positions: 1 and 2 are "." and "..", then the streams, then the tree.
 * An entry that did not fit the buffer is kept for the next call. */
struct listing {
    struct browse_dir *dir; /* NULL: none, or not begun */
    off_t at;               /* how many were taken */
    struct mnode *child;    /* FIXED: the next one */
    size_t stream;
    bool pending, ended;
    char name[TREE_NAME_MAX + 1];
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
    const struct tree_dir *d = mount_dir_of(n);
    struct tree_entry e;
    int r = d && !l->dir ? browse_dir_open(m->view.reader, 0, d, &l->dir, err) : 0;
    if (r == 0 && l->dir)
        r = browse_dir_next(l->dir, &e, err);
    if (r == 1)
        set_pending(l, e.name, e.name_len, mount_type_bits(e.type));
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
        if (mount_is_blob(s)) {
            set_pending(l, s->name, strlen(s->name), S_IFREG);
            return 1;
        }
    }
    return next_of_tree(m, n, l, err);
}

void mount_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mnode *n = mount_node(req, ino);
    struct listing *l = n ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        fuse_reply_err(req, n ? ENOMEM : ENOENT);
        return;
    }
    if (n->kind == MNODE_LINK || n->kind == MNODE_BLOB || (n->kind == MNODE_ENTRY && !mount_dir_of(n))) {
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

void mount_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
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

void mount_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mnode *n = mount_node(req, ino);
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
        fuse_reply_err(req, mount_errno(m, &err));
    else
        fuse_reply_buf(req, buf, used);
}
