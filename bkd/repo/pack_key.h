/* The key of a stored pack, from its header. Any thread. */
#ifndef BKD_REPO_PACK_KEY_H
#define BKD_REPO_PACK_KEY_H

#include "bkd/repo/repo.h"

/* Reads the first PACK_HEADER bytes of the pack. CORRUPT: it is no pack of that kind and of this repository's
 * suite. */
int pack_key_read(struct repo *r, enum chunk_kind kind, const pack_name *name,
                  uint8_t ret_header[static PACK_HEADER], uint8_t ret_key[static SUITE_KEY],
                  struct bk_error *err) BK_MUST_CHECK;

#endif
