/* An image in Ceph as of one snapshot, as a disk. Internal to bkd/source/disks_rbd.c. */
#ifndef BKD_SOURCE_DISK_RBD_H
#define BKD_SOURCE_DISK_RBD_H

#include "bkd/source/rbd_io.h"

struct disk_rbd_opts {
    rbd_image_t image;  /* opened read-only at the snapshot; closed with the disk */
    uint64_t size;      /* bytes */
    uint64_t overlap;   /* bytes that a parent image may show through */
    const char *since;  /* the older snapshot that tells what changed; NULL: not tracked */
    rbd_image_t before; /* the image at that snapshot; borrowed for the call */
};
/* Asks for the map, which a large image takes some seconds for. The image is taken over also on errors; link
 * is borrowed until the disk is freed. UNREACHABLE, CANCELLED, IO. */
int disk_rbd_new(struct rbd_link *link, const struct disk_rbd_opts *o, struct job *j, struct disk **ret,
                 struct bk_error *err) BK_MUST_CHECK;

#endif
