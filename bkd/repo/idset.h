/* A set of 32-byte ids that are hashes already: chunks, packs, frames at their place. Keeps the first 16
 * bytes of each, open addressing, 16 to 32 bytes per member. Past the ceiling new members are not taken in
 * (idset_add says so): its users only save work by it. One thread, or the caller's lock. */
#ifndef BKD_REPO_IDSET_H
#define BKD_REPO_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { IDSET_ID = 32 };

struct idset {
    uint64_t (*v)[2]; /* owned; 0,0 is free */
    size_t n, cap;    /* cap: 0 or a power of two */
    size_t limit;     /* bytes of v at most; 0: none */
};

bool idset_has(const struct idset *s, const uint8_t id[static IDSET_ID]);
/* 1 when it is new, 0 when it was there or the set is full. NOMEM only without a limit. */
int idset_add(struct idset *s, const uint8_t id[static IDSET_ID], struct bk_error *err) BK_MUST_CHECK;
void idset_clear(struct idset *s);
BK_AUTO_CLEAR(struct idset, idset_clear)

#endif
