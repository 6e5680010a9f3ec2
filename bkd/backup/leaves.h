/* The parent's content of a disk, leaf by leaf, so that what did not change is taken over by the page.
 *
 *     leaves_open -> leaves_find | leaves_extents (each lane) ... -> leaves_close
 *
 * Opened by one thread, read by many. CORRUPT, ABSENT, IO: the parent is damaged here. */
#ifndef BKD_BACKUP_LEAVES_H
#define BKD_BACKUP_LEAVES_H

#include "bkd/repo/reader.h"
#include "formats/content/content.h"

struct leaf {
    uint64_t from, len; /* bytes of content */
    chunk_id id;        /* of its page; unless the content is inline */
};
struct leaves {
    struct content content;
    struct leaf *v; /* owned; of inline content one, without a page */
    size_t n, cap;
};
int leaves_open(struct reader *r, unsigned lane, const struct content *c, struct leaves *ret,
                struct bk_error *err) BK_MUST_CHECK;
void leaves_close(struct leaves *l);
BK_AUTO_CLEAR(struct leaves, leaves_close)

/* The leaf that byte `at`, below the size, lies in. */
size_t leaves_find(const struct leaves *l, uint64_t at);
/* The extents of bytes [from, to) are appended to ret; to <= size. After an error ret holds some of them. */
int leaves_extents(struct reader *r, unsigned lane, const struct leaves *l, uint64_t from, uint64_t to,
                   struct extents *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
