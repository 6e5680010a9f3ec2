/* What of one snapshot could not be read: told as it is found, and kept as the records of its copy's
 * exceptions. One thread. */
#ifndef BKD_COPY_LOSSES_H
#define BKD_COPY_LOSSES_H

#include "bkd/copy/copy.h"

struct losses {
    const struct copy_opts *o;   /* borrowed */
    const struct snapshot *snap; /* borrowed, of the source */
    struct bk_buf path;          /* of what is being looked at */
    struct bk_buf records;       /* tree_exception_append */
    uint64_t n;                  /* all of them */
    uint64_t n_kept;             /* in records */
    /* bytes that may still grow */
    uint64_t offset, len;
    struct bk_error why;
};

void losses_init(struct losses *l, const struct copy_opts *o, const struct snapshot *s);
void losses_clear(struct losses *l);
/* What stands at the path is gone. */
int losses_gone(struct losses *l, const struct bk_error *why, struct bk_error *err) BK_MUST_CHECK;
/* len bytes of the file at the path; neighbours become one. */
int losses_bytes(struct losses *l, uint64_t offset, uint64_t len, const struct bk_error *why,
                 struct bk_error *err) BK_MUST_CHECK;
/* The file is through. */
int losses_settle(struct losses *l, struct bk_error *err) BK_MUST_CHECK;

#endif
