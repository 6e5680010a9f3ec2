/* A map from (device, inode) to whatever the caller keeps for it. One thread, or the caller's lock. */
#ifndef BKD_RESTORE_INODES_H
#define BKD_RESTORE_INODES_H

#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct inode_slot {
    uint64_t dev, ino;
    void *value; /* NULL: free slot */
};
struct inodes {
    struct inode_slot *v; /* owned; n_slots is a power of two or 0 */
    size_t n_slots, n;
};
void inodes_clear(struct inodes *m);
BK_AUTO_CLEAR(struct inodes, inodes_clear)
void *inodes_find(const struct inodes *m, uint64_t dev, uint64_t ino);
/* The key must be new, the value not NULL. */
int inodes_add(struct inodes *m, uint64_t dev, uint64_t ino, void *value, struct bk_error *err) BK_MUST_CHECK;

#endif
