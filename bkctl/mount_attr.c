#include "bkctl/mount_state.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

mode_t mount_type_bits(enum tree_type t)
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
    st->st_mode = mount_type_bits(e->type) | (e->mode & 07777);
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

void mount_stat(const struct mount *m, const struct mnode *n, struct stat *st)
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

void mount_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mnode *n = mount_node(req, ino);
    struct stat st;
    if (!n) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    mount_stat(mount_of(req), n, &st);
    fuse_reply_attr(req, &st, MOUNT_FOREVER);
}

void mount_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mnode *n = mount_node(req, ino);
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

void mount_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct mnode *n = mount_node(req, ino);
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

void mount_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct mnode *n = mount_node(req, ino);
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
