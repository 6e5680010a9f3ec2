/* Nodes of the mounted file system: what the kernel holds a number for.
 *
 * The fixed directories and links are made at the start and stay; entries of snapshots come with a lookup and
 * go when the kernel forgets them. A child is found by (parent, name), so that a name has one number while it
 * is known. */
#ifndef BKCTL_MOUNT_NODE_H
#define BKCTL_MOUNT_NODE_H

#include "bkctl/app.h"
#include "bkd/restore/browse.h"

enum mnode_kind {
    MNODE_FIXED, /* a directory of children that all stay */
    MNODE_LINK,  /* a symlink made by us */
    MNODE_SNAP,  /* the top of a snapshot: its tree's root and its streams */
    MNODE_ENTRY, /* an entry of a tree */
    MNODE_BLOB,  /* a stream */
};

struct mnode {
    uint64_t ino;
    enum mnode_kind kind;
    struct mnode *parent;
    char *name;                           /* owned */
    char *target;                         /* LINK, owned */
    const struct snapshot *snap;          /* SNAP and below, borrowed */
    struct node node;                     /* ENTRY: its own copy */
    const struct snapshot_stream *stream; /* BLOB, borrowed */
    uint64_t lookups;                     /* the kernel's count */
    uint64_t n_children;                  /* nodes that point here */
    bool stays;
    struct mnode *first, *next; /* FIXED: children, in order of making */
    struct mnode *hash_ino, *hash_name;
};

struct mtable; /* one thread */
int mtable_new(struct mtable **ret, struct bk_error *err) BK_MUST_CHECK;
void mtable_free(struct mtable *t);
BK_AUTO(struct mtable *, mtable_free)
/* number 1 */
struct mnode *mtable_root(struct mtable *t);
struct mnode *mtable_by_ino(struct mtable *t, uint64_t ino);
struct mnode *mtable_child(struct mtable *t, const struct mnode *parent, const char *name);
/* A new node; NULL without memory. stays: it is listed by its FIXED parent and never forgotten. */
struct mnode *mtable_add(struct mtable *t, struct mnode *parent, enum mnode_kind kind, const char *name,
                         bool stays);
/* n lookups less; frees what nobody holds any more, up the tree. */
void mtable_forget(struct mtable *t, struct mnode *n, uint64_t lookups);

#endif
