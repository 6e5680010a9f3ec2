/* Where a disk is restored to: the mirror image of source/disk.h.
 *
 *     disk_target_open -> write | zero (each worker) ... -> sync -> read (each worker) ... -> finish -> free
 *
 * A new file has a name of its own until finish; free without finish removes it. What was there before is
 * changed in place. Workers 0..n_workers-1, each one thread at a time. */
#ifndef BKD_RESTORE_DISK_TARGET_H
#define BKD_RESTORE_DISK_TARGET_H

#include "bkd/job/job.h"

struct disk_target;
struct disk_target_ops {
    int (*write)(struct disk_target *t, unsigned worker, uint64_t at, const uint8_t *p, size_t len,
                 struct bk_error *err);
    /* hole: what is allocated there may go */
    int (*zero)(struct disk_target *t, unsigned worker, uint64_t at, uint64_t len, bool hole,
                struct bk_error *err);
    int (*read)(struct disk_target *t, unsigned worker, uint64_t at, uint8_t *p, size_t len,
                struct bk_error *err);
    int (*sync)(struct disk_target *t, struct bk_error *err);
    int (*finish)(struct disk_target *t, struct bk_error *err);
    void (*free)(struct disk_target *t);
};
struct disk_target {
    const struct disk_target_ops *ops;
    bool fresh; /* it reads as zeroes but for what was written */
    atomic_uint_fast64_t bytes_written;
};

struct disk_target_opts {
    const char *to; /* a path of a file or block device, an NBD URI, or rbd:POOL/IMAGE */
    const char *
        format; /* of a file: one of source/disk_format.h; NULL: what the ending of the name says, else raw */
    uint64_t size;  /* bytes of the disk; a device or export may be longer */
    bool overwrite; /* something that is there may be changed */
    unsigned n_workers;
};
/* EXISTS: overwrite is needed; BUSY: it is mounted, or a QEMU has it open; LIMIT: it is shorter than the
 * disk; USAGE: what is there cannot hold a disk; UNSUPPORTED, and what opening says. Nothing is changed by an
 * error. */
int disk_target_open(const struct disk_target_opts *o, struct job *j, struct disk_target **ret,
                     struct bk_error *err) BK_MUST_CHECK;
void disk_target_free(struct disk_target *t);
BK_AUTO(struct disk_target *, disk_target_free)

/* inside */
int disk_target_file(const struct disk_target_opts *o, struct disk_target **ret,
                     struct bk_error *err) BK_MUST_CHECK;
/* format NULL: `to` is a URI; else a file of that format, made anew */
int disk_target_nbd(const struct disk_target_opts *o, const char *format, struct job *j,
                    struct disk_target **ret, struct bk_error *err) BK_MUST_CHECK;
/* An image in Ceph, rbd_url.h: made anew under a name of its own, or one that nobody has open. Writes may be
 * on their way when write returns; sync tells of their errors. */
int disk_target_rbd(const struct disk_target_opts *o, struct job *j, struct disk_target **ret,
                    struct bk_error *err) BK_MUST_CHECK;
#endif
