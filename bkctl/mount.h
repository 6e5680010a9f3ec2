/* The file system behind `bkctl mount`: FUSE requests answered from snapshots.
 *
 *   /                      top
 *   /snapshots/NAME/TIME   a directory per snapshot; NAME with '/' as %2F
 *   /snapshots/NAME/latest symlink
 *   /ids/ID                symlink to the same
 *   /latest                symlink to the newest of all
 *
 * Served by one thread: the reader's lane and the node table need no locks. Content is immutable, so the
 * kernel may cache all it was told. */
#ifndef BKCTL_MOUNT_H
#define BKCTL_MOUNT_H

#include "bkctl/app.h"

struct mount_args {
    bool foreground, background, allow_other;
};

/* Returns when the file system is unmounted or a signal comes. */
int mount_serve(struct app *a, const struct mount_args *x, const char *dir,
                struct bk_error *err) BK_MUST_CHECK;

#endif
