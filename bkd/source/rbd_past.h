/* What a snapshot of ours says of the images in Ceph that it holds: the text DISKS_SOURCE.
 *
 *     {"version":1,"rbd":[{"disk":"web","id":"10226b8b4567","size":8589934592,"overlap":0,
 *                          "snap":"bkctl-...","snap_id":4,"full":"bkctl-..."}]}
 *
 * The text comes from a repository: anything may stand in it. docs/design/disks.md. */
#ifndef BKD_SOURCE_RBD_PAST_H
#define BKD_SOURCE_RBD_PAST_H

#include <stddef.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { RBD_NAME = 256, RBD_ID = 64 };

/* An image as of one of its snapshots. */
struct rbd_point {
    char disk[RBD_NAME];
    char id[RBD_ID];        /* of the image: one of the same name that was made anew has another */
    uint64_t size, overlap; /* bytes; overlap: as far as the parent image shows through */
    char snap[RBD_NAME];
    uint64_t snap_id;
    char full[RBD_NAME]; /* the snapshot of the last full; "": not known */
};
struct rbd_past {
    struct rbd_point *v; /* owned */
    size_t n;
};

/* CORRUPT; VERSION: a newer one, or of another source. */
int rbd_past_decode(const void *text, size_t len, struct rbd_past *ret, struct bk_error *err) BK_MUST_CHECK;
int rbd_past_encode(const struct rbd_past *p, char **ret, struct bk_error *err) BK_MUST_CHECK;
/* NULL: it says nothing of it. */
const struct rbd_point *rbd_past_find(const struct rbd_past *p, const char *disk);
void rbd_past_clear(struct rbd_past *p);
BK_AUTO_CLEAR(struct rbd_past, rbd_past_clear)

#endif
