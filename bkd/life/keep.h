/* Keeping what snapshots need from being removed, where the store can lock objects and the repository has a
 * minimum retention.
 *
 *     writer_finish -> keep_needed -> session_commit -> keep_snapshot
 *
 * A snapshot shares most of its packs with older ones, whose locks have run since those were put. So before
 * it is committed all that the index names is locked anew: for the minimum retention from now on, and up to a
 * quarter more, so that most runs find everything locked already. What was locked until when is remembered
 * on this machine; to forget it costs time and nothing else. docs/design/retention.md. One thread. */
#ifndef BKD_LIFE_KEEP_H
#define BKD_LIFE_KEEP_H

#include "bkd/repo/collection.h"
#include "bkd/repo/index.h"
#include "formats/object/session.h"

struct keep {
    int64_t until_ns; /* 0: nothing is locked here */
    uint64_t n_asked; /* objects that were not known to be locked */
};
/* Index segments, packs, and what is needed to read them. c: of the session; packs that it gives up are left
 * alone. remember: use and write what is remembered on this machine.
 *   errors  of the store (PERM: it refuses); CORRUPT: the minimum retention is unknown. Nothing may be
 *           committed then; what was locked stays so */
int keep_needed(struct index *x, const struct collection *c, struct job *j, bool remember, struct keep *ret,
                struct bk_error *err) BK_MUST_CHECK;
/* The snapshot itself, which cannot be locked before it is there. It stands whatever comes of this, so a
 * failure is only logged. */
void keep_snapshot(struct repo *r, struct job *j, const struct keep *k, const uint8_t id[static SESSION_ID]);

/* From now on, for the minimum retention, rounded up. Pure. */
int64_t keep_deadline(int64_t now_ns, uint64_t minimum_s);

#endif
