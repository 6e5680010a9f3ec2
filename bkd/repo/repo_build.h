/* Inside of an opened repository, for the files that build one: repo_init.c and repo_open.c. */
#ifndef BKD_REPO_REPO_BUILD_H
#define BKD_REPO_REPO_BUILD_H

#include "bkd/repo/idset.h"
#include "bkd/repo/repo.h"

enum {
    REPO_CONFIG_MAX = 1 << 16, /* bytes of a config object we are ready to read */
    REPO_SLOT_MAX = 1 << 16,   /* bytes of a slot object */
    REPO_SLOTS_MAX = 256,      /* slots: each try costs a key derivation */
    REPO_KEYRINGS_MAX = 65536,
};
#define REPO_CONFIG_NAME "config"

/* What both ways of building end with: namer and chunker from config and keyring. Takes the keyring and
 * adopts the store on success only. */
int repo_build(struct store *store, const struct config *c, struct keyring *k,
               const uint8_t kek[static SUITE_KEY], const struct world *w, struct repo **ret,
               struct bk_error *err) BK_MUST_CHECK;

/* The number in "keyring/<n>", at most REPO_KEYRINGS_MAX; false when it is none. */
bool repo_keyring_number(const char *name, uint32_t *ret);

void repo_set_from_copies(struct repo *r, unsigned bits);

/* Put-if-absent whose outcome is certain: after any failure what stands under the name is read back, and
 * equal bytes are success (the acknowledgement was lost, or this is a repeat). Sealed objects carry random
 * salts, so equal bytes are ours. EXISTS: something else stands there. */
int repo_put_sure(struct store *s, const char *name, const void *data, size_t len,
                  struct bk_error *err) BK_MUST_CHECK;

/* Sequences seen in this process, so that a commit opens only the snapshots that came after the catalogue was
 * loaded. saw: a snapshot (by its store name) was opened. seen: was it? highest: of all seen. Any thread. */
void repo_saw_snapshot(struct repo *r, const char *name, uint64_t sequence);
bool repo_seen_snapshot(struct repo *r, const char *name);
uint64_t repo_highest_sequence(struct repo *r);

#endif
