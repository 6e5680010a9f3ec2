/* What is copied where, and how far behind the copies are: `copy --status`. */
#ifndef BKCTL_COPY_STATUS_H
#define BKCTL_COPY_STATUS_H

#include "bkctl/app.h"
#include "bkd/copy/copy.h"

/* chosen: one per snapshot of copy_source. A line or record for each, then one for each name. */
int copy_status(struct app *a, const struct copy *c, const bool *chosen, const char *url,
                struct bk_error *err) BK_MUST_CHECK;

#endif
