/* Hard links: what was read under one name is not read again under the next.
 *
 * A table from (device, inode) to content for files with more than one link; a bounded number of them. A miss
 * only costs reading again. Any thread. */
#ifndef BKD_BACKUP_LINKS_H
#define BKD_BACKUP_LINKS_H

#include "formats/content/content.h"

enum { LINKS_MAX = 1 << 20 };

struct links;
int links_new(struct links **ret, struct bk_error *err) BK_MUST_CHECK;
void links_free(struct links *l);
BK_AUTO(struct links *, links_free)

struct links_key {
    uint64_t dev, ino;
    int64_t ctime_s; /* a changed file is another one */
    uint32_t ctime_ns;
};
bool links_find(struct links *l, const struct links_key *k, struct content *ret);
/* Does nothing when there is no room. */
void links_add(struct links *l, const struct links_key *k, const struct content *c);

#endif
