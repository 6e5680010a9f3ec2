/* Probe: does a store really do what the protocol builds on? Tried out with objects of its own below probe/,
 * which are removed again; nothing else is touched. Several threads at work, each as a client of its own. */
#ifndef BKD_STORE_PROBE_H
#define BKD_STORE_PROBE_H

#include "bkd/store/store.h"

enum probe_check {
    PROBE_PUT_IF_ABSENT,    /* of many clients that put one name at once exactly one succeeds, and its bytes
                               stand there */
    PROBE_READ_AFTER_WRITE, /* what was put is read at once, whole, and so is its size */
    PROBE_LIST_AFTER_WRITE, /* and stands in the next listing */
    PROBE_RANGES,           /* parts are read, short only at the end */
    PROBE_TRUNCATED_PUT,    /* a put whose connection breaks leaves nothing */
    PROBE_REMOVE,           /* removed is gone from reads and listings at once; twice is no error */
    PROBE_CLOCK,            /* the store's clock and ours agree */
    PROBE_CHECKS,
};
enum probe_result {
    PROBE_GOOD,
    PROBE_UNTRIED, /* this kind of store gives no way to try it, or an earlier check stands in the way */
    PROBE_MISSING,
};

struct probe_finding {
    enum probe_result result;
    char text[256]; /* what was seen, translated; "" when good */
};
struct probe_report {
    struct probe_finding of[PROBE_CHECKS];
    unsigned rounds, clients; /* of the race */
    int64_t ahead_ms;         /* the store's clock minus ours, when it was tried */
    bool usable;              /* a repository may be kept there */
};

struct probe_opts {
    unsigned rounds, clients; /* 0: 8 and 8 */
};
enum { PROBE_SKEW_MAX_S = 300 };

/* Fails only when the store cannot be reached at all or memory runs out: what a store lacks is a finding. */
int store_probe(struct store *s, const struct probe_opts *o, const struct world *w, struct probe_report *ret,
                struct bk_error *err) BK_MUST_CHECK;

/* "put-if-absent"; for people and JSON. */
const char *probe_check_name(enum probe_check c);
/* What may not be done where it is missing; message id. */
const char *probe_check_forbids(enum probe_check c);

#endif
