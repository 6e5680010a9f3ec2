/* Notes: which one is in force for a snapshot. Inside of the catalogue. */
#ifndef BKD_REPO_NOTES_H
#define BKD_REPO_NOTES_H

#include "bkd/repo/catalog.h"
#include "bkd/repo/names.h"

enum { NOTES_MAX = 1 << 24 };

/* "notes/<hex>.<8 hex digits>": 1 and its parts, else 0. */
int notes_parse(const char *name, uint8_t ret_id[static SESSION_ID], uint32_t *ret_number);
void notes_path(const uint8_t id[static SESSION_ID], uint32_t number, char out[static REPO_PATH]);

/* The note in force of one snapshot into i->note (which must be clear). names: its notes in ascending order.
 * Damaged ones are reported and the next lower stands in; since a lost note may have held the snapshot, it
 * then counts as held. */
int notes_load(struct repo *r, const struct names_item *names, size_t n, catalog_damage_fn *damaged,
               void *ctx, struct catalog_item *i, struct bk_error *err) BK_MUST_CHECK;

#endif
