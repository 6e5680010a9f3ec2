#include <unistd.h>
#include <sys/stat.h>

#include "bkd/store/dir.h"

static int real_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    return openat(dirfd, path, flags, mode);
}

static ssize_t real_pwrite(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    (void)ctx;
    return pwrite(fd, data, len, offset);
}

static int real_fsync(void *ctx, int fd)
{
    (void)ctx;
    return fsync(fd);
}

static int real_link(void *ctx, int dirfd, const char *from, const char *to)
{
    (void)ctx;
    return linkat(dirfd, from, dirfd, to, 0);
}

static int real_unlink(void *ctx, int dirfd, const char *path)
{
    (void)ctx;
    return unlinkat(dirfd, path, 0);
}

static int real_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    (void)ctx;
    return mkdirat(dirfd, path, mode);
}

static int real_close(void *ctx, int fd)
{
    (void)ctx;
    return close(fd);
}

static ssize_t real_pread(void *ctx, int fd, void *out, size_t len, off_t offset)
{
    (void)ctx;
    return pread(fd, out, len, offset);
}

const struct dir_io dir_io_real = {
    .open = real_open,
    .pwrite = real_pwrite,
    .fsync = real_fsync,
    .link = real_link,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .close = real_close,
    .pread = real_pread,
};
