/* Retry store: tries again what failed with IO or BUSY, with backoff. Owns the store below.
 *
 * Which calls may be repeated: all. get, stat and remove by their contract; put because it is put-if-absent:
 * when a repeated one says EXISTS, the bytes that stand there tell whether the one before had been carried
 * out (then it is a success) or somebody else's (EXISTS). A listing is gathered first, at most RETRY_LIST_MAX
 * bytes of names (LIMIT), and handed on when it is whole. */
#ifndef BKD_STORE_RETRY_H
#define BKD_STORE_RETRY_H

#include "bkd/store/backoff.h"
#include "bkd/store/store.h"

#define RETRY_LIST_MAX ((size_t)256 << 20)

int store_retry_new(struct store *below, const struct backoff_opts *o, const struct world *w,
                    struct store **ret, struct bk_error *err) BK_MUST_CHECK;

/* After a put that may have been carried out says EXISTS: 0 when exactly these bytes stand there, else
 * EXISTS. */
int retry_settle_put(struct store *s, const char *name, const void *data, size_t len,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
