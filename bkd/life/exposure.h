/* What somebody could read who has a key of this repository: for the day one is lost.
 *
 * A key slot wraps the key-encryption key, and that opens all data keys: a slot's secret reads everything,
 * what is written later included, for as long as its owner can read the store. The key of one epoch reads the
 * packs and records that were written under it. docs/formats/keys.md. One thread. */
#ifndef BKD_LIFE_EXPOSURE_H
#define BKD_LIFE_EXPOSURE_H

#include "bkd/repo/catalog.h"

#define EXPOSURE_ALL UINT32_MAX

struct exposure {
    uint32_t n_epochs;
    int64_t since_s;                  /* Unix time of what it reads first: no later than that */
    uint64_t n_packs[CHUNK_KINDS];    /* CHUNK_DATA, CHUNK_META */
    uint64_t pack_bytes[CHUNK_KINDS]; /* stored */
    uint64_t n_unknown;               /* packs whose header cannot be read: count as read */
    size_t n_snapshots;
};
struct exposure_fn {
    void (*pack)(void *ctx, const char *object, uint64_t bytes); /* may be NULL */
    void (*snapshot)(void *ctx, const struct catalog_item *i);   /* whose record it opens; may be NULL */
    void *ctx;
};
/* epoch: of a data key, or EXPOSURE_ALL for a slot. ABSENT: there is no such epoch. Reads the first bytes of
 * every pack unless epoch is EXPOSURE_ALL. */
int exposure_find(struct repo *r, struct job *j, const struct catalog *c, uint32_t epoch,
                  const struct exposure_fn *fn, struct exposure *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
