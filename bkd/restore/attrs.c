#include "bkd/restore/attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "bkd/source/meta.h"

/* Flags a user sets with chattr and that mean the same on every file system. Compression, copy-on-write and
 * encryption describe how a file system stores bytes and are left to the target's. */
#define ATTRS_FSFLAGS \
    ((uint32_t)(FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL))

enum { XATTR_LIST_BYTES = 65536 };

struct attrs attrs_of(const struct tree_entry *e)
{
    return (struct attrs){ .type = e->type,
                           .mode = e->mode & 07777,
                           .uid = e->uid,
                           .gid = e->gid,
                           .flags = e->flags,
                           .fsflags = e->fsflags,
                           .mtime = e->mtime,
                           .xattrs = e->xattrs,
                           .xattrs_len = e->xattrs ? e->xattrs_len : 0 };
}

mode_t attrs_umask(void)
{
    bk_auto(close) int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char buf[4096];
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    if (n <= 0)
        return 077;
    buf[n] = '\0';
    const char *p = strstr(buf, "\nUmask:");
    return p ? (mode_t)(strtoul(p + 7, NULL, 8) & 0777) : 077;
}

static void trouble(const struct attrs_ctx *c, const void *where, enum attrs_kind kind, int sys,
                    const char *what)
{
    struct bk_error err = { 0 };
    bk_fail_errno(&err, sys, "%s", bk_text(what));
    c->trouble(c->ctx, where, kind, &err);
}

/* Something with a descriptor, or (path set) an O_PATH descriptor and its name under /proc. */
struct thing {
    int fd;
    const char *path;
};

static int thing_chown(const struct thing *t, uid_t uid, gid_t gid)
{
    return t->path ? fchownat(t->fd, "", uid, gid, AT_EMPTY_PATH) : fchown(t->fd, uid, gid);
}

static int thing_chmod(const struct thing *t, mode_t mode)
{
    return t->path ? chmod(t->path, mode) : fchmod(t->fd, mode);
}

static int thing_setxattr(const struct thing *t, const char *name, const void *value, size_t len)
{
    return t->path ? setxattr(t->path, name, value, len, 0) : fsetxattr(t->fd, name, value, len, 0);
}

static int thing_removexattr(const struct thing *t, const char *name)
{
    return t->path ? removexattr(t->path, name) : fremovexattr(t->fd, name);
}

static ssize_t thing_listxattr(const struct thing *t, char *buf, size_t len)
{
    return t->path ? listxattr(t->path, buf, len) : flistxattr(t->fd, buf, len);
}

/* False: the owner is not as it should be. *changed: chown was called, set-id bits may be gone. */
static bool set_owner(const struct attrs_ctx *c, const void *where, const struct thing *t,
                      const struct attrs *m, const struct attrs_now *now, bool *changed)
{
    if (c->no_owner)
        return m->uid == now->uid && m->gid == now->gid;
    uid_t uid = idmap_user(c->idmap, m->uid);
    gid_t gid = idmap_group(c->idmap, m->gid);
    if (uid == now->uid && gid == now->gid)
        return true;
    *changed = true;
    if (thing_chown(t, uid, gid) == 0)
        return true;
    int e = errno;
    trouble(c, where, ATTRS_OWNER, e, N_("set the owner"));
    /* One's own files can at least be given to one's groups. */
    if (gid != now->gid && thing_chown(t, (uid_t)-1, gid) == 0)
        return uid == now->uid;
    return false;
}

static bool wanted_xattr(const struct attrs *m, const char *name)
{
    if (!m->xattrs_len)
        return false;
    struct bk_reader r = bk_reader_of(m->xattrs, m->xattrs_len);
    const char *have;
    const uint8_t *value;
    size_t len;
    struct bk_error err;
    while (tree_xattr_next(&r, &have, &value, &len, &err) > 0)
        if (strcmp(have, name) == 0)
            return true;
    return false;
}

/* Attributes of what was there before. Labels of security modules belong to the host's policy and stay. */
static void drop_xattrs(const struct attrs_ctx *c, const void *where, const struct thing *t,
                        const struct attrs *m)
{
    bk_auto(free) char *list = malloc(XATTR_LIST_BYTES);
    ssize_t n = list ? thing_listxattr(t, list, XATTR_LIST_BYTES) : 0;
    for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1) {
        if (strncmp(p, "security.", 9) == 0 && strcmp(p, "security.capability") != 0)
            continue;
        if (!wanted_xattr(m, p) && thing_removexattr(t, p) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
            trouble(c, where, ATTRS_XATTR, errno, N_("remove an extended attribute"));
    }
}

/* Setting what is there already would change the ctime for nothing, and fails on immutable files. */
static bool has_xattr(const struct thing *t, const char *name, const void *value, size_t len)
{
    bk_auto(free) uint8_t *have = malloc(len + 1);
    if (!have)
        return false;
    ssize_t n = t->path ? getxattr(t->path, name, have, len + 1) : fgetxattr(t->fd, name, have, len + 1);
    return n >= 0 && (size_t)n == len && (!len || memcmp(have, value, len) == 0);
}

