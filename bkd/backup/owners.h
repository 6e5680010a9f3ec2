/* The numeric owners that a run has seen, and their names, for restores on another host.
 *
 * One set per worker; joined at the end. One thread. */
#ifndef BKD_BACKUP_OWNERS_H
#define BKD_BACKUP_OWNERS_H

#include "formats/snapshot/snapshot.h"

enum { OWNERS_MAX = SNAPSHOT_LIST_MAX };
struct owner_set {
    uint32_t *v; /* owned: open addressing, cap is a power of two */
    bool *used;  /* owned: slots taken */
    size_t n, cap;
    uint32_t last; /* the id seen last, when n > 0: runs of equal owners are the rule */
};
struct owners {
    struct owner_set users, groups;
};
void owners_clear(struct owners *o);
BK_AUTO_CLEAR(struct owners, owners_clear)

/* Past OWNERS_MAX, or without memory, ids stay nameless. */
void owners_add_slow(struct owner_set *s, uint32_t id);
static inline void owners_note(struct owners *o, uint32_t uid, uint32_t gid)
{
    if (!o->users.n || o->users.last != uid)
        owners_add_slow(&o->users, uid);
    if (!o->groups.n || o->groups.last != gid)
        owners_add_slow(&o->groups, gid);
}
void owners_join(struct owners *o, const struct owners *more);
/* Look the names up and put those that have one into the snapshot, sorted by id. */
int owners_name(const struct owners *o, struct snapshot *snap, struct bk_error *err) BK_MUST_CHECK;

#endif
