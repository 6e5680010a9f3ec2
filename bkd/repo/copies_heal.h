/* Comparing the small objects with their copies, and making both whole again. */
#ifndef BKD_REPO_COPIES_HEAL_H
#define BKD_REPO_COPIES_HEAL_H

#include "bkd/repo/repo.h"

enum copies_state {
    COPIES_EQUAL,
    COPIES_NO_COPY,   /* the original is sound */
    COPIES_BAD_COPY,  /* the original is sound, the copy says something else */
    COPIES_BAD_FIRST, /* the original is damaged or missing, the copy is sound */
    COPIES_BAD_BOTH,
};
/* name: of the original. healed: it has just been made whole. */
typedef void copies_fn(void *ctx, const char *name, enum copies_state state, bool healed);
/* Every config, key slot, keyring and minimum retention that is there, or whose copy is. heal: BAD_FIRST,
 * BAD_COPY and NO_COPY are put right. What init left behind when it died is passed over. */
int copies_compare(struct repo *r, bool heal, copies_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;

#endif
