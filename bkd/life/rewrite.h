/* Index segments without the packs that go. Inside of a prune. */
#ifndef BKD_LIFE_REWRITE_H
#define BKD_LIFE_REWRITE_H

#include "bkd/life/prune_state.h"

/* packs: listed after x was opened; PACK_DOOMED go. Segments that name one of those, or one that is not
 * listed, are put anew without them, and then removed; superseded ones go as well. Nothing is done where
 * there is nothing to do. NOSPACE: it may be tried again */
int rewrite_run(struct prune *p, struct index *x, const struct packs *packs,
                struct bk_error *err) BK_MUST_CHECK;

#endif
