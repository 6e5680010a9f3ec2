#include "bkd/source/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { PROC_PATH = 320 }; /* "/proc/self/fd/N/" and a name */

int meta_stat(int dirfd, const char *name, bool follow, struct statx *ret)
{
    int flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
    return statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME, ret) < 0 ? errno : 0;
}

int meta_stat_fd(int fd, struct statx *ret)
{
    return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, ret) < 0 ? errno : 0;
}

enum tree_type meta_type(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return TREE_FILE;
    case S_IFDIR:
        return TREE_DIR;
    case S_IFLNK:
        return TREE_SYMLINK;
    case S_IFIFO:
        return TREE_FIFO;
    case S_IFSOCK:
        return TREE_SOCKET;
    case S_IFCHR:
        return TREE_CHAR;
    case S_IFBLK:
        return TREE_BLOCK;
    default:
        return 0;
    }
}

/* Some file systems hand out nanoseconds past their range; what is stored must be a valid time. */
static struct tree_time time_of(const struct statx_timestamp *t)
{
    return (struct tree_time){ .s = t->tv_sec, .ns = t->tv_nsec < 1000000000u ? t->tv_nsec : 999999999u };
}

static bool time_same(const struct tree_time *a, const struct statx_timestamp *b)
{
    struct tree_time t = time_of(b);
    return a->s == t.s && a->ns == t.ns;
}

static uint64_t dev_of(const struct statx *st)
{
    return makedev(st->stx_dev_major, st->stx_dev_minor);
}

bool meta_entry(const struct statx *st, struct tree_entry *ret)
{
    enum tree_type type = meta_type(st->stx_mode);
    if (!type)
        return false;
    *ret = (struct tree_entry){
        .type = type,
        .mode = st->stx_mode & 07777,
        .uid = st->stx_uid,
        .gid = st->stx_gid,
        .dev = dev_of(st),
        .ino = st->stx_ino,
        .nlink = st->stx_nlink,
        .mtime = time_of(&st->stx_mtime),
        .ctime = time_of(&st->stx_ctime),
    };
    if (st->stx_mask & STATX_BTIME) {
        ret->flags |= TREE_HAS_BTIME;
        ret->btime = time_of(&st->stx_btime);
    }
    if (type == TREE_CHAR || type == TREE_BLOCK) {
        ret->rdev_major = st->stx_rdev_major;
        ret->rdev_minor = st->stx_rdev_minor;
    }
    return true;
}

bool meta_same(const struct tree_entry *old, const struct statx *st)
{
    if (old->type != meta_type(st->stx_mode) || old->mode != (st->stx_mode & 07777u) ||
        old->uid != st->stx_uid || old->gid != st->stx_gid || old->ino != st->stx_ino ||
        old->dev != dev_of(st) || old->nlink != st->stx_nlink || !time_same(&old->ctime, &st->stx_ctime) ||
        !time_same(&old->mtime, &st->stx_mtime))
        return false;
    if (!(old->flags & TREE_HAS_BTIME) != !(st->stx_mask & STATX_BTIME))
        return false;
    if ((old->flags & TREE_HAS_BTIME) && !time_same(&old->btime, &st->stx_btime))
        return false;
    if (old->type == TREE_FILE)
        return old->content.size == st->stx_size;
    if (old->type == TREE_CHAR || old->type == TREE_BLOCK)
        return old->rdev_major == st->stx_rdev_major && old->rdev_minor == st->stx_rdev_minor;
    return true;
}

bool meta_content_same(const struct tree_entry *old, const struct statx *st, unsigned ignore)
{
    if (old->type != TREE_FILE || !S_ISREG(st->stx_mode) || old->content.size != st->stx_size ||
        !time_same(&old->mtime, &st->stx_mtime))
        return false;
    if (!(ignore & META_IGNORE_CTIME) && !time_same(&old->ctime, &st->stx_ctime))
        return false;
    return (ignore & META_IGNORE_INODE) || (old->ino == st->stx_ino && old->dev == dev_of(st));
}

/* An open file, or a path whose last component is not followed. */
struct target {
    int fd;
    char path[PROC_PATH];
};

static ssize_t names_of(const struct target *t, char *out, size_t len)
{
    return t->fd >= 0 ? flistxattr(t->fd, out, len) : llistxattr(t->path, out, len);
}

