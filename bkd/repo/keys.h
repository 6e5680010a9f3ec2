/* Key slots of an opened repository: list, add, remove, change. Data is never touched. */
#ifndef BKD_REPO_KEYS_H
#define BKD_REPO_KEYS_H

#include "bkd/repo/repo.h"

/* Slots without unlocking; damaged slot objects are reported through job log by the caller: a slot that does
 * not decode is passed with slot NULL and its error. */
typedef int keys_list_fn(void *ctx, const char *object, const struct slot *slot,
                         const struct bk_error *damage);
int keys_list(struct store *s, keys_list_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;
int keys_add(struct repo *r, const struct slot_secret *secret, const struct slot_cost *cost,
             const char *label, uint8_t ret_id[static SLOT_ID], struct bk_error *err) BK_MUST_CHECK;
/* id: hex prefix, unique. USAGE when it is the last slot: the repository would be lost. */
int keys_remove(struct repo *r, const char *id_prefix, struct bk_error *err) BK_MUST_CHECK;

/* A new data key: keyring/<n+1>, put if absent, with all epochs of keyring/<n> and one more. Who opens the
 * repository from now on writes under it; what was written stays readable. Programs that run meanwhile keep
 * writing under the old one, and cannot read what others write under the new one until they open again.
 * CORRUPT: the newest keyring is damaged (an older one would lead to two keys of one number). */
int keys_rotate(struct repo *r, uint32_t *ret_epoch, struct bk_error *err) BK_MUST_CHECK;

#endif
