/* What was read and verified when: a file of lines "<seconds> <seconds> <object>" (Unix time), sorted by
 * object, after a head line.
 * Written anew as a whole and put in its place by rename, so that there is always a whole one. One thread. */
#ifndef BKD_LIFE_SCRUB_STATE_H
#define BKD_LIFE_SCRUB_STATE_H

#include "bkd/repo/names.h"

struct scrub_item {
    const char *name; /* of the listing */
    uint64_t size;
    int64_t read_s;     /* when a scrub came by last; 0: never */
    int64_t verified_s; /* when it found every copy sound */
};

/* The times of each of n items, which are sorted by name, from the file; one that is not there says nothing.
 * Lines of other objects are passed over. CORRUPT */
int scrub_state_load(const char *path, struct scrub_item *v, size_t n, struct bk_error *err) BK_MUST_CHECK;
/* v is sorted by name. */
int scrub_state_save(const char *path, const struct scrub_item *v, size_t n,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