static ssize_t value_of(const struct target *t, const char *name, void *out, size_t len)
{
    return t->fd >= 0 ? fgetxattr(t->fd, name, out, len) : lgetxattr(t->path, name, out, len);
}

/* The list may grow between asking for its size and reading it. */
static int read_names(const struct target *t, char **ret, size_t *ret_len)
{
    *ret = NULL;
    *ret_len = 0;
    for (int tries = 0; tries < 8; tries++) {
        ssize_t n = names_of(t, NULL, 0);
        if (n < 0)
            return errno == ENOTSUP || errno == ENOSYS ? 0 : errno;
        if (n == 0)
            return 0;
        size_t cap = (size_t)n + 64;
        char *list = malloc(cap);
        if (!list)
            return ENOMEM;
        n = names_of(t, list, cap - 1);
        if (n > 0) {
            list[n] = '\0';
            *ret = list;
            *ret_len = (size_t)n;
            return 0;
        }
        int sys = n < 0 ? errno : 0;
        free(list);
        if (sys != ERANGE)
            return sys;
    }
    return ERANGE;
}

static int append_pair(struct bk_buf *out, const char *name, const void *value, size_t len)
{
    size_t before = out->len;
    if (tree_xattr_append(out, name, value, len, NULL) == 0)
        return 0;
    out->len = before;
    return E2BIG;
}

static int append_value(const struct target *t, const char *name, struct bk_buf *out)
{
    uint8_t small[512];
    ssize_t n = value_of(t, name, small, sizeof small);
    if (n >= 0)
        return append_pair(out, name, small, (size_t)n);
    if (errno == ENODATA)
        return 0; /* removed since it was listed */
    if (errno != ERANGE)
        return errno;
    enum { VALUE_MAX = 64 << 10 }; /* XATTR_SIZE_MAX of Linux */
    bk_auto(free) uint8_t *big = malloc(VALUE_MAX);
    if (!big)
        return ENOMEM;
    n = value_of(t, name, big, VALUE_MAX);
    if (n < 0)
        return errno == ENODATA ? 0 : errno;
    return append_pair(out, name, big, (size_t)n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_all(const struct target *t, struct bk_buf *out)
{
    bk_auto(free) char *list = NULL;
    size_t len;
    int sys = read_names(t, &list, &len);
    if (sys || !len)
        return sys;
    size_t n = 0;
    for (size_t i = 0; i < len; i += strlen(list + i) + 1)
        n++;
    bk_auto(free) const char **v = malloc(n * sizeof *v);
    if (!v)
        return ENOMEM;
    n = 0;
    for (size_t i = 0; i < len; i += strlen(list + i) + 1)
        v[n++] = list + i;
    qsort(v, n, sizeof *v, by_name);

    int first = 0;
    for (size_t i = 0; i < n; i++) {
        sys = append_value(t, v[i], out);
        if (sys && !first)
            first = sys;
    }
    return first;
}

int meta_xattrs_fd(int fd, struct bk_buf *out)
{
    return read_all(&(struct target){ .fd = fd }, out);
}

int meta_xattrs_at(int dirfd, const char *name, struct bk_buf *out)
{
    struct target t = { .fd = -1 };
    int n = snprintf(t.path, sizeof t.path, "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof t.path)
        return ENAMETOOLONG;
    return read_all(&t, out);
}

bool meta_fsflags(int fd, uint32_t *ret)
{
    /* The kernel writes an int, whatever the number of the ioctl says. */
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    *ret = (uint32_t)flags;
    return true;
}

int meta_link(int dirfd, const char *name, struct bk_buf *out)
{
    for (size_t room = 256;; room *= 4) {
        size_t ask = room < TREE_LINK_MAX ? room : TREE_LINK_MAX + 1;
        uint8_t *p;
        if (bk_buf_extend(out, ask, &p, NULL) < 0)
            return ENOMEM;
        ssize_t n = readlinkat(dirfd, name, (char *)p, ask);
        int sys = errno;
        out->len -= ask;
        if (n < 0)
            return sys;
        if ((size_t)n < ask) {
            out->len += (size_t)n;
            return n ? 0 : ENOENT;
        }
        if (ask > TREE_LINK_MAX)
            return ENAMETOOLONG;
    }
}
