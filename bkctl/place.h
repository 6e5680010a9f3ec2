/* A place in a snapshot, found: what SNAP:PATH means in an opened repository. */
#ifndef BKCTL_PLACE_H
#define BKCTL_PLACE_H

#include "bkctl/app.h"
#include "bkctl/where.h"
#include "bkd/restore/browse.h"

/* What a path inside a snapshot is: an entry of its tree, or one of its streams (then `stream` is set, the
 * node is not). The top of a snapshot without a tree is neither. */
struct place {
    const struct snapshot *snap;
    const struct snapshot_stream *stream;
    struct node node;
    char *path; /* owned, without leading and trailing '/'; "" for the top */
};
void place_clear(struct place *p);
BK_AUTO_CLEAR(struct place, place_clear)
/* ABSENT, AMBIGUOUS. want_content: with no path, the only disk is meant, or the only blob. */
int place_find(struct view *v, const char *text, bool want_content, struct place *ret,
               struct bk_error *err) BK_MUST_CHECK;

#endif
