/* Naming a snapshot and a place in it: SNAP or SNAP:PATH.
 *
 * Names of snapshots may hold colons ("host:/etc"), and then stand before an '@': with an '@' in the text,
 * SNAP ends at the first ':' after the first '@'; else at the first ':'. */
#ifndef BKCTL_WHERE_H
#define BKCTL_WHERE_H

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct where {
    char *snap; /* owned */
    char *path; /* owned; NULL when there was no ':' */
};
int where_parse(const char *text, struct where *ret, struct bk_error *err) BK_MUST_CHECK;
void where_clear(struct where *w);
BK_AUTO_CLEAR(struct where, where_clear)

#endif
