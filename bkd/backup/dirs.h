/* Directories of a walk: who is whose child, and a bounded number of open ones.
 *
 *     dirs_new -> (dirs_open ... dirs_close on each dir)* -> dirs_forget per dir -> dirs_free
 *
 * Every directory is opened relative to the one above, so that paths of any length work. Those that are not
 * in use are closed when too many are open, and opened again by way of their ancestors; a directory that is
 * another one by then counts as gone. Any thread. */
#ifndef BKD_BACKUP_DIRS_H
#define BKD_BACKUP_DIRS_H

#include <stdatomic.h>

#include "bkd/backup/old.h"
#include "bkd/job/pool.h"
#include "bkd/source/listing.h"
#include "bkd/source/roots.h"

struct page;
struct walk;
struct item;
struct dir {
    struct task task;
    struct walk *w;
    struct dir *up;       /* NULL: the top; outlives this one */
    struct page *up_page; /* where the result goes */
    struct item *up_item;
    const char *name;               /* borrowed from up's listing */
    const struct roots_node *roots; /* what was named here and below, or NULL */
    bool
        only_roots; /* above a root, or on another file system: of the children only those that lead to one */
    bool follow;    /* a directory above a root may be reached through a symbolic link */
    uint64_t dev, ino;
    uint64_t one_dev; /* the file system of its root */

    struct listing list;
    struct statx *stats; /* owned: of the names, asked ahead; stx_mask 0: not known. NULL: of none */
    struct old_dir old;
    struct page *pages; /* owned */
    size_t n_pages;
    atomic_size_t pending; /* pages */

    /* guarded by the lock of dirs */
    int fd; /* -1 closed */
    unsigned users;
    struct dir *newer, *older;
};

struct dirs;
int dirs_new(struct dirs **ret, struct bk_error *err) BK_MUST_CHECK;
void dirs_free(struct dirs *c);
BK_AUTO(struct dirs *, dirs_free)

/* Returns an errno; ESTALE when another directory is there now. *ret stays open until dirs_close. */
int dirs_open(struct dirs *c, struct dir *d, int *ret);
void dirs_close(struct dirs *c, struct dir *d);
void dirs_forget(struct dirs *c, struct dir *d);

/* "/a/b", or "/a/b/name"; replaces out. */
int dirs_path(const struct dir *d, const char *name, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;

#endif
