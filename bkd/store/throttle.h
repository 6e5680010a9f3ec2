/* Throttle store: holds traffic to bytes per second, each way. Owns the store below. A call waits before its
 * bytes go (put) or after they came (get), so that the time a request itself may take is not used up by
 * waiting. */
#ifndef BKD_STORE_THROTTLE_H
#define BKD_STORE_THROTTLE_H

#include "bkd/store/store.h"

struct throttle_opts {
    uint64_t up, down; /* bytes per second; 0: no limit */
};
int store_throttle_new(struct store *below, const struct throttle_opts *o, struct store **ret,
                       struct bk_error *err) BK_MUST_CHECK;

#endif
