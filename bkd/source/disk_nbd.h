/* Disks behind NBD connections that are made already. Internal to bkd/source/. */
#ifndef BKD_SOURCE_DISK_NBD_H
#define BKD_SOURCE_DISK_NBD_H

#include "bkd/source/disk.h"
#include "bkd/source/nbd_link.h"

/* n links, taken over also after an error; changes as in struct disk_nbd_opts; server: that ends with the
 * disk, taken over as well, or NULL. */
int disk_nbd_over(struct nbd_link *links, unsigned n, const char *changes, struct child *server,
                  struct disk **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
