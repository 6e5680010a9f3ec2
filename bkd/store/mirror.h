/* Mirror: a stack over 2..MIRROR_MAX stores that each hold everything.
 *
 * The first store is the primary. It alone decides put-if-absent of objects that are not named by their own
 * hash; those that are go to all stores at once. Whatever reading finds bad or missing in one store is
 * written anew from another, and reported (event.h). Removal takes the copies away from the others first, so
 * that "another has it and the primary has not" always means: lost on the primary.
 *
 *   a store fails          reading goes on from the others; a put counts when it is in `needed` stores, and
 *                          what is missing elsewhere is filled in the background, or by scrub
 *   the primary fails      reading goes on; nothing that needs a decision is written (UNSUPPORTED), nothing
 * is removed a list misses a store  nothing is removed any more, and no collection is decided, until it is
 * opened anew a store is blank       (holds nothing, the others a repository: a disk that is not mounted, or
 * a new one) it counts as failed until scrub fills it
 *
 * docs/design/mirror.md. Any thread. */
#ifndef BKD_STORE_MIRROR_H
#define BKD_STORE_MIRROR_H

#include "bkd/store/store.h"

enum { MIRROR_MAX = 8 };

/* mirror:[K:]URL|URL[|URL...]: K is `needed`, all when it is not given. A '|' within a URL is %7C. A store
 * that cannot be opened counts as failed; USAGE for a URL that is none; with create all must be made. FAILED
 * when the stores hold different repositories. */
int store_mirror_open(const char *url, bool create, const struct world *w, struct store **ret,
                      struct bk_error *err) BK_MUST_CHECK;

/* The same over stores that are open already: n of them, taken on success. A NULL one counts as failed. */
int store_mirror_new(struct store *const *stores, unsigned n, unsigned needed, const struct world *w,
                     struct store **ret, struct bk_error *err) BK_MUST_CHECK;

/* Wait until nothing is left to be filled in the background. The mirror's free does so too. */
void store_mirror_settle(struct store *s);

#endif
