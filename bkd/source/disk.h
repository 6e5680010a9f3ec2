/* A disk to read: how long it is, where it holds data, what changed, and its bytes.
 *
 *     disk_X_open -> disk_map | disk_read (each lane) ... -> disk_free
 *
 * What is read does not change while it is read: the source behind it (disks.h) sees to that. A lane belongs
 * to one thread at a time, lanes 0..n_lanes-1 run side by side. docs/design/disks.md. */
#ifndef BKD_SOURCE_DISK_H
#define BKD_SOURCE_DISK_H

#include "bkd/job/job.h"
#include "formats/content/content.h"

enum {
    DISK_BLOCK = 64 << 10,    /* bytes: the chunk of a disk, and what change tracking is rounded to */
    DISK_REQUEST = 512 << 10, /* bytes asked for at once */
};

/* A part of the map. HOLE and ZERO read as zeroes; of both nothing is read. */
struct disk_part {
    uint64_t from, len; /* bytes */
    enum extent_kind kind;
    bool clean; /* tracked disks: not written since the point that it is compared with. The kind is true all
                   the same: DATA where that is not known */
};
typedef int disk_map_fn(void *ctx, const struct disk_part *p, struct bk_error *err);
typedef int disk_read_fn(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err);

struct disk;
struct disk_ops {
    int (*map)(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
               struct bk_error *err);
    int (*read)(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
                struct bk_error *err);
    void (*free)(struct disk *d);
};
struct disk {
    const struct disk_ops *ops;
    uint64_t size; /* bytes */
    unsigned n_lanes;
    bool tracked; /* the map tells what is clean */
};

/* The map of bytes [from, to), to <= size: parts in order that follow one another and cover all of it, none
 * empty. An error of fn ends it and is returned. IO, CANCELLED. */
int disk_map(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
             struct bk_error *err) BK_MUST_CHECK;
/* The bytes [from, to), to <= size, in order: fn gets pieces of DISK_REQUEST bytes, the last one shorter,
 * borrowed for the call. More is on its way meanwhile. Errors as above. */
int disk_read(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
              struct bk_error *err) BK_MUST_CHECK;
void disk_free(struct disk *d);
BK_AUTO(struct disk *, disk_free)

/* A raw image or a block device. Never a guess: whatever the bytes look like, they are the disk. ABSENT,
 * PERM, IO; USAGE: neither a regular file nor a block
 * device; BUSY: a QEMU has it open for writing. Reading: CHANGED when it became shorter. */
int disk_file_open(const char *path, struct job *j, struct disk **ret, struct bk_error *err) BK_MUST_CHECK;

/* An NBD export. */
struct disk_nbd_opts {
    const char *uri;     /* nbd://, nbds://, nbd+unix:// ... */
    const char *changes; /* name of the context whose bit 0 says "written", "qemu:dirty-bitmap:x"; NULL: not
                            tracked */
    uint64_t size;       /* that the export must have; 0: whatever it has */
};
/* Its lanes are connections, up to one per worker of the job and as many as the server takes. UNSUPPORTED:
 * libnbd is not installed, or the export lacks the context; ABSENT, IO: it cannot be reached; CORRUPT: it
 * breaks the protocol or has another size. UNREACHABLE: it is silent, as nbd_link.h says. */
int disk_nbd_open(const struct disk_nbd_opts *o, struct job *j, struct disk **ret,
                  struct bk_error *err) BK_MUST_CHECK;

/* An image of a format that qemu-nbd reads ("qcow2", "vmdk", "vhdx", "vdi", "vpc", "raw"), through one that
 * is started for it and ends with the disk. bitmap: a persistent dirty bitmap of a qcow2 that is not in use,
 * or NULL. UNSUPPORTED: qemu-nbd is not installed or cannot read it. */
int disk_image_open(const char *path, const char *format, const char *bitmap, struct job *j,
                    struct disk **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
