/* What the parts of one mount share. Internal to bkctl/mount*.c.
 *
 *   mount.c        the session, names and content   mount_attr.c   attributes
 *   mount_list.c   listing directories              mount_fixed.c  the folders above the snapshots
 *   mount_node.c   the table of nodes */
#ifndef BKCTL_MOUNT_STATE_H
#define BKCTL_MOUNT_STATE_H

#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#include "bkctl/command.h"
#include "bkctl/mount_node.h"

/* Seconds: a snapshot does not change. */
#define MOUNT_FOREVER 86400.0

struct mount {
    struct app *a;
    struct view view;
    struct mtable *nodes;
    uid_t uid;
    gid_t gid;
    int parent_fd; /* in the background: to say that it is mounted */
};

static inline struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static inline struct mnode *mount_node(fuse_req_t req, fuse_ino_t ino)
{
    return mtable_by_ino(mount_of(req)->nodes, ino);
}

/* For a caller of the file system; the reason goes to the one who mounted. */
int mount_errno(struct mount *m, const struct bk_error *err);
/* Of a directory, else NULL. */
const struct tree_dir *mount_dir_of(const struct mnode *n);
/* A stream that is shown as a file. */
bool mount_is_blob(const struct snapshot_stream *s);

/* mount_fixed.c: makes m->nodes. */
int mount_build(struct mount *m, struct bk_error *err) BK_MUST_CHECK;

/* mount_attr.c */
mode_t mount_type_bits(enum tree_type t);
void mount_stat(const struct mount *m, const struct mnode *n, struct stat *st);
void mount_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_readlink(fuse_req_t req, fuse_ino_t ino);
void mount_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void mount_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

/* mount_list.c */
void mount_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void mount_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
