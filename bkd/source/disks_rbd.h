/* Images in Ceph, each as of a snapshot: the one that was named, or one of ours that is made for it.
 *
 * Ours are called "bkctl-SERIES-RANDOM", 16 hex digits each, where SERIES stands for a repository and a name
 * of snapshots in it (disks.h): so what another repository or name still needs is left alone. Between runs
 * the newest and that of the last full stay. docs/design/disks.md, "Ceph". */
#ifndef BKD_SOURCE_DISKS_RBD_H
#define BKD_SOURCE_DISKS_RBD_H

#include <string.h>

#include "bkd/source/disks.h"

/* "rbd:POOL/IMAGE...": rbd_url.h. */
static inline bool disks_rbd_is(const char *operand)
{
    return !strncmp(operand, "rbd:", 4);
}

#if HAVE_RBD
/* A disk is called as its image. USAGE: an operand is none, or an image is given twice. */
int disks_rbd_new(const char *const *operands, size_t n, struct disks **ret,
                  struct bk_error *err) BK_MUST_CHECK;
#else
static inline int disks_rbd_new(const char *const *operands, size_t n, struct disks **ret,
                                struct bk_error *err)
{
    (void)operands, (void)n, (void)ret;
    return bk_fail(err, BK_E_UNSUPPORTED, "this build reads no images in Ceph: it has no librbd");
}
#endif

#endif
