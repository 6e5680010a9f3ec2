/* Inside of an index: what its parts share. */
#ifndef BKD_REPO_INDEX_INSIDE_H
#define BKD_REPO_INDEX_INSIDE_H

#include <pthread.h>

#include "bkd/repo/index.h"
#include "bkd/repo/index_segment.h"

/* index_recover.c. The lock is taken before any other of the index. */
struct index_recovery {
    pthread_mutex_t lock; /* who recovers */
    struct job *job;      /* borrowed, may be NULL */
    bool puts;            /* who has a right to write makes the index whole for all */
    bool backs_up;        /* not all packs are asked: what cannot be found is stored again */
    atomic_int asked;     /* enum index_ask: what was done */
};
void index_recovery_init(struct index_recovery *v);
void index_recovery_clear(struct index_recovery *v);
struct index_recovery *index_recovery(struct index *x);

/* Takes s on success; one whose name is there already is freed. */
int index_join(struct index *x, struct index_segment *s, struct bk_error *err) BK_MUST_CHECK;

/* index_guard.c */
struct index_guard_state;
void index_guard_state_free(struct index_guard_state *g);
int index_guard_segment(const struct index_guard_state *g, struct index_segment *s,
                        struct bk_error *err) BK_MUST_CHECK;
struct index_guard_state *index_guard_of(const struct index *x);
void index_set_guard(struct index *x, struct index_guard_state *g);
/* index_each_pack, with or without what was only recovered. */
int index_each_pack_of(struct index *x, bool recovered, index_pack_fn *fn, void *ctx,
                       struct bk_error *err) BK_MUST_CHECK;
/* Superseded segments leave the list, and are freed: while no other thread looks anything up. */
int index_leave_superseded(struct index *x, struct bk_error *err) BK_MUST_CHECK;
struct index_superseded *index_superseded(struct index *x);
/* The i-th that joined, or NULL past the last. */
struct index_segment *index_segment_at(struct index *x, size_t i);

#endif
