/* Frames that are being decoded: who needs one that another thread has in hand waits for it instead of
 * decoding it as well. Neighbouring requests of one client mostly share a frame.
 *
 *     flights_begin -> decode, leave it in the reader's cache -> flights_end
 *
 * Who holds several never waits for another, so that nobody waits in a circle. Any thread. */
#ifndef BKD_RESTORE_FLIGHTS_H
#define BKD_RESTORE_FLIGHTS_H

#include <pthread.h>
#include <stdbool.h>

#include "bkd/repo/index.h"

enum { FLIGHTS_MAX = 1024 };

struct flight {
    pack_name pack;
    uint32_t offset;
};
struct flights {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended;
    struct flight v[FLIGHTS_MAX];
    size_t n, waiting;
};
void flights_init(struct flights *f);
void flights_clear(struct flights *f);
/* true: the frame is the caller's to decode, until flights_end. false: another thread had it and is done
 * (only with wait), or has it; or there is no room. */
bool flights_begin(struct flights *f, const struct chunk_loc *loc, bool wait);
void flights_end(struct flights *f, const struct chunk_loc *loc);

#endif
