/* How the directory store writes: temporary file, fsync, link, fsync of the directory. Any thread. */
#ifndef BKD_STORE_DIR_WRITE_H
#define BKD_STORE_DIR_WRITE_H

#include "bkd/store/dir.h"

struct dir_writer {
    const struct dir_io *io;
    int fd;          /* the repository's directory; borrowed */
    const char *url; /* borrowed */
    const struct world *world;
};

void dir_writer_init(struct dir_writer *w, const struct dir_io *io, int fd, const char *url,
                     const struct world *world);
void dir_writer_clear(struct dir_writer *w);
/* store_ops.put */
int dir_writer_put(struct dir_writer *w, const char *name, const void *data, size_t len,
                   struct bk_error *err) BK_MUST_CHECK;
/* store_ops.remove */
int dir_writer_remove(struct dir_writer *w, const char *name, struct bk_error *err) BK_MUST_CHECK;

#endif
