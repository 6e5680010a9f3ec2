/* prune: packs go that no snapshot needs, while others write and read.
 *
 * What it does in which order, and why nothing is lost whoever dies when: docs/design/protocol.md,
 * "Collection". It holds a session of role collector; a second one ends with BUSY. What a collection that
 * died left undecided or unfinished is ended first. It waits for sessions that were there before its
 * tombstones, and declares those dead that give no sign of life; nobody ever waits for it. Memory stays
 * within the job's budget. What a store with object lock does not let go is left, counted, and tried again by
 * every later run; nobody relies on it meanwhile.
 */
#ifndef BKD_LIFE_PRUNE_H
#define BKD_LIFE_PRUNE_H

#include "bkd/repo/repo.h"

struct prune_opts {
    bool dry_run;
    bool no_repack;
    uint64_t max_repack;       /* bytes of packs that are written anew; 0: as many as it takes */
    double max_unused_percent; /* of what stays; packs are written anew until no more than this is unused */
    unsigned max_wait_s;       /* for living sessions, then BUSY; 0: a day */
    unsigned timeout_s;        /* a session that stands still for so long is dead; 0: 15 minutes */
    unsigned poll_ms;          /* how often it looks while it waits; 0: 1 second */
};
enum { PRUNE_TIMEOUT = 15 * 60, PRUNE_MAX_WAIT = 24 * 3600 };
#define PRUNE_MAX_UNUSED 5.0

struct prune_report {
    uint64_t n_snapshots;
    uint64_t n_packs, bytes;             /* that were there */
    uint64_t n_chunks, n_needed;         /* in the index; by snapshots */
    uint64_t unused_bytes;               /* estimated: of packs in use */
    uint64_t n_unneeded, unneeded_bytes; /* packs in which nothing is needed */
    uint64_t n_moved, moved_bytes;       /* packs that were (dry run: would be) written anew ... */
    uint64_t written_bytes;              /* ... and what that took */
    uint64_t n_lifted;                   /* packs that are needed after all */
    uint64_t n_deleted, deleted_bytes;   /* packs */
    uint64_t n_segments_put, n_segments_removed;
    uint64_t n_locked,
        locked_bytes;            /* packs and index segments that the store does not let go yet; of packs */
    uint64_t n_waited, n_fenced; /* sessions */
    uint64_t n_resumed;          /* collections of others that were ended first */
};
/* errors  BUSY     another collection is under way; or somebody was waited for in vain: then the list stands,
 *                  undecided, and the next run takes it up
 *         CORRUPT  a snapshot cannot be read as a whole: nothing goes that it might need. check tells more
 *         FENCED   others took this one for dead and went on without it
 *         LIMIT    the memory does not suffice
 *         and those of the store; what is done is done, and the next run goes on from there */
int prune_run(struct repo *r, struct job *j, const struct prune_opts *o, struct prune_report *ret,
              struct bk_error *err) BK_MUST_CHECK;

#endif
