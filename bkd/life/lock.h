/* The minimum retention of a repository: the longest of all retention/<n> that stand. Nothing here, and no
 * command, ever takes one away. docs/design/retention.md. */
#ifndef BKD_LIFE_LOCK_H
#define BKD_LIFE_LOCK_H

#include "bkd/repo/repo.h"
#include "formats/snapshot/minimum.h"

struct lock {
    uint64_t seconds; /* in force; 0: none was ever set */
    uint32_t highest; /* number of the newest record, 0: none */
};
/* CORRUPT when the newest record and its copy do not open: how long snapshots are to stay is then unknown.
 * Older ones that do not open are passed over, for the newest was set with all of them in sight. */
int lock_read(struct repo *r, struct lock *ret, struct bk_error *err) BK_MUST_CHECK;
/* USAGE: shorter than the one in force (nothing changes); LIMIT past MINIMUM_SECONDS_MAX. Equal is success. A
 * damaged newest record is no hindrance: what is set then stands instead of it. */
int lock_set(struct repo *r, uint64_t seconds, const char *who, struct bk_error *err) BK_MUST_CHECK;

/* The number in "retention/<n>"; 0 when it is none. */
uint32_t lock_number(const char *name);

#endif
