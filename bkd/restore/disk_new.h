/* A file that has a name of its own until it is whole.
 *
 *     disk_new_make -> (it is written and synced) -> disk_new_finish -> disk_new_clear
 *
 * clear without finish removes it. After kill -9 a file NAME.bkctl-PID-N may stay. One thread. */
#ifndef BKD_RESTORE_DISK_NEW_H
#define BKD_RESTORE_DISK_NEW_H

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct disk_new {
    char *path, *temporary; /* owned; temporary NULL: there is none, or it has its name */
};
/* *ret_fd: open for reading and writing, empty, mode 0600; the caller's. The temporary name begins with '/'
 * or './'. */
int disk_new_make(const char *path, struct disk_new *ret, int *ret_fd, struct bk_error *err) BK_MUST_CHECK;
/* It gets its name, unless somebody else has it (EXISTS), and the name goes to the medium. */
int disk_new_finish(struct disk_new *n, struct bk_error *err) BK_MUST_CHECK;
void disk_new_clear(struct disk_new *n);
/* The folder that path stands in, to the medium. */
int disk_new_sync_folder(const char *path, struct bk_error *err) BK_MUST_CHECK;

#endif
