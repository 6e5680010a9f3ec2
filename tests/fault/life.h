/* The life of a repository that the sweeps disturb: init, backup, change, backup, restore; and what must hold
 * once the disturbance is over. */
#ifndef TESTS_FAULT_LIFE_H
#define TESTS_FAULT_LIFE_H

#include "bkd/repo/repo.h"
#include "tests/fault/sample.h"

struct life {
    bool initialised;              /* init returned success */
    bool committed[SAMPLE_STATES]; /* backup of that state returned success */
    uint8_t ids[SAMPLE_STATES][SESSION_ID];
    bool restored;     /* a restore ran to its end; what it did not report was compared */
    size_t n_problems; /* of it */
    int code;          /* of the first step that failed, else 0 */
    char text[BK_ERROR_TEXT];
    void (*passed)(void *ctx, const struct life *l); /* after each step that succeeded; may be NULL */
    void *ctx;
};

/* Small chunks, frames and packs, so that a small tree makes many objects. */
void life_config(struct config *c);
extern const struct slot_secret life_secret;

void life_job(struct job *j); /* small and zeroed */
/* Which state a snapshot of a life holds. */
int life_state(const struct snapshot *s);

/* Run it on the store, which is taken. After a failing step the next ones are tried all the same. */
void life_run(struct life *l, struct store *s, struct sample *t);

/* Without disturbance: the repository opens if init succeeded; every committed snapshot is there, check
 * --read-data finds nothing, every snapshot reads back identical, and so does a further backup. A place where
 * init failed may take a new init. restore: to disk too. The store is taken. */
void life_verify(const struct life *l, struct store *s, struct sample *t, bool restore);

#endif
