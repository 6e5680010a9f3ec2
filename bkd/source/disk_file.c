/* Raw images and block devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/source/disk.h"
#include "bkd/source/qemu_lock.h"

struct file_disk {
    struct disk disk;
    struct job *job; /* borrowed */
    int fd;
    bool sparse;   /* the file system may be asked for holes */
    uint8_t **buf; /* owned: DISK_REQUEST bytes for each lane, made when needed */
};

static int put(disk_map_fn *fn, void *ctx, uint64_t from, uint64_t to, enum extent_kind kind,
               struct bk_error *err)
{
    struct disk_part p = { .from = from, .len = to - from, .kind = kind };
    return from < to ? fn(ctx, &p, err) : 0;
}

static int file_map(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
                    struct bk_error *err)
{
    (void)lane;
    struct file_disk *f = (struct file_disk *)d;
    for (uint64_t at = from; at < to;) {
        off_t data = f->sparse ? lseek(f->fd, (off_t)at, SEEK_DATA) : (off_t)at;
        if (data < 0 && errno == ENXIO) {
            struct stat st = { 0 };
            if (fstat(f->fd, &st) < 0 || (uint64_t)st.st_size < d->size)
                return bk_fail(err, BK_E_CHANGED, "it ends at byte %llu of %llu: it became shorter",
                               (unsigned long long)st.st_size, (unsigned long long)d->size);
            data = (off_t)to;
        }
        if (data < 0) /* cannot tell: all is data */
            return put(fn, ctx, at, to, EXTENT_DATA, err);
        uint64_t start = (uint64_t)data < to ? (uint64_t)data : to;
        off_t hole = start < to && f->sparse ? lseek(f->fd, data, SEEK_HOLE) : (off_t)to;
        uint64_t end = hole <= data || (uint64_t)hole > to ? to : (uint64_t)hole;
        int r = put(fn, ctx, at, start, EXTENT_HOLE, err);
        if (r == 0)
            r = put(fn, ctx, start, end, EXTENT_DATA, err);
        if (r == 0)
            r = job_check(f->job, err);
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

static int file_read(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
                     struct bk_error *err)
{
    struct file_disk *f = (struct file_disk *)d;
    if (!f->buf[lane] && !(f->buf[lane] = malloc(DISK_REQUEST)))
        return bk_fail_errno(err, ENOMEM, "a read buffer of %d bytes", DISK_REQUEST);
    for (uint64_t at = from; at < to;) {
        size_t want = to - at < DISK_REQUEST ? (size_t)(to - at) : DISK_REQUEST, got = 0;
        while (got < want) {
            ssize_t n = pread(f->fd, f->buf[lane] + got, want - got, (off_t)(at + got));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return bk_fail_errno(err, errno, "read %zu bytes at %llu", want, (unsigned long long)at);
            if (n == 0)
                return bk_fail(err, BK_E_CHANGED, "it ends at byte %llu of %llu: it became shorter",
                               (unsigned long long)(at + got), (unsigned long long)d->size);
            got += (size_t)n;
        }
        int r = fn(ctx, at, f->buf[lane], want, err);
        if (r == 0)
            r = job_check(f->job, err);
        if (r < 0)
            return r;
        at += want;
    }
    return 0;
}

static void file_free(struct disk *d)
{
    struct file_disk *f = (struct file_disk *)d;
    for (unsigned i = 0; f->buf && i < d->n_lanes; i++)
        free(f->buf[i]);
    free(f->buf);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

static const struct disk_ops file_ops = { .map = file_map, .read = file_read, .free = file_free };

static int find_size(struct file_disk *f, const char *path, struct bk_error *err)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return bk_fail_errno(err, errno, "look at %s", path);
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(f->fd, BLKGETSIZE64, &f->disk.size) < 0)
            return bk_fail_errno(err, errno, "ask for the size of %s", path);
        return 0;
    }
    if (!S_ISREG(st.st_mode))
        return bk_fail(err, BK_E_USAGE, "%s is neither a regular file nor a block device", path);
    f->disk.size = (uint64_t)st.st_size;
    f->sparse = (uint64_t)st.st_blocks * 512 < f->disk.size;
    return 0;
}

int disk_file_open(const char *path, struct job *j, struct disk **ret, struct bk_error *err)
{
    struct file_disk *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail_errno(err, ENOMEM, "open %s", path);
    bk_auto(disk_free) struct disk *d = &f->disk;
    *f = (struct file_disk){ .disk = { .ops = &file_ops, .n_lanes = j->n_threads }, .job = j, .fd = -1 };
    f->buf = calloc(d->n_lanes, sizeof *f->buf);
    if (!f->buf)
        return bk_fail_errno(err, ENOMEM, "open %s", path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (f->fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    int r = find_size(f, path, err);
    if (r < 0)
        return r;
    r = qemu_lock_check(f->fd, false, err);
    if (r < 0)
        return bk_context(err, "%s", path);
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *ret = bk_steal(d);
    return 0;
}
