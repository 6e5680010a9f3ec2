/* Which snapshots of a repository are copies of which. One thread. */
#ifndef BKD_COPY_ORIGIN_H
#define BKD_COPY_ORIGIN_H

#include "bkd/copy/copy.h"

struct origins_item {
    struct copy_origin origin;
    const struct snapshot *snap; /* borrowed */
};
/* The snapshots of a catalogue by origin. */
struct origins {
    struct origins_item *v; /* owned, sorted by origin, of one origin the best one first */
    size_t n;
};
int origins_of(const struct repo *r, const struct catalog *c, struct origins *ret,
               struct bk_error *err) BK_MUST_CHECK;
/* The best one: with the fewest exceptions, then the newest; NULL: none. */
const struct snapshot *origins_find(const struct origins *o, const struct copy_origin *of);
void origins_clear(struct origins *o);
BK_AUTO_CLEAR(struct origins, origins_clear)

#endif
