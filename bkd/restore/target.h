/* Directories of the target, reached only from their parent's descriptor and never through a symlink.
 *
 *     tdir_new -> tdir_make (creates or opens it) -> tdir_pin ... tdir_unpin -> tdir_unref
 *
 * A directory is referred to by everything inside it that is not done, and by its lister. When the last
 * reference goes, `finish` is called: then nothing inside will change any more, and its own metadata can be
 * set. new, make and the first listing belong to the walking thread; pin, unpin, ref, unref to any. */
#ifndef BKD_RESTORE_TARGET_H
#define BKD_RESTORE_TARGET_H

#include <stdatomic.h>
#include <sys/types.h>

#include "bkd/restore/handle.h"
#include "bkd/restore/attrs.h"
#include "formats/base/buf.h"

struct tdir {
    struct tdir *parent; /* a reference; NULL for the target itself */
    struct handle handle;
    pthread_mutex_t lock; /* opening; taken before the parent's */
    atomic_uint refs;
    struct attrs attrs; /* to be set at the end; borrows from `own` */
    bool has_attrs;
    bool lead;     /* only on the way to what is wanted: its metadata is set if it was made */
    bool made;     /* exists and is a directory */
    bool fresh;    /* made by this run: was empty */
    bool acl;      /* new entries inherit an access list that has to go */
    gid_t new_gid; /* group of what is created in it */
    dev_t dev;     /* of the directory once made */
    ino_t ino;
    uint8_t *own; /* owned */
    size_t name_len;
    char name[]; /* one component; "" for the target */
};

struct targets {
    struct handles handles;
    gid_t egid;
    bool open_only; /* tdir_make makes nothing: ABSENT */
    void *ctx;
    /* fd: the directory, to be closed by the callee; -1 with why when it could not be opened any more */
    void (*finish)(void *ctx, struct tdir *d, int fd, const struct bk_error *why);
};

/* Open the directory `path`, made with its parents when absent. *ret_fresh: it was made. */
int target_open(const char *path, int *ret_fd, bool *ret_fresh, struct bk_error *err) BK_MUST_CHECK;
/* PERM, with a hint, when nothing can be made in it. path: for the message. */
int target_check_writable(int fd, const char *path, struct bk_error *err) BK_MUST_CHECK;
/* 1 when it has no entries. */
int target_is_empty(int fd, struct bk_error *err) BK_MUST_CHECK;

/* fd is adopted: the target itself. -1: of a dry run, never made. */
int tdir_root(struct targets *t, int fd, bool fresh, struct tdir **ret, struct bk_error *err) BK_MUST_CHECK;
/* Not created yet. Refers to the parent; m (may be NULL) is copied with its xattrs. */
int tdir_new(struct targets *t, struct tdir *parent, const void *name, size_t len, const struct attrs *m,
             struct tdir **ret, struct bk_error *err) BK_MUST_CHECK;
int tdir_set_attrs(struct tdir *d, const struct attrs *m, struct bk_error *err) BK_MUST_CHECK;
/* Create it, and what is above it. replace: something else of that name is removed first; else EXISTS. */
int tdir_make(struct targets *t, struct tdir *d, bool replace, uint64_t *n_removed,
              struct bk_error *err) BK_MUST_CHECK;
int tdir_pin(struct targets *t, struct tdir *d, int *ret_fd, struct bk_error *err) BK_MUST_CHECK;
void tdir_unpin(struct targets *t, struct tdir *d);
void tdir_ref(struct tdir *d);
void tdir_unref(struct targets *t, struct tdir *d);
/* "a/b/c" below the target, with name (may be empty) at the end. */
int tdir_path(const struct tdir *d, const void *name, size_t len, struct bk_buf *out,
              struct bk_error *err) BK_MUST_CHECK;

/* Remove a name and everything below it; symlinks are removed, not followed; mounts are not entered (BUSY).
 * Immutable things are thawed first. Counts what was removed. */
int target_remove(int dirfd, const char *name, uint64_t *n_removed, struct bk_error *err) BK_MUST_CHECK;
/* Clear the immutable and append-only flags of a regular file or directory; false when it had none. */
bool target_thaw(int dirfd, const char *name);

struct target_names {
    char **v; /* owned; sorted by bytes */
    size_t n;
};
int target_list(int dirfd, struct target_names *ret, struct bk_error *err) BK_MUST_CHECK;
void target_names_clear(struct target_names *n);
BK_AUTO_CLEAR(struct target_names, target_names_clear)

#endif
