/* The keyring: the secrets of one repository (one tenant), unlocked.
 *
 *   root      32 random bytes, fixed for the life of the repository; chunk ids, chunk boundaries
 *             and the index MAC derive from it by HKDF
 *   chunker   only where chunk boundaries are those of another repository: its chunker key
 *   epochs    the data keys, each 32 random bytes; packs and records derive their own key from
 *             the newest epoch and their salt; older epochs stay readable
 *
 * On disk it is one sealed record, keyring/<number>, under the key-encryption key (KEK) that the
 * key slots wrap. Its payload also holds the digest of the config object: whoever opens the
 * keyring knows that the config is the one the repository was made with.
 * docs/formats/keys.md. Immutable after decode; any thread. */
#ifndef FORMATS_CRYPTO_KEYRING_H
#define FORMATS_CRYPTO_KEYRING_H

#include <stdbool.h>

#include "formats/base/buf.h"
#include "formats/crypto/suite.h"

enum { KEYRING_MAX_EPOCHS = 4096, KEYRING_SALT = 32 };

struct keyring {
    enum suite_id suite;
    uint8_t root[SUITE_KEY];
    uint8_t config_digest[SUITE_HASH];
    bool own_chunker; /* chunker_key counts instead of what derives from root */
    enum suite_id chunker_suite;
    uint8_t chunker_key[SUITE_KEY];
    uint32_t n_epochs;           /* >= 1; epoch numbers are 0..n_epochs-1 */
    uint8_t (*epoch)[SUITE_KEY]; /* owned */
};

void keyring_clear(struct keyring *k); /* wipes and frees */
BK_AUTO_CLEAR(struct keyring, keyring_clear)

/* A fresh keyring with one epoch; random: 64 bytes (root, epoch 0). */
int keyring_init(struct keyring *k, enum suite_id suite, const uint8_t random[static 64],
                 const uint8_t config_digest[static SUITE_HASH], struct bk_error *err) BK_MUST_CHECK;

/* Rotate: new objects use the new key, older ones stay readable. Before the keyring is shared
 * between threads. LIMIT at KEYRING_MAX_EPOCHS. */
int keyring_add_epoch(struct keyring *k, const uint8_t random[static SUITE_KEY],
                      struct bk_error *err) BK_MUST_CHECK;

/* Plaintext payload of the keyring record. */
int keyring_encode(const struct keyring *k, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int keyring_decode(enum suite_id suite, const void *data, size_t len, struct keyring *ret,
                   struct bk_error *err) BK_MUST_CHECK;

/* The chunker key and the suite whose HKDF makes its table: a repository that is given another one's cuts
 * the same data at the same places. From now on k has them; before it is encoded. */
int keyring_chunker(const struct keyring *k, enum suite_id *ret_suite, uint8_t ret[static SUITE_KEY],
                    struct bk_error *err) BK_MUST_CHECK;
void keyring_set_chunker(struct keyring *k, enum suite_id suite, const uint8_t key[static SUITE_KEY]);

/* Keys that derive from root: HKDF(root, no salt, label). Labels: "chunk-id", "chunker", "index". */
int keyring_derive(const struct keyring *k, const char *label, uint8_t out[static SUITE_KEY],
                   struct bk_error *err) BK_MUST_CHECK;
/* The key of one pack or record: HKDF(epoch key, salt, label). Labels: "pack", "record".
 * ABSENT when the epoch is not in the keyring. */
int keyring_object_key(const struct keyring *k, uint32_t epoch, const uint8_t salt[static KEYRING_SALT],
                       const char *label, uint8_t out[static SUITE_KEY], struct bk_error *err) BK_MUST_CHECK;

#endif
