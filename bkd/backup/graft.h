/* A tree in memory, built from paths in any order, stored bottom-up: what archives become.
 *
 *     graft_new -> graft_at (per path) ... -> graft_store -> graft_free
 *
 * Paths are hostile: "..", absolute paths, over-long names and depths are dealt with here. One thread. */
#ifndef BKD_BACKUP_GRAFT_H
#define BKD_BACKUP_GRAFT_H

#include "bkd/backup/folder.h"
#include "formats/content/content.h"

enum { GRAFT_DEPTH_MAX = 1024 };

struct graft_inode { /* what hard links share */
    size_t refs;
    enum tree_type type;
    uint32_t mode, uid, gid, flags;
    uint32_t rdev_major, rdev_minor;
    struct tree_time mtime, ctime, btime;
    uint64_t ino;
    struct bk_buf content; /* encoded; FILE */
    struct bk_buf link;    /* SYMLINK */
    struct bk_buf xattrs;
};
struct graft_node {
    struct graft_inode *inode;
    struct graft_node **slots; /* owned: children, hashed by name */
    size_t n, cap;
    uint8_t name_len;
    char name[];
};

struct graft;
/* memory_max: bytes of nodes; LIMIT past it. */
int graft_new(size_t memory_max, struct graft **ret, struct bk_error *err) BK_MUST_CHECK;
void graft_free(struct graft *g);
BK_AUTO(struct graft *, graft_free)

/* The node of a path; create: it and the directories above come into being (0755, no times). What is no
 * directory but has something below becomes one. 1 and the node, 0 when there is none or the path is not
 * acceptable; the top for "" and ".". */
int graft_at(struct graft *g, const char *path, bool create, struct graft_node **ret,
             struct bk_error *err) BK_MUST_CHECK;
/* Is the path one that a tree can hold? No ".." that leads out, no name past TREE_NAME_MAX, not too deep. */
bool graft_path_ok(const char *path);
/* Nothing but its place is left of the node: a later entry of an archive replaces an earlier one. Children
 * stay for a directory. */
int graft_reset(struct graft *g, struct graft_node *n, enum tree_type type,
                struct bk_error *err) BK_MUST_CHECK;
/* `n` becomes another name of what `to` is. */
void graft_link(struct graft_node *n, struct graft_node *to);
bool graft_has_children(const struct graft_node *n);

struct graft_totals {
    uint64_t n_files, n_dirs, n_others, content_bytes;
};
int graft_store(struct graft *g, struct sink *s, unsigned lane, struct tree_dir *ret,
                struct graft_totals *totals, struct bk_error *err) BK_MUST_CHECK;

#endif
