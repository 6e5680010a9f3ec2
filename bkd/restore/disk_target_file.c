/* Raw files and block devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "bkd/restore/disk_new.h"
#include "bkd/restore/disk_target.h"
#include "bkd/restore/run.h"
#include "bkd/source/qemu_lock.h"

enum { BLOCK = 4096 }; /* what a file system allocates */

struct file_target {
    struct disk_target target;
    int fd;
    struct disk_new made; /* unless it is changed in place */
    char *path;           /* owned */
    uint64_t size;
    bool device;
    unsigned n_workers;
    uint8_t **scratch; /* owned: RUN_SCRATCH bytes for each worker, made when needed */
};

static int scratch_of(struct file_target *f, unsigned worker, uint8_t **ret, struct bk_error *err)
{
    if (!f->scratch[worker] && !(f->scratch[worker] = malloc(RUN_SCRATCH)))
        return bk_fail_errno(err, ENOMEM, "compare with what is there");
    *ret = f->scratch[worker];
    return 0;
}

static int said(struct file_target *f, int r, uint64_t n, uint64_t at, struct bk_error *err)
{
    atomic_fetch_add(&f->target.bytes_written, n);
    return r < 0 ? bk_fail_errno(err, -r, "write %s at %llu", f->path, (unsigned long long)at) : 0;
}

static int write_whole(int fd, uint64_t at, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Into a hole: blocks of zeroes need not be written. */
static int write_nonzero(int fd, uint64_t at, const uint8_t *p, size_t len, uint64_t *ret_written)
{
    size_t from = 0, i = 0; /* [from, i) is to be written */
    while (i < len) {
        size_t n = BLOCK - (size_t)((at + i) % BLOCK);
        n = n < len - i ? n : len - i;
        bool zero = !p[i] && !memcmp(p + i, p + i + 1, n - 1);
        if (zero && i > from) {
            int r = write_whole(fd, at + from, p + from, i - from);
            if (r < 0)
                return r;
            *ret_written += i - from;
        }
        i += n;
        if (zero)
            from = i;
    }
    *ret_written += len - from;
    return write_whole(fd, at + from, p + from, len - from);
}

static int file_write(struct disk_target *t, unsigned worker, uint64_t at, const uint8_t *p, size_t len,
                      struct bk_error *err)
{
    struct file_target *f = (struct file_target *)t;
    uint8_t *scratch = NULL;
    uint64_t n = 0;
    int r = scratch_of(f, worker, &scratch, err);
    if (r < 0)
        return r;
    if (!t->fresh) {
        r = delta_write(f->fd, at, p, len, scratch, &n);
        return said(f, r, n, at, err);
    }
    r = write_nonzero(f->fd, at, p, len, &n);
    return said(f, r, n, at, err);
}

static int file_zero(struct disk_target *t, unsigned worker, uint64_t at, uint64_t len, bool hole,
                     struct bk_error *err)
{
    struct file_target *f = (struct file_target *)t;
    uint8_t *scratch = NULL;
    uint64_t n = 0;
    if (t->fresh)
        return 0;
    int r = scratch_of(f, worker, &scratch, err);
    if (r < 0)
        return r;
    r = delta_zero(f->fd, at, len, hole, scratch, &n);
    return said(f, r, n, at, err);
}

static int file_read(struct disk_target *t, unsigned worker, uint64_t at, uint8_t *p, size_t len,
                     struct bk_error *err)
{
    (void)worker;
    struct file_target *f = (struct file_target *)t;
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(f->fd, p + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read %s back", f->path);
        if (n == 0)
            return bk_fail(err, BK_E_CORRUPT, "%s ends at byte %llu", f->path,
                           (unsigned long long)(at + got));
        got += (size_t)n;
    }
    return 0;
}

static int file_sync(struct disk_target *t, struct bk_error *err)
{
    struct file_target *f = (struct file_target *)t;
    if (!f->device && ftruncate(f->fd, (off_t)f->size) < 0)
        return bk_fail_errno(err, errno, "give it %llu bytes", (unsigned long long)f->size);
    if (fsync(f->fd) < 0)
        return bk_fail_errno(err, errno, "write %s to the medium", f->path);
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED); /* what is read back comes from there */
    return 0;
}

static int file_finish(struct disk_target *t, struct bk_error *err)
{
    struct file_target *f = (struct file_target *)t;
    return f->made.temporary ? disk_new_finish(&f->made, err) : 0;
}

static void file_free(struct disk_target *t)
{
    struct file_target *f = (struct file_target *)t;
    if (f->fd >= 0)
        close(f->fd);
    disk_new_clear(&f->made);
    for (unsigned i = 0; f->scratch && i < f->n_workers; i++)
        free(f->scratch[i]);
    free(f->scratch);
    free(f->path);
    free(f);
}

static const struct disk_target_ops file_ops = { .write = file_write,
                                                 .zero = file_zero,
                                                 .read = file_read,
                                                 .sync = file_sync,
                                                 .finish = file_finish,
                                                 .free = file_free };

static int open_device(struct file_target *f, struct bk_error *err)
{
    /* Exclusive: nobody has it mounted. */
    f->fd = open(f->path, O_RDWR | O_EXCL | O_CLOEXEC | O_NOCTTY);
    if (f->fd < 0 && errno == EBUSY)
        return bk_fail(err, BK_E_BUSY, "it is in use: something of it is mounted");
    if (f->fd < 0)
        return bk_fail_errno(err, errno, "open it");
    uint64_t size = 0;
    if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
        return bk_fail_errno(err, errno, "ask for its size");
    if (size < f->size)
        return bk_fail(err, BK_E_LIMIT, "it has %llu bytes, and the disk %llu", (unsigned long long)size,
                       (unsigned long long)f->size);
    return qemu_lock_check(f->fd, true, err);
}

/* It gets its size when all of it has been written. */
static int open_file(struct file_target *f, struct bk_error *err)
{
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return bk_fail_errno(err, errno, "open it");
    if (!S_ISREG(st.st_mode))
        return bk_fail(err, BK_E_USAGE, "it is neither a regular file nor a block device");
    return qemu_lock_check(f->fd, true, err);
}

static int make_file(struct file_target *f, struct bk_error *err)
{
    f->target.fresh = true;
    return disk_new_make(f->path, &f->made, &f->fd, err);
}

int disk_target_file(const struct disk_target_opts *o, struct disk_target **ret, struct bk_error *err)
{
    struct file_target *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    *f =
        (struct file_target){ .target.ops = &file_ops, .fd = -1, .size = o->size, .n_workers = o->n_workers };
    bk_auto(disk_target_free) struct disk_target *t = &f->target;
    f->path = strdup(o->to);
    f->scratch = calloc(o->n_workers, sizeof *f->scratch);
    if (!f->path || !f->scratch)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    struct stat st;
    bool there = lstat(o->to, &st) == 0;
    if (!there && errno != ENOENT)
        return bk_fail_errno(err, errno, "look at it");
    bool follow = there && S_ISLNK(st.st_mode) && stat(o->to, &st) == 0; /* /dev/disk/by-id/... */
    f->device = there && S_ISBLK(st.st_mode);
    if (follow && !f->device)
        return bk_fail(err, BK_E_USAGE, "it is a symbolic link, and not to a block device");
    if (there && !o->overwrite) {
        bk_fail(err, BK_E_EXISTS, "it is there already");
        return bk_hint(err, "choose another place, or allow it to be overwritten");
    }
    int r = f->device ? open_device(f, err) : there ? open_file(f, err) : make_file(f, err);
    if (r == 0)
        *ret = bk_steal(t);
    return r;
}
