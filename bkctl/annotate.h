/* What tag and hold share: VERB SNAP, a change of the snapshot's note. */
#ifndef BKCTL_ANNOTATE_H
#define BKCTL_ANNOTATE_H

#include "bkctl/command.h"
#include "bkd/repo/catalog.h"

/* Is ops->v[0] `yes` (1) or `no` (0)? USAGE, with the command's verbs as the hint, when it is neither. */
int annotate_verb(const struct operands *ops, const char *yes, const char *no, const char *verbs,
                  struct bk_error *err) BK_MUST_CHECK;
/* Apply change to the snapshot that ops->v[1] names; its id goes to ret_id. change->who is filled in. */
int annotate_snapshot(struct app *a, const struct operands *ops, struct note_change *change,
                      uint8_t ret_id[static SESSION_ID], struct bk_error *err) BK_MUST_CHECK;

#endif
