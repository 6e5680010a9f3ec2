/* A packer builds packs in memory, one after the other: frames in, a sealed pack out when it is full.
 *
 *     packer_new -> packer_add ... (packer_full? packer_seal) ... -> packer_free
 *
 * One thread at a time. Layout: docs/formats/pack.md. */
#ifndef BKD_REPO_PACKER_H
#define BKD_REPO_PACKER_H

#include <pthread.h>

#include "bkd/repo/repo.h"

/* A sealed pack on its way to the store. */
struct packed {
    struct packed *next;
    enum chunk_kind kind;
    struct bk_buf bytes;
    struct pack_directory dir;
};
void packed_free(struct packed *p);
BK_AUTO(struct packed *, packed_free)

/* Sealed packs that were uploaded give their memory to the next ones: the kernel zeroes every page that comes
 * fresh, which at hundreds of MiB/s shows. Never holds more than were alive at once. Any thread. */
struct packed_pool {
    pthread_mutex_t lock;
    struct packed *spare;
};
void packed_pool_init(struct packed_pool *p);
void packed_pool_clear(struct packed_pool *p);
struct packed *packed_pool_take(struct packed_pool *p); /* empty; NULL: no memory */
void packed_pool_give(struct packed_pool *p, struct packed *k);

struct packer;
/* target_bytes: a pack is full at this size. pool: borrowed. Metadata or data, and never both in one pack. */
int packer_new(struct repo *r, enum chunk_kind kind, size_t target_bytes, struct packed_pool *pool,
               struct packer **ret, struct bk_error *err) BK_MUST_CHECK;
void packer_free(struct packer *p); /* what was not sealed is lost */
BK_AUTO(struct packer *, packer_free)

/* One frame of plaintext with its table, of n chunks. After an error the pack holds what it held before. */
int packer_add(struct packer *p, struct frame_codec *c, const struct bk_buf *plain, const chunk_id *ids,
               uint32_t n, struct bk_error *err) BK_MUST_CHECK;
bool packer_full(const struct packer *p);
/* Directory and trailer; *ret is NULL when there are no frames. The next frame opens the next pack. */
int packer_seal(struct packer *p, struct frame_codec *c, struct packed **ret,
                struct bk_error *err) BK_MUST_CHECK;

#endif
