/* Every system call of the directory store made to fail: one life of a repository per errno and call. Also
 * calls that do less than was asked or are interrupted, which must not be noticed at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/fault/disk.h"
#include "tests/fault/life.h"

enum { SHORT = -1 }; /* instead of an errno: half of a read or write */

static struct sample sample;

/* The nth call fails; lasting: all later ones as well. */
struct failing {
    uint64_t nth;
    int error;
    bool lasting, data_only; /* count reads and writes only */
    atomic_uint_fast64_t calls;
    atomic_bool fired;
};

static bool trip(struct failing *f, bool data)
{
    if (f->data_only && !data)
        return false;
    uint64_t n = atomic_fetch_add(&f->calls, 1) + 1;
    if (n != f->nth && !(f->lasting && n > f->nth))
        return false;
    atomic_store(&f->fired, true);
    errno = f->error;
    return true;
}

static int failing_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    return trip(ctx, false) ? -1 : disk_io_unsynced.open(NULL, dirfd, path, flags, mode);
}

static ssize_t failing_pwrite(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    struct failing *f = ctx;
    if (!trip(f, true))
        return pwrite(fd, data, len, offset);
    return f->error == SHORT ? pwrite(fd, data, (len + 1) / 2, offset) : -1;
}

static ssize_t failing_pread(void *ctx, int fd, void *out, size_t len, off_t offset)
{
    struct failing *f = ctx;
    if (!trip(f, true))
        return pread(fd, out, len, offset);
    return f->error == SHORT ? pread(fd, out, (len + 1) / 2, offset) : -1;
}

static int failing_fsync(void *ctx, int fd)
{
    (void)fd;
    return trip(ctx, false) ? -1 : 0;
}

static int failing_link(void *ctx, int dirfd, const char *from, const char *to)
{
    return trip(ctx, false) ? -1 : disk_io_unsynced.link(NULL, dirfd, from, to);
}

static int failing_unlink(void *ctx, int dirfd, const char *path)
{
    return trip(ctx, false) ? -1 : disk_io_unsynced.unlink(NULL, dirfd, path);
}

static int failing_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    return trip(ctx, false) ? -1 : disk_io_unsynced.mkdir(NULL, dirfd, path, mode);
}

/* Closed all the same, as Linux does. */
static int failing_close(void *ctx, int fd)
{
    int r = close(fd);
    return trip(ctx, false) ? -1 : r;
}

static struct store *open_dir(const char *path, bool create, const struct dir_io *io)
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    if (store_dir_open(path, create, io, &world_real, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

/* One case; false when the fault lay past the last call. */
static bool survive(struct failing *f, struct life *l)
{
    const struct dir_io io = { .ctx = f,
                               .open = failing_open,
                               .pwrite = failing_pwrite,
                               .fsync = failing_fsync,
                               .link = failing_link,
                               .unlink = failing_unlink,
                               .mkdir = failing_mkdir,
                               .close = failing_close,
                               .pread = failing_pread };
    char path[160];
    snprintf(path, sizeof path, "%s/repo", sample.top);
    sample_remove_below(path);
    *l = (struct life){ 0 };
    life_run(l, open_dir(path, true, &io), &sample);
    life_verify(l, open_dir(path, false, &disk_io_unsynced), &sample, f->nth % 16 == 0);
    if (!atomic_load(&f->fired))
        assert_int_equal(l->code, 0);
    return atomic_load(&f->fired);
}

static void sweep(const char *name, int error, bool lasting, uint64_t step)
{
    unsigned cases = 0, reported = 0;
    for (uint64_t nth = 1;; nth += step) {
        struct failing f = { .nth = nth, .error = error, .lasting = lasting };
        struct life l;
        if (!survive(&f, &l))
            break;
        cases++;
        reported += l.code != 0 || l.n_problems > 0;
    }
    assert_true(cases > 20);
    printf("# %s: %u cases, %u survived; %u reported an error, %u went on without one\n", name, cases, cases,
           reported, cases - reported);
    fflush(stdout);
}

/* What happens all the time on some systems may not be an error. */
static void goes_unnoticed(const char *name, int error)
{
    unsigned cases = 0;
    for (uint64_t nth = 1;; nth++) {
        struct failing f = { .nth = nth, .error = error, .data_only = true };
        struct life l;
        if (!survive(&f, &l))
            break;
        if (l.code || l.n_problems)
            fail_msg("%s %u: %s", name, (unsigned)nth, l.text);
        cases++;
    }
    printf("# %s: %u cases, %u not even noticed\n", name, cases, cases);
    fflush(stdout);
}

static void failing_calls_lose_nothing(void **state)
{
    (void)state;
    sweep("system call fails with EIO", EIO, false, 3);
    sweep("system call fails with EMFILE", EMFILE, false, 5);
    sweep("system calls fail with ENOSPC from one on", ENOSPC, true, 4);
}

static void short_and_interrupted_calls_go_unnoticed(void **state)
{
    (void)state;
    goes_unnoticed("half a read or write", SHORT);
    goes_unnoticed("interrupted read or write", EINTR);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(failing_calls_lose_nothing),
                                        cmocka_unit_test(short_and_interrupted_calls_go_unnoticed) };
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
