/* What the parts of one restore share. Internal to bkd/restore/.
 *
 *   restore.c   the story            walk.c     the snapshot's directories onto the target's
 *   entry.c     one entry            files.c    regular files, with rfile*.c
 *   delta.c     in place             links.c    hard links
 *   special.c   symlinks, devices    verify.c   reading back
 *   report.c    problems and counts
 *
 * Locks, in the order they may be taken: rfile.lock, tdir.lock (child before parent), handles.lock; run.lock
 * and links_lock are taken last and alone. */
#ifndef BKD_RESTORE_RUN_H
#define BKD_RESTORE_RUN_H

#include "bkd/restore/browse.h"
#include "bkd/restore/inodes.h"
#include "bkd/restore/plan.h"
#include "bkd/restore/restore.h"
#include "bkd/restore/select.h"
#include "bkd/restore/target.h"

enum { RUN_SCRATCH = 256 << 10 };

struct run {
    struct repo *repo;
    struct job *job;
    const struct snapshot *snap;
    const struct restore_opts *opts;
    struct reader *reader; /* these two are lent */
    struct pool *pool;
    struct plan *plan;
    unsigned lane; /* of the walking thread */
    struct select select;
    struct idmap *idmap;
    struct attrs_ctx attrs;
    struct targets targets;
    struct handles files;
    struct tdir *root;
    char
        *prefix; /* owned: snapshot path of the target itself, "" or "a/b"; what is reported starts with it */
    bool in_place; /* something was in the target before */
    bool verifying;
    uint8_t **scratch; /* owned: RUN_SCRATCH bytes per worker, made when needed */
    unsigned n_scratch;

    atomic_uint_fast64_t n_files, n_dirs, n_others, n_kept, n_problems, bytes, bytes_written, bytes_verified;
    uint64_t n_deleted;
    atomic_uint_fast64_t refused[ATTRS_KINDS]; /* for want of privilege */

    pthread_mutex_t lock; /* guards reporting and what follows */
    uint64_t *bad;        /* owned: hashes of the paths of files already reported as not whole */
    size_t n_bad, cap_bad;

    pthread_mutex_t links_lock;
    struct inodes links;
    struct link *all_links; /* owned */
};

/* Where something is, for reports. */
struct place {
    const struct tdir *dir;
    const void *name;
    size_t name_len;
};

/* report.c */
void run_problem(struct run *r, const struct place *at, const struct bk_error *why);
void run_trouble(void *ctx, const void *where, enum attrs_kind kind,
                 const struct bk_error *why); /* attrs_ctx.trouble */
void run_count_item(struct run *r, const struct place *at);
void run_log_refused(struct run *r);
/* Codes after which going on makes no sense. */
bool run_is_fatal(int code);
void run_mark_bad(struct run *r, const struct place *at);
bool run_is_bad(struct run *r, const struct place *at);
/* Scratch of a worker; NULL without memory. */
uint8_t *run_scratch(struct run *r, unsigned worker);

/* walk.c */
struct walk_dir {
    struct tree_dir tree;
    struct tdir *td; /* a reference */
    bool inside;     /* wanted itself, and so is what is in it, but for excludes */
};
/* List what hangs below, depth first; takes over d.td. Problems are reported; an error is fatal. */
int walk_below(struct run *r, struct walk_dir d, struct bk_error *err) BK_MUST_CHECK;
/* walk_paths.c: all of it, or the chosen paths with the directories that lead to them. */
int walk_paths(struct run *r, const struct tree_dir *root, struct bk_error *err) BK_MUST_CHECK;

/* entry.c: one entry into the directory td, which is made. *ret_below: set when there is something to list.
 */
int entry_restore(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret_below,
                  bool *ret_descend, struct bk_error *err) BK_MUST_CHECK;

/* files.c */
struct rfile;
struct link;
struct file_seen { /* what stands under the name; exists false: nothing */
    bool exists;
    struct stat st;
};
int file_restore(struct run *r, struct tdir *td, const struct tree_entry *e, const struct file_seen *seen,
                 struct link *link, struct bk_error *err) BK_MUST_CHECK;
extern const struct plan_sink file_sink; /* rfile_sink.c; ctx: the run */

/* delta.c: make the bytes at [at, at+len) of fd equal to p (NULL: zeroes, as a hole when `hole`). Counts what
 * it wrote. */
int delta_write(int fd, uint64_t at, const uint8_t *p, size_t len, uint8_t *scratch, uint64_t *n_written);
int delta_zero(int fd, uint64_t at, uint64_t len, bool hole, uint8_t *scratch, uint64_t *n_written);

/* special.c */
int special_restore(struct run *r, struct tdir *td, const struct tree_entry *e, const struct file_seen *seen,
                    struct bk_error *err) BK_MUST_CHECK;

/* links.c: 1: the name became, or will become, a link to one restored before; 0: the first one: *ret is to be
 * told links_done. */
int links_claim(struct run *r, struct tdir *td, const struct tree_entry *e, struct link **ret,
                struct bk_error *err) BK_MUST_CHECK;
void links_done(struct run *r, struct link *l, bool exists);
/* After all files: flags that would have forbidden links. Then frees. */
void links_finish(struct run *r);

/* verify.c */
int verify_run(struct run *r, const struct tree_dir *root, struct bk_error *err) BK_MUST_CHECK;
int verify_entry(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret_below,
                 bool *ret_descend, struct bk_error *err) BK_MUST_CHECK;

#endif
