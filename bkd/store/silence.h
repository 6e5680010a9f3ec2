/* Silence: a store across a network that did not answer in time (UNREACHABLE) is not asked again for a while.
 *
 * Each call to such a store waits its whole time, minutes by default, and a command has many calls ahead.
 * After the first one that waited in vain all others fail at once with what it said; one of them is let
 * through when SILENCE_RETRY_S have passed, and its answer ends the silence. Calls that were under way run to
 * their own end. For stores that give no descriptors (fd). Owns the store below. Any thread. */
#ifndef BKD_STORE_SILENCE_H
#define BKD_STORE_SILENCE_H

#include "bkd/store/store.h"

enum { SILENCE_RETRY_S = 15 };

/* below is taken on success. */
int store_silence_new(struct store *below, struct store **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
