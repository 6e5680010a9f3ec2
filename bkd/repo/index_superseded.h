/* Segments that stand in the repository although another one says all that they say: they are not asked, and
 * go when they may. A segment is removed only after all that it supersedes itself, so that none of them is
 * ever taken for news again. One thread. */
#ifndef BKD_REPO_INDEX_SUPERSEDED_H
#define BKD_REPO_INDEX_SUPERSEDED_H

#include "bkd/repo/index_segment.h"

struct index_superseded_item {
    segment_name name;
    segment_name *below; /* owned: what it supersedes */
    uint32_t n_below;
};
struct index_superseded {
    struct index_superseded_item *v;
    size_t n, cap;
};

int index_superseded_add(struct index_superseded *l, const struct index_segment *s,
                         struct bk_error *err) BK_MUST_CHECK;
bool index_superseded_has(const struct index_superseded *l, const segment_name *name);
bool index_superseded_has_object(const struct index_superseded *l, const char *object);
/* Remove them from the store as far as it lets us; what is gone leaves the list. What cannot be removed stays
 * and does no harm: the first reason is returned for the log, or 0. */
int index_superseded_sweep(struct index_superseded *l, struct store *s, struct bk_error *err);
void index_superseded_clear(struct index_superseded *l);

#endif
