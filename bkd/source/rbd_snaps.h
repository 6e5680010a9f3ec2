/* The snapshots of an image in Ceph, and which of them are ours. */
#ifndef BKD_SOURCE_RBD_SNAPS_H
#define BKD_SOURCE_RBD_SNAPS_H

#include "bkd/source/disks.h"
#include "bkd/source/rbd_io.h"

/* "bkctl-" SERIES "-" RANDOM, in hex */
enum { RBD_SNAP_OURS = 6 + DISKS_SERIES + 1 + 16 };

struct rbd_snaps {
    rbd_snap_info_t *v; /* owned; names by librbd */
    size_t n;
};
/* image: as it was opened. UNREACHABLE, IO. */
int rbd_snaps_list(struct rbd_link *l, rbd_image_t image, struct rbd_snaps *ret,
                   struct bk_error *err) BK_MUST_CHECK;
void rbd_snaps_clear(struct rbd_snaps *s);
BK_AUTO_CLEAR(struct rbd_snaps, rbd_snaps_clear)

const rbd_snap_info_t *rbd_snaps_find(const struct rbd_snaps *s, const char *name);

/* A name for a new one. */
int rbd_snaps_name(const char *series, char out[static RBD_SNAP_OURS + 1],
                   struct bk_error *err) BK_MUST_CHECK;
bool rbd_snaps_ours(const char *name, const char *series);

#endif
