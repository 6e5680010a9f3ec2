/* What qemu-img says of the image of a domain that is shut off, and the bitmaps in it. One thread. */
#ifndef BKD_SOURCE_VM_IMAGE_H
#define BKD_SOURCE_VM_IMAGE_H

#include "bkd/job/job.h"

struct vm_image {
    uint64_t size;      /* bytes of the disk */
    bool found, in_use; /* the bitmap is there; it was not saved in order, and is worth nothing */
    bool below;         /* an image further down its chain has one of that name: it takes both to know */
};
/* path: absolute. format: as the domain's definition says, never a guess. bitmap: or NULL. UNSUPPORTED:
 * qemu-img is not installed; FAILED with what it says. */
int vm_image_look(const char *path, const char *format, const char *bitmap, struct job *j,
                  struct vm_image *ret, struct bk_error *err) BK_MUST_CHECK;
/* Remove the bitmaps with names of ours from a qcow2, those that drop says; drop NULL: all. in_use: it is
 * worth nothing. *ret: how many. */
typedef bool vm_image_drop_fn(const void *ctx, const char *name, bool in_use);
int vm_image_forget(const char *path, vm_image_drop_fn *drop, const void *ctx, struct job *j, unsigned *ret,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
