#include "bkd/restore/rfile.h"

#include <errno.h>
#include <fcntl.h>

static int put_bytes(int fd, const uint8_t *p, size_t len, uint64_t at, bool seek, struct bk_error *err)
{
    while (len) {
        ssize_t n = seek ? pwrite(fd, p, len, (off_t)at) : write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "write the file");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Would a new file with its final mode show more than it should before it has its owner? */
static mode_t first_mode(struct run *r, const struct rfile *f)
{
    if (f->attrs.xattrs_len)
        return 0600;
    if (!r->opts->no_owner && (idmap_user(r->idmap, f->attrs.uid) != r->attrs.euid ||
                               idmap_group(r->idmap, f->attrs.gid) != f->td->new_gid))
        return 0600;
    return f->attrs.mode & 0777;
}

int rfile_write_whole(struct run *r, struct rfile *f, const uint8_t *p, size_t len, struct bk_error *err)
{
    int dirfd;
    int rc = tdir_pin(&r->targets, f->td, &dirfd, err);
    if (rc < 0)
        return rc;
    int fd = rfile_create(r, f, dirfd, first_mode(r, f), err);
    tdir_unpin(&r->targets, f->td);
    if (fd < 0)
        return fd;
    f->done = true;
    rc = put_bytes(fd, p, len, 0, false, err);
    if (rc == 0) {
        struct place at = rfile_place(f);
        attrs_apply_fd(&r->attrs, &at, fd, &f->attrs, &f->now);
    }
    if (close(fd) < 0 && rc == 0)
        rc = bk_fail_errno(err, errno, "close the file");
    if (rc == 0)
        atomic_fetch_add_explicit(&r->bytes_written, len, memory_order_relaxed);
    return rc;
}

int rfile_write_part(struct run *r, struct rfile *f, unsigned worker, const uint8_t *p, size_t len,
                     uint64_t at, struct bk_error *err)
{
    int fd;
    int rc = rfile_pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    uint64_t written = len;
    if (f->delta) {
        uint8_t *scratch = run_scratch(r, worker);
        written = 0;
        rc = scratch ? delta_write(fd, at, p, len, scratch, &written) : -ENOMEM;
        if (rc < 0)
            rc = bk_fail_errno(err, -rc, "compare and write the file");
        if (written)
            atomic_store(&f->dirty, true);
    } else {
        rc = put_bytes(fd, p, len, at, true, err);
    }
    handles_unpin(&r->files, &f->handle);
    atomic_fetch_add_explicit(&r->bytes_written, written, memory_order_relaxed);
    return rc;
}

int rfile_zero_part(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it,
                    struct bk_error *err)
{
    int fd;
    int rc = rfile_pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    bool hole = it->off == EXTENT_HOLE || r->opts->sparse_zeroes;
    uint64_t written = 0;
    if (f->delta) {
        uint8_t *scratch = run_scratch(r, worker);
        rc = scratch ? delta_zero(fd, it->at, it->len, hole, scratch, &written) : -ENOMEM;
        if (rc < 0)
            rc = bk_fail_errno(err, -rc, "zero a part of the file");
        if (written)
            atomic_store(&f->dirty, true);
        atomic_fetch_add_explicit(&r->bytes_written, written, memory_order_relaxed);
    } else if (!hole && fallocate(fd, 0, (off_t)it->at, (off_t)it->len) < 0 && errno == ENOSPC) {
        rc = bk_fail_errno(err, errno, "reserve space for the file");
    }
    handles_unpin(&r->files, &f->handle);
    return rc;
}
