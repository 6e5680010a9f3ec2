#include "bkd/source/qemu_lock.h"

#include <fcntl.h>

/* QEMU, block/file-posix.c: a lock on byte 100 + n says that permission n is held, on 200 + n that it is not
 * shared. */
enum { HELD = 100, NOT_SHARED = 200, WRITE = 1, N_PERMISSIONS = 5 };

static bool is_locked(int fd, off_t from, off_t len)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = len };
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

int qemu_lock_check(int fd, bool writing, struct bk_error *err)
{
    bool busy = writing ? is_locked(fd, HELD, N_PERMISSIONS) || is_locked(fd, NOT_SHARED, N_PERMISSIONS)
                        : is_locked(fd, HELD + WRITE, 1);
    if (!busy)
        return 0;
    bk_fail(err, BK_E_BUSY, "it is in use by a virtual machine");
    return bk_hint(err, "stop the machine that it belongs to, or back that up (vm:NAME)");
}
