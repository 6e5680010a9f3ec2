/* The parts of a key slot, for slot.c: costs and stretching, public keys, bytes. Internal to
 * formats/crypto. Any thread. */
#ifndef FORMATS_CRYPTO_SLOT_PARTS_H
#define FORMATS_CRYPTO_SLOT_PARTS_H

#include "formats/crypto/slot.h"

enum {
    SLOT_LANES_MAX = 4,
    SLOT_SCRYPT_EXPONENT_MAX = 20, /* 1 GiB at r = 8 */
    SLOT_WORK_MAX_KIB = 16 << 20,  /* memory times passes times lanes, KiB: about half a minute */
};

/* slot_kdf.c */

/* Write cost, or the defaults, into the slot. USAGE when out of range, UNSUPPORTED without Argon2. */
int slot_kdf_set(const struct slot_cost *cost, struct slot *s, struct bk_error *err) BK_MUST_CHECK;
/* Are the slot's cost fields in range? Takes no memory. LIMIT or CORRUPT. */
int slot_kdf_check(const struct slot *s, struct bk_error *err) BK_MUST_CHECK;
/* Stretch a passphrase; checks the cost first. */
int slot_kdf_stretch(const struct slot *s, const uint8_t *passphrase, size_t len,
                     uint8_t key[static SUITE_KEY], struct bk_error *err) BK_MUST_CHECK;

/* slot_x25519.c; pem is borrowed */

/* Sets public_key and ephemeral, derives the wrapping key. ephemeral_private: 32 random bytes. */
int slot_x25519_to(struct slot *s, const uint8_t *pem, size_t len, const uint8_t ephemeral_private[static 32],
                   uint8_t key[static SUITE_KEY], struct bk_error *err) BK_MUST_CHECK;
/* AUTH when the key is another one, USAGE when it is none. */
int slot_x25519_from(const struct slot *s, const uint8_t *pem, size_t len, uint8_t key[static SUITE_KEY],
                     struct bk_error *err) BK_MUST_CHECK;

/* slot_sm2.c; `bound` is the hash of the slot's fields, encrypted beside the KEK */

/* Sets public_key from the PEM key: before `bound` is computed. */
int slot_sm2_set_public(struct slot *s, const uint8_t *pem, size_t len, struct bk_error *err) BK_MUST_CHECK;
int slot_sm2_wrap(struct slot *s, const uint8_t *pem, size_t len, const uint8_t kek[static SUITE_KEY],
                  const uint8_t bound[static SUITE_HASH], struct bk_error *err) BK_MUST_CHECK;
int slot_sm2_unwrap(const struct slot *s, const uint8_t *pem, size_t len,
                    const uint8_t bound[static SUITE_HASH], uint8_t kek[static SUITE_KEY],
                    struct bk_error *err) BK_MUST_CHECK;

/* slot_codec.c */

/* Header and all fields before the wrapped key, appended: the associated data of the wrapping. */
int slot_encode_fields(const struct slot *s, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* Bytes of a public key of this kind; 0 for kinds without. */
size_t slot_public_len(enum slot_kind kind);

#endif
