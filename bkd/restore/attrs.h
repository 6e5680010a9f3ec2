/* Metadata onto what was restored: owner, extended attributes, mode, times, file system flags, in that order.
 * chown clears set-id bits and capabilities, so it comes first; attributes need a writable file, so they come
 * before the mode; flags can forbid everything else, so they come last.
 *
 * What the system refuses is told to `trouble` and everything else is still done. Any thread. */
#ifndef BKD_RESTORE_ATTRS_H
#define BKD_RESTORE_ATTRS_H

#include <sys/stat.h>

#include "formats/snapshot/snapshot.h"

/* Numeric owners of the snapshot to this host's, by name. */
struct idmap;
int idmap_new(const struct snapshot *s, bool numeric, struct idmap **ret, struct bk_error *err) BK_MUST_CHECK;
void idmap_free(struct idmap *o);
BK_AUTO(struct idmap *, idmap_free)
uid_t idmap_user(struct idmap *o, uint32_t id);
gid_t idmap_group(struct idmap *o, uint32_t id);

struct attrs {
    enum tree_type type;
    uint32_t mode; /* 07777 */
    uint32_t uid, gid;
    uint32_t flags, fsflags;
    struct tree_time mtime;
    const uint8_t *xattrs; /* borrowed */
    size_t xattrs_len;
};
/* Borrows the entry's xattrs. */
struct attrs attrs_of(const struct tree_entry *e);

enum attrs_kind { ATTRS_OWNER, ATTRS_XATTR, ATTRS_MODE, ATTRS_TIME, ATTRS_FLAGS, ATTRS_KINDS };
struct attrs_ctx {
    struct idmap *idmap;
    bool no_owner;
    mode_t umask;
    uid_t euid;
    void *ctx;
    void (*trouble)(void *ctx, const void *where, enum attrs_kind kind, const struct bk_error *why);
};
/* The process's umask, read without changing it; 077 when it cannot be read. */
mode_t attrs_umask(void);

/* What stands there now. */
struct attrs_now {
    uid_t uid;
    gid_t gid;
    mode_t mode;   /* 07777; (mode_t)-1: unknown */
    bool existing; /* not made by this run: may have attributes and flags of its own */
    bool acl;      /* may have inherited an access list */
    bool no_time;  /* leave the time: the content is not whole, a later restore must not take it for unchanged
                    */
    bool no_flags; /* set later, by attrs_flags */
};
/* A regular file or directory by descriptor. */
void attrs_apply_fd(const struct attrs_ctx *c, const void *where, int fd, const struct attrs *m,
                    const struct attrs_now *now);
/* A symlink, fifo, socket or device by name, not followed. */
void attrs_apply_at(const struct attrs_ctx *c, const void *where, int dirfd, const char *name,
                    const struct attrs *m, const struct attrs_now *now);
/* Only the file system flags. */
void attrs_flags(const struct attrs_ctx *c, const void *where, int fd, const struct attrs *m, bool existing);
/* Does the entry have flags that would forbid to link or change it? */
bool attrs_freezes(const struct attrs *m);

#endif
