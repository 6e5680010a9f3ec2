#include "bkd/restore/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { REMOVE_DEPTH_MAX = 512 };

bool target_thaw(int dirfd, const char *name)
{
    /* a FIFO must not block us, a device must not be opened for real: look first */
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return false;
    bk_auto(close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int flags;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return false;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static int unlink_one(int dirfd, const char *name, int flags)
{
    if (unlinkat(dirfd, name, flags) == 0)
        return 0;
    int e = errno;
    if (e == EPERM && target_thaw(dirfd, name) && unlinkat(dirfd, name, flags) == 0)
        return 0;
    return e;
}

static int remove_at(int dirfd, const char *name, dev_t dev, unsigned depth, uint64_t *n,
                     struct bk_error *err);

static int remove_inside(int fd, dev_t dev, unsigned depth, uint64_t *n, struct bk_error *err)
{
    bk_auto(target_names_clear) struct target_names names = { 0 };
    int r = target_list(fd, &names, err);
    for (size_t i = 0; r == 0 && i < names.n; i++)
        r = remove_at(fd, names.v[i], dev, depth + 1, n, err);
    return r;
}

static int remove_at(int dirfd, const char *name, dev_t dev, unsigned depth, uint64_t *n,
                     struct bk_error *err)
{
    int e = unlink_one(dirfd, name, 0);
    if (e == EISDIR || e == EPERM) { /* EPERM: what POSIX says for a directory */
        bk_auto(close) int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return bk_fail_errno(err, e == EPERM ? e : errno, "remove '%s'", name);
        struct stat st;
        if (fstat(fd, &st) < 0)
            return bk_fail_errno(err, errno, "remove '%s'", name);
        if (st.st_dev != dev)
            return bk_fail(err, BK_E_BUSY, "'%s' is on another file system: not removed", name);
        if (depth == REMOVE_DEPTH_MAX)
            return bk_fail(err, BK_E_LIMIT, "'%s' is nested too deep to remove", name);
        target_thaw(dirfd, name);
        int r = remove_inside(fd, dev, depth, n, err);
        if (r < 0)
            return r;
        e = unlink_one(dirfd, name, AT_REMOVEDIR);
    }
    if (e == ENOENT)
        return 0;
    if (e)
        return bk_fail_errno(err, e, "remove '%s'", name);
    ++*n;
    return 0;
}

int target_remove(int dirfd, const char *name, uint64_t *n_removed, struct bk_error *err)
{
    struct stat st;
    if (fstat(dirfd, &st) < 0)
        return bk_fail_errno(err, errno, "remove '%s'", name);
    return remove_at(dirfd, name, st.st_dev, 0, n_removed, err);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_dir(DIR *d)
{
    closedir(d);
}
BK_AUTO(DIR *, close_dir)

int target_list(int dirfd, struct target_names *ret, struct bk_error *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bk_auto(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return bk_fail_errno(err, e, "list a directory");
    }
    bk_auto(target_names_clear) struct target_names names = { 0 };
    size_t cap = 0;
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d)
            break;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (names.n == cap) {
            cap = cap ? cap * 2 : 32;
            char **v = reallocarray(names.v, cap, sizeof *v);
            if (!v)
                return bk_fail(err, BK_E_NOMEM, "list a directory");
            names.v = v;
        }
        if (!(names.v[names.n] = strdup(d->d_name)))
            return bk_fail(err, BK_E_NOMEM, "list a directory");
        names.n++;
    }
    if (errno)
        return bk_fail_errno(err, errno, "list a directory");
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, by_bytes);
    *ret = names;
    names = (struct target_names){ 0 };
    return 0;
}

void target_names_clear(struct target_names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    *n = (struct target_names){ 0 };
}

int target_is_empty(int fd, struct bk_error *err)
{
    bk_auto(target_names_clear) struct target_names names = { 0 };
    int r = target_list(fd, &names, err);
    return r < 0 ? r : names.n == 0;
}
