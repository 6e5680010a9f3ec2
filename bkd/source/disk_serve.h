/* A qemu-nbd for a disk image. Whatever the name of the image looks like, it is a path and no protocol of
 * QEMU. */
#ifndef BKD_SOURCE_DISK_SERVE_H
#define BKD_SOURCE_DISK_SERVE_H

#include "bkd/source/nbd_link.h"

/* With n connections to it made. format: of disk_format.h. more: options of qemu-nbd, ended by NULL.
 * UNSUPPORTED, FAILED with what it says, and what nbd_link.h says. */
int disk_serve(const char *path, const char *format, const char *const *more, unsigned n, struct job *j,
               const char *const *contexts, struct nbd_link *links, struct child **ret,
               struct bk_error *err) BK_MUST_CHECK;

#endif
