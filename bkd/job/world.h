/* The world outside: clock and randomness, handed in so that tests can replace them. */
#ifndef BKD_JOB_WORLD_H
#define BKD_JOB_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "formats/base/error.h"

struct store_event;
struct world {
    void *ctx;
    int64_t (*now_ns)(void *ctx);                                             /* Unix time */
    int (*random)(void *ctx, uint8_t *out, size_t len, struct bk_error *err); /* cryptographic */
    void (*store_event)(void *event_ctx, const struct store_event *e);        /* or NULL; store/event.h */
    void *event_ctx;
};

/* CLOCK_REALTIME and getrandom(2). */
extern const struct world world_real;

#endif
