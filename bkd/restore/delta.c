#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

/* What differs is found in blocks of this size, aligned in the file: the unit the file system writes anyway.
 */
enum { DELTA_BLOCK = 4096 };

static const uint8_t zeroes[DELTA_BLOCK];

static int read_at(int fd, uint8_t *to, size_t len, uint64_t at, size_t *ret)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, to + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret = got;
    return 0;
}

static int write_at(int fd, const uint8_t *p, size_t len, uint64_t at)
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

/* One scratch-full; have: what was read of it. */
static int write_differing(int fd, uint64_t at, const uint8_t *p, size_t len, const uint8_t *is, size_t have,
                           uint64_t *n_written)
{
    size_t run = 0; /* start of the differing run */
    bool open = false;
    for (size_t i = 0, n; i <= len; i += n) {
        n = DELTA_BLOCK - (size_t)((at + i) % DELTA_BLOCK);
        if (n > len - i)
            n = len - i;
        bool same = i == len || (i + n <= have && memcmp(p + i, is + i, n) == 0);
        if (same && open) {
            int r = write_at(fd, p + run, i - run, at + run);
            if (r < 0)
                return r;
            *n_written += i - run;
            open = false;
        } else if (!same && !open) {
            run = i;
            open = true;
        }
        if (i == len)
            break;
    }
    return 0;
}

int delta_write(int fd, uint64_t at, const uint8_t *p, size_t len, uint8_t *scratch, uint64_t *n_written)
{
    while (len) {
        size_t n = len < RUN_SCRATCH ? len : RUN_SCRATCH, have = 0;
        int r = read_at(fd, scratch, n, at, &have);
        if (r < 0 || (r = write_differing(fd, at, p, n, scratch, have, n_written)) < 0)
            return r;
        p += n;
        at += n;
        len -= n;
    }
    return 0;
}

static int zero_blocks(int fd, uint64_t at, uint64_t len, uint8_t *scratch, uint64_t *n_written)
{
    while (len) {
        size_t n = len < RUN_SCRATCH ? (size_t)len : RUN_SCRATCH, have = 0;
        int r = read_at(fd, scratch, n, at, &have);
        if (r < 0)
            return r;
        for (size_t i = 0, step; i < n; i += step) {
            step = n - i < DELTA_BLOCK ? n - i : DELTA_BLOCK;
            if (i + step <= have && memcmp(scratch + i, zeroes, step) == 0)
                continue;
            if ((r = write_at(fd, zeroes, step, at + i)) < 0)
                return r;
            *n_written += step;
        }
        at += n;
        len -= n;
    }
    return 0;
}

int delta_zero(int fd, uint64_t at, uint64_t len, bool hole, uint8_t *scratch, uint64_t *n_written)
{
    /* From hole to hole: what is not allocated is zero already. */
    for (uint64_t end = at + len; at < end;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return 0;
        uint64_t from = data < 0 ? at : (uint64_t)data;
        if (from >= end)
            return 0;
        off_t next = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        uint64_t to = next < 0 || (uint64_t)next > end ? end : (uint64_t)next;
        if (!hole ||
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) < 0) {
            int r = zero_blocks(fd, from, to - from, scratch, n_written);
            if (r < 0)
                return r;
        } else {
            *n_written += to - from;
        }
        at = to;
    }
    return 0;
}
