#include "bkd/restore/disk_new.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 100 };

int disk_new_make(const char *path, struct disk_new *ret, int *ret_fd, struct bk_error *err)
{
    *ret = (struct disk_new){ .path = strdup(path) };
    int fd = -1, sys = ENOMEM;
    for (unsigned k = 0; k < TRIES && ret->path && fd < 0; k++) {
        free(bk_steal(ret->temporary));
        if (asprintf(&ret->temporary, "%s%s.bkctl-%d-%u", *path == '/' ? "" : "./", path, (int)getpid(), k) <
            0) {
            ret->temporary = NULL;
            break;
        }
        fd = open(ret->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
        sys = errno;
        if (fd < 0 && sys != EEXIST)
            break;
    }
    if (fd < 0) {
        free(bk_steal(ret->temporary)); /* not ours */
        disk_new_clear(ret);
        return bk_fail_errno(err, sys, "make it");
    }
    *ret_fd = fd;
    return 0;
}

/* NFS and others know no rename that replaces nothing; a link replaces nothing either. */
static int take_name(const struct disk_new *n)
{
    if (renameat2(AT_FDCWD, n->temporary, AT_FDCWD, n->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return errno;
    if (link(n->temporary, n->path) < 0)
        return errno;
    unlink(n->temporary);
    return 0;
}

int disk_new_sync_folder(const char *path, struct bk_error *err)
{
    const char *slash = strrchr(path, '/');
    bk_auto(free) char *folder = slash == path ? strdup("/")
                                 : slash       ? strndup(path, (size_t)(slash - path))
                                               : strdup(".");
    if (!folder)
        return bk_fail_errno(err, ENOMEM, "finish %s", path);
    bk_auto(close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return bk_fail_errno(err, errno, "write the folder of %s to the medium", path);
    return 0;
}

int disk_new_finish(struct disk_new *n, struct bk_error *err)
{
    int sys = take_name(n);
    if (sys)
        return bk_fail_errno(err, sys, "give %s its name", n->path);
    free(bk_steal(n->temporary));
    return disk_new_sync_folder(n->path, err);
}

void disk_new_clear(struct disk_new *n)
{
    if (n->temporary)
        unlink(n->temporary);
    free(n->temporary);
    free(n->path);
    *n = (struct disk_new){ 0 };
}
