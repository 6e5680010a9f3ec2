/* Inside of a copy: what copy.c and one.c share. */
#ifndef BKD_COPY_INSIDE_H
#define BKD_COPY_INSIDE_H

#include "bkd/copy/state.h"

/* index_damage_fn and catalog_damage_fn; ctx: the copy */
void copy_tell_damage(void *ctx, const char *object, const struct bk_error *why);
/* Of the snapshot at hand: nothing is left open. */
void copy_end(struct copy *c);
/* What was opened of the target under a session, and the names that held under it. */
void copy_close_target(struct copy *c);

#endif
