/* Directory store: one file per object below a directory.
 *
 * put writes tmp/<random>, fsyncs it, links it to its name (put-if-absent), fsyncs the name's directory,
 * unlinks the temporary name. New directories are fsynced into their parents first. Big objects go through
 * O_DIRECT from an aligned bounce buffer where the file system has it. Every call that touches the disk goes
 * through struct dir_io, so that tests can fail, record and replay each one. docs/design/store-dir.md */
#ifndef BKD_STORE_DIR_H
#define BKD_STORE_DIR_H

#include <fcntl.h>
#include <sys/types.h>

#include "bkd/store/store.h"

/* System calls as the store uses them: same results and errno as the real ones. Paths are relative to dirfd.
 */
struct dir_io {
    void *ctx;
    int (*open)(void *ctx, int dirfd, const char *path, int flags, mode_t mode);
    ssize_t (*pwrite)(void *ctx, int fd, const void *data, size_t len, off_t offset);
    int (*fsync)(void *ctx, int fd);
    int (*link)(void *ctx, int dirfd, const char *from, const char *to);
    int (*unlink)(void *ctx, int dirfd, const char *path);
    int (*mkdir)(void *ctx, int dirfd, const char *path, mode_t mode);
    int (*close)(void *ctx, int fd);
    ssize_t (*pread)(void *ctx, int fd, void *out, size_t len, off_t offset);
};
extern const struct dir_io dir_io_real;

/* io NULL: the real one; borrowed while the store lives. */
int store_dir_open(const char *path, bool create, const struct dir_io *io, const struct world *w,
                   struct store **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