static void set_xattrs(const struct attrs_ctx *c, const void *where, const struct thing *t,
                       const struct attrs *m, const struct attrs_now *now)
{
    if (now->existing) {
        drop_xattrs(c, where, t, m);
    } else if (now->acl) {
        thing_removexattr(t, "system.posix_acl_access");
        if (m->type == TREE_DIR)
            thing_removexattr(t, "system.posix_acl_default");
    }
    if (!m->xattrs_len)
        return;
    struct bk_reader r = bk_reader_of(m->xattrs, m->xattrs_len);
    const char *name;
    const uint8_t *value;
    size_t len;
    struct bk_error err = { 0 };
    int rc;
    while ((rc = tree_xattr_next(&r, &name, &value, &len, &err)) > 0) {
        if ((now->existing && has_xattr(t, name, value, len)) || thing_setxattr(t, name, value, len) == 0)
            continue;
        bk_fail_errno(&err, errno, "set the extended attribute '%s'", name);
        c->trouble(c->ctx, where, ATTRS_XATTR, &err);
    }
    if (rc < 0)
        c->trouble(c->ctx, where, ATTRS_XATTR, &err);
}

static bool times_of(const struct attrs *m, struct timespec ts[2])
{
    ts[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
    ts[1] = (struct timespec){ .tv_sec = m->mtime.s, .tv_nsec = m->mtime.ns };
    return m->mtime.ns < 1000000000;
}

/* Owner, attributes, mode: what files and all other things have in common. */
static void set_common(const struct attrs_ctx *c, const void *where, const struct thing *t,
                       const struct attrs *m, const struct attrs_now *now)
{
    bool chowned = false;
    bool owned = set_owner(c, where, t, m, now, &chowned);
    set_xattrs(c, where, t, m, now);
    if (m->type == TREE_SYMLINK)
        return;
    mode_t mode = m->mode;
    /* A set-id program must not become one of whoever runs the restore. */
    if (!owned && m->type == TREE_FILE)
        mode &= ~(mode_t)(S_ISUID | S_ISGID);
    bool known = now->mode == mode && !now->acl && !(chowned && (mode & (S_ISUID | S_ISGID)));
    if (!known && thing_chmod(t, mode) < 0)
        trouble(c, where, ATTRS_MODE, errno, N_("set the mode"));
}

bool attrs_freezes(const struct attrs *m)
{
    return (m->flags & TREE_HAS_FSFLAGS) && (m->fsflags & (FS_IMMUTABLE_FL | FS_APPEND_FL));
}

void attrs_flags(const struct attrs_ctx *c, const void *where, int fd, const struct attrs *m, bool existing)
{
    uint32_t want = m->flags & TREE_HAS_FSFLAGS ? m->fsflags & ATTRS_FSFLAGS : 0;
    if (!want && !existing)
        return;
    int have = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &have) < 0) {
        if (want)
            trouble(c, where, ATTRS_FLAGS, errno, N_("set the file system flags"));
        return;
    }
    int set = (int)(((uint32_t)have & ~ATTRS_FSFLAGS) | want);
    if (set != have && ioctl(fd, FS_IOC_SETFLAGS, &set) < 0)
        trouble(c, where, ATTRS_FLAGS, errno, N_("set the file system flags"));
}

/* What was there before may be immutable or append-only, which forbids any change of metadata too. The wanted
 * flags are set last. */
static void thaw(int fd)
{
    int have = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &have) < 0 || !(have & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return;
    have &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    (void)ioctl(fd, FS_IOC_SETFLAGS, &have); /* what cannot be changed then is told one by one */
}

void attrs_apply_fd(const struct attrs_ctx *c, const void *where, int fd, const struct attrs *m,
                    const struct attrs_now *now)
{
    struct thing t = { .fd = fd };
    if (now->existing)
        thaw(fd);
    set_common(c, where, &t, m, now);
    struct timespec ts[2];
    if (!now->no_time && times_of(m, ts) && futimens(fd, ts) < 0)
        trouble(c, where, ATTRS_TIME, errno, N_("set the time"));
    if (!now->no_flags)
        attrs_flags(c, where, fd, m, now->existing);
}

void attrs_apply_at(const struct attrs_ctx *c, const void *where, int dirfd, const char *name,
                    const struct attrs *m, const struct attrs_now *now)
{
    bk_auto(close) int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        trouble(c, where, ATTRS_OWNER, errno, N_("open it to set its metadata"));
        return;
    }
    struct stat st;
    if (fstat(fd, &st) < 0 || meta_type(st.st_mode) != m->type) {
        trouble(c, where, ATTRS_OWNER, ESTALE, "something else stands there now: its metadata is left alone");
        return;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct thing t = { .fd = fd, .path = path };
    set_common(c, where, &t, m, now);
    struct timespec ts[2];
    if (!now->no_time && times_of(m, ts) && utimensat(fd, "", ts, AT_EMPTY_PATH) < 0 &&
        utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW) < 0)
        trouble(c, where, ATTRS_TIME, errno, N_("set the time"));
}
