/* A recorded disk: passes a directory store's system calls on to a real folder and keeps a log of those that
 * change something; any prefix of the log can be made into the folder that a power cut at that moment could
 * leave.
 *
 * Two states are kept per file and directory: as the running system sees it, and as the last fsync of it made
 * it durable. What was not fsynced may be lost or kept; enum disk_loss names the mixes that are tried. */
#ifndef TESTS_FAULT_DISK_H
#define TESTS_FAULT_DISK_H

#include "bkd/store/dir.h"

enum disk_loss {
    DISK_STRICT,  /* only what was fsynced is there */
    DISK_EMPTIED, /* names are kept, file content that was not fsynced is not */
    DISK_ZEROED,  /* the same, but the files have their length, in zeroes */
    DISK_HALVED,  /* the first half of each unsynced file is there */
    DISK_MIXED,   /* each unsynced name and file is kept or lost by a coin */
    DISK_KEPT,    /* everything is there: the process was killed */
    DISK_LOSSES,
};

struct disk;
struct disk *disk_new(void);
void disk_free(struct disk *d);
/* Calls through it are logged. */
const struct dir_io *disk_io(struct disk *d);
/* Calls logged so far. */
size_t disk_calls(const struct disk *d);

/* Play the log up to n calls (never less than before) and write what is left then below the folder `to`,
 * which is made. Returns a fingerprint of it; with to NULL nothing is written. */
uint64_t disk_cut(struct disk *d, size_t n, enum disk_loss loss, const char *to);

/* The real calls without the wait for the medium: for what comes after the cut. */
extern const struct dir_io disk_io_unsynced;

#endif
