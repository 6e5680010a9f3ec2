/* The exceptions a backup recorded with its snapshot. */
#ifndef BKCTL_EXCEPTIONS_H
#define BKCTL_EXCEPTIONS_H

#include "bkctl/app.h"
#include "formats/snapshot/snapshot.h"

/* List them: a line each on standard output, or an `exception` record each. Of very many a backup keeps the
 * first TROUBLES_KEPT only; that the rest is not there is said as a warning.
 *   errors  CORRUPT, IO: those before the damage have been listed */
int exceptions_list(struct app *a, struct view *v, const struct snapshot *s,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
