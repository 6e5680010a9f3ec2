/* Collection as another command's last step. */
#ifndef BKCTL_PRUNE_H
#define BKCTL_PRUNE_H

#include "bkctl/app.h"

/* As bkctl prune without options; prints what it did. */
int prune_collect(struct app *a, struct repo *repo, struct bk_error *err) BK_MUST_CHECK;

#endif
