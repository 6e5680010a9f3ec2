/* Keys of packs that are being read: a bounded table, so that a pack's header is read once and not once per
 * frame. Any thread. */
#ifndef BKD_REPO_PACK_KEYS_H
#define BKD_REPO_PACK_KEYS_H

#include "bkd/repo/repo.h"

struct pack_keys;
int pack_keys_new(struct repo *r, struct pack_keys **ret, struct bk_error *err) BK_MUST_CHECK;
void pack_keys_free(struct pack_keys *k); /* wipes */
BK_AUTO(struct pack_keys *, pack_keys_free)
int pack_keys_get(struct pack_keys *k, enum chunk_kind kind, const pack_name *pack,
                  uint8_t ret[static SUITE_KEY], struct bk_error *err) BK_MUST_CHECK;

#endif
