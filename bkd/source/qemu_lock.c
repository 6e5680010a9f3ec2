#include "bkd/source/qemu_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* QEMU, block/file-posix.c: a lock on byte 100 + n says that permission n is held, on 200 + n that it is not
 * shared. */
enum { HELD = 100, NOT_SHARED = 200, WRITE = 1, N_PERMISSIONS = 5 };

static bool is_locked(int fd, off_t from, off_t len)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = len };
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* ---- what processes have open ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode))
        return S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_for_writing(const char *pid, const char *fd)
{
    char path[64];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/%.16s/fdinfo/%.16s", pid, fd);
    FILE *f = fopen(path, "re");
    bool known = f && fscanf(f, "pos: %*d flags: %o", &flags) == 1;
    if (f)
        fclose(f);
    return known && (flags & O_ACCMODE) != O_RDONLY;
}

static bool has_open(const char *pid, const struct stat *st)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat is;
        snprintf(path, sizeof path, "/proc/%.16s/fd/%.16s", pid, e->d_name);
        found =
            e->d_name[0] != '.' && stat(path, &is) == 0 && is_same(st, &is) && is_for_writing(pid, e->d_name);
    }
    if (d)
        closedir(d);
    return found;
}

/* By somebody else, for writing. */
static bool is_open(int fd)
{
    struct stat st;
    DIR *d = fstat(fd, &st) == 0 ? opendir("/proc") : NULL;
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        found = pid > 0 && !*end && pid != getpid() && has_open(e->d_name, &st);
    }
    if (d)
        closedir(d);
    return found;
}

int qemu_lock_check(int fd, bool writing, struct bk_error *err)
{
    bool busy = writing ? is_locked(fd, HELD, N_PERMISSIONS) || is_locked(fd, NOT_SHARED, N_PERMISSIONS)
                        : is_locked(fd, HELD + WRITE, 1);
    if (!busy && !(writing && is_open(fd)))
        return 0;
    if (busy)
        bk_fail(err, BK_E_BUSY, "it is in use by a virtual machine");
    else
        bk_fail(err, BK_E_BUSY, "it is in use: a process has it open for writing");
    return bk_hint(err, "stop the machine that it belongs to, or back that up (vm:NAME)");
}
