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

#endif
