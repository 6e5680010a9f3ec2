#include "bkd/restore/rfile.h"

#include <errno.h>
#include <fcntl.h>

int rfile_create(struct run *r, struct rfile *f, int dirfd, mode_t mode, struct bk_error *err)
{
    enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC };
    int fd = openat(dirfd, f->name, FLAGS, mode);
    if (fd < 0 && errno == EEXIST && r->opts->overwrite && !f->td->fresh) {
        uint64_t n = 0;
        int rc = target_remove(dirfd, f->name, &n, err);
        if (rc < 0)
            return rc;
        fd = openat(dirfd, f->name, FLAGS, mode);
    }
    if (fd < 0)
        return bk_fail_errno(err, errno, "create the file");
    f->now = (struct attrs_now){ .uid = r->attrs.euid,
                                 .gid = f->td->new_gid,
                                 .mode = mode & ~r->attrs.umask,
                                 .acl = f->td->acl,
                                 .no_flags = f->link && attrs_freezes(&f->attrs) };
    return fd;
}

static int create_sized(struct run *r, struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = rfile_create(r, f, dirfd, 0600, err);
    struct stat st;
    if (fd < 0)
        return fd;
    if ((f->size && ftruncate(fd, (off_t)f->size) < 0) || fstat(fd, &st) < 0) {
        int e = errno;
        close(fd);
        return bk_fail_errno(err, e, "size the file");
    }
    f->delta = false;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return fd;
}

enum { OPEN_FLAGS = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* What is there is changed only if it is still what was looked at. */
static int open_delta(struct run *r, struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = openat(dirfd, f->name, OPEN_FLAGS);
    if (fd < 0 && errno == EPERM && target_thaw(dirfd, f->name))
        fd = openat(dirfd, f->name, OPEN_FLAGS);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == f->dev && st.st_ino == f->ino) {
        if ((uint64_t)st.st_size != f->size && ftruncate(fd, (off_t)f->size) < 0) {
            int e = errno;
            close(fd);
            return bk_fail_errno(err, e, "size the file");
        }
        if ((uint64_t)st.st_size != f->size)
            atomic_store(&f->dirty, true);
        f->now = (struct attrs_now){ .uid = st.st_uid,
                                     .gid = st.st_gid,
                                     .mode = st.st_mode & 07777,
                                     .existing = true,
                                     .no_flags = f->link && attrs_freezes(&f->attrs) };
        return fd;
    }
    /* A running program, a file closed to us, or something else by now: a new file takes the name. */
    if (fd >= 0)
        close(fd);
    uint64_t n = 0;
    int rc = target_remove(dirfd, f->name, &n, err);
    return rc < 0 ? rc : create_sized(r, f, dirfd, err);
}

static int reopen(const struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = openat(dirfd, f->name, OPEN_FLAGS);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open the file again");
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino) {
        close(fd);
        return bk_fail(err, BK_E_IO, "the file was replaced while it was restored");
    }
    return fd;
}

int rfile_pin(struct run *r, struct rfile *f, int *ret_fd, struct bk_error *err)
{
    int fd = handles_pin(&r->files, &f->handle);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    pthread_mutex_lock(&f->lock);
    int rc = 0;
    fd = handles_pin(&r->files, &f->handle);
    if (fd < 0) {
        int dirfd;
        rc = tdir_pin(&r->targets, f->td, &dirfd, err);
        if (rc == 0) {
            rc = fd = f->opened  ? reopen(f, dirfd, err)
                      : f->delta ? open_delta(r, f, dirfd, err)
                                 : create_sized(r, f, dirfd, err);
            tdir_unpin(&r->targets, f->td);
        }
        if (rc >= 0) {
            f->opened = true;
            handles_adopt_fd(&r->files, &f->handle, fd);
        }
    }
    pthread_mutex_unlock(&f->lock);
    if (rc < 0)
        return rc;
    *ret_fd = fd;
    return 0;
}
