/* The walk: a source tree becomes pages of entries and content, on a pool of workers.
 *
 *   directory task   open, list, cut the names into pages, push a task for each page
 *   page task        stat the names, compare with the parent, read small files; push tasks for directories
 * and big files segment task     a part of a big file
 *
 * A page is stored when everything in it is done, a directory when its pages are, and so on upwards. The pool
 * is a stack, so that work goes depth first and what waits is bounded by the depth of the tree and the width
 * of the directories on one path. Where pages are cut depends on the names alone: the result is the same for
 * any number of workers. */
#ifndef BKD_BACKUP_WALK_H
#define BKD_BACKUP_WALK_H

#include "bkd/backup/backup.h"
#include "bkd/backup/dirs.h"
#include "bkd/backup/ingest.h"
#include "bkd/backup/links.h"
#include "bkd/backup/old.h"
#include "bkd/backup/owners.h"
#include "bkd/backup/trouble.h"
#include "bkd/job/pool.h"
#include "bkd/source/exclude.h"
#include "bkd/source/listing.h"
#include "bkd/source/meta.h"
#include "bkd/source/roots.h"

struct walk_totals {
    uint64_t n_files, n_dirs, n_others, n_unchanged;
    uint64_t content_bytes, read_bytes;
};

struct walk_lane { /* per worker */
    struct ingest in;
    struct owners owners;
    struct walk_totals totals;
    struct bk_buf page; /* being encoded */
    struct bk_buf path; /* absolute, of the directory at hand, when exclude patterns want it */
    int64_t shown_ns;   /* when the path was last shown */
};

struct walk {
    /* set by the caller, borrowed */
    const struct backup_files *opts;
    struct job *job;
    struct sink *sink;
    struct reader *reader; /* NULL: no parent */
    bool verify; /* a collection is undecided: what the parent uses is looked up before it is used again */
    struct tree_dir parent; /* root directory of the parent's tree; depth 0: none */
    struct troubles *troubles;
    const struct roots_node *roots;
    const struct exclude *exclude;

    /* results of walk_run */
    struct tree_dir root;
    struct walk_totals totals;
    struct owners owners;         /* the caller clears */
    size_t n_roots, n_roots_lost; /* given paths, and those of which nothing was saved */

    /* its own */
    struct pool *pool;
    struct dirs *dirs;
    struct links *links;
    struct job_rate rate;
    struct walk_lane *lanes;
    unsigned n_lanes;
    unsigned ignore; /* META_IGNORE_* */
    atomic_size_t roots_lost;
};

/* 0, CANCELLED, or an error of the repository. Troubles of single files go to `troubles`. */
int walk_run(struct walk *w, struct bk_error *err) BK_MUST_CHECK;

enum item_state { ITEM_GONE = 0, ITEM_SAME = 1, ITEM_NEW = 2 };
struct item { /* an entry that is not simply the parent's */
    struct tree_entry e;
    uint8_t *own;           /* owned: link target or xattrs that e borrows */
    uint32_t index;         /* in the page */
    bool lost;              /* could not be saved after all */
    bool meta_same;         /* a directory whose own metadata is the parent's */
    struct tree_dir before; /* ... and its inside there */
};

struct page_out {
    const uint8_t *first; /* borrowed from the listing or the parent's index */
    size_t first_len;
    chunk_id id;
};
struct page {
    struct task task;
    struct walk *w;
    struct dir *dir;
    size_t first, n;       /* names of dir->list */
    atomic_size_t pending; /* the scan itself, directories and big files below */
    uint8_t *states;       /* owned: enum item_state per name */
    struct item **items;   /* owned, of the ITEM_NEW ones in order */
    size_t n_items;
    size_t n_found; /* names that the parent has too */
    bool same;      /* so far everything is as in the parent */
    struct old_scan old;
    struct page_out *out; /* owned: what was stored */
    size_t n_out;
};

/* Steps, each in a file of its own. */
void walk_dir(struct task *t, unsigned lane);  /* walk_dir.c */
void walk_page(struct task *t, unsigned lane); /* walk_page.c */
/* One piece of work below the page is done: stores what is complete, upwards. */
void walk_settle(struct page *p, unsigned lane); /* walk_settle.c */
void walk_dir_done(struct walk *w, struct dir *d, unsigned lane);

/* Record a trouble with `name` in a directory (NULL: the directory itself). Fails the pool on lack of memory.
 */
void walk_trouble(struct walk *w, struct dir *d, const char *name, enum tree_trouble kind, int sys,
                  const char *detail);
/* The trouble that fits an errno of opening or asking: gone or unreadable. */
void walk_trouble_errno(struct walk *w, struct dir *d, const char *name, int sys);
/* Say that a part of the parent cannot be compared with. */
void walk_parent_damaged(struct walk *w, const struct bk_error *why);
/* Fail the run. */
void walk_fail(struct walk *w, const struct bk_error *err);
/* Put xattrs read into b where the item owns them; b is cleared. */
void walk_own_xattrs(struct item *it, struct bk_buf *b);

#endif
