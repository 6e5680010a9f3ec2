/* Key slots: ways to unwrap the repository's key-encryption key (KEK, 32 bytes).
 *
 *   passphrase   scrypt or Argon2id over the passphrase and a salt, then the suite's AEAD
 *   key file     HKDF over the file's bytes (32..65536) and a salt, then the AEAD
 *   x25519       ephemeral X25519 to the slot's public key, HKDF, then the AEAD  (aes256-gcm suite)
 *   sm2          SM2 public-key encryption of the KEK (GB/T 32918.4)             (sm4 suite)
 *
 * All other fields are bound to the wrapped key: as the AEAD's associated data, or (sm2) by their
 * hash encrypted beside the KEK. A slot with any byte changed opens for nobody.
 *
 * One slot is one object keys/<id>. Slots can be added and removed without touching data.
 * Randomness is handed in, except that SM2 encryption and new key pairs use libcrypto's. Cost
 * ceilings are checked before any memory is taken, so that a hostile slot cannot make us allocate
 * without bound. docs/formats/keys.md. Any thread. */
#ifndef FORMATS_CRYPTO_SLOT_H
#define FORMATS_CRYPTO_SLOT_H

#include "formats/base/buf.h"
#include "formats/crypto/suite.h"

enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_KEYFILE = 2, SLOT_X25519 = 3, SLOT_SM2 = 4 };
enum slot_kdf { SLOT_KDF_NONE = 0, SLOT_KDF_SCRYPT = 1, SLOT_KDF_ARGON2ID = 2 };
enum {
    SLOT_SALT = 32,
    SLOT_ID = 8,
    SLOT_LABEL_MAX = 255,
    SLOT_RANDOM = 128, /* bytes of randomness slot_seal takes */
    SLOT_KEYFILE_MIN = 32,
    SLOT_KEYFILE_MAX = 65536,
    SLOT_MEMORY_MAX_KIB = 1 << 20, /* KDF memory ceiling when opening, KiB */
    SLOT_WRAPPED_MAX = 1024,
};

struct slot {
    uint8_t id[SLOT_ID]; /* random; its hex is the object's name */
    enum slot_kind kind;
    enum suite_id suite;
    uint16_t optional;              /* the header's optional features: kept, because they are bound */
    uint64_t created_s;             /* Unix seconds */
    char label[SLOT_LABEL_MAX + 1]; /* UTF-8, for people */
    enum slot_kdf kdf;
    uint32_t kdf_memory_kib; /* Argon2id: m; scrypt: N*r*128/1024 */
    uint32_t kdf_passes;     /* Argon2id: t; scrypt: N as a power of two exponent */
    uint32_t kdf_lanes;      /* Argon2id: p; scrypt: p (r is 8) */
    uint8_t salt[SLOT_SALT];
    uint8_t public_key[65]; /* x25519: 32 bytes; sm2: 65, uncompressed point */
    size_t public_key_len;
    uint8_t ephemeral[32]; /* x25519 only */
    uint8_t wrapped[SLOT_WRAPPED_MAX];
    size_t wrapped_len;
};

/* What the user has: exactly one kind. Borrowed by every call. For SLOT_X25519 and SLOT_SM2
 * `data` is a PEM key, public to seal, private to open (password-less PKCS#8). */
struct slot_secret {
    enum slot_kind kind;
    const uint8_t *data;
    size_t len;
};

/* How much work a passphrase guess takes; 0 or NULL means the default: Argon2id with 64 MiB, 1 pass,
 * 1 lane; scrypt (in builds without Argon2, or when asked for) with N = 2^16, r = 8, p = 1. */
struct slot_cost {
    enum slot_kdf kdf;
    uint32_t memory_kib; /* for scrypt used when passes is 0: N is rounded down to fit */
    uint32_t passes;     /* scrypt: N as a power of two exponent */
};

/* Make a slot that wraps kek for the secret. USAGE when the secret does not fit its kind or
 * the suite (SM2 only with sm4, X25519 only with aes256-gcm), or is too short. */
int slot_seal(const struct slot_secret *secret, enum suite_id suite, const struct slot_cost *cost,
              const char *label, uint64_t created_s, const uint8_t random[static SLOT_RANDOM],
              const uint8_t kek[static SUITE_KEY], struct slot *ret, struct bk_error *err) BK_MUST_CHECK;
/* AUTH when the secret does not open this slot (also when the kinds differ); USAGE when it is no
 * PEM key at all; LIMIT when the slot asks for more than the ceilings; UNSUPPORTED without Argon2.
 * ret_kek is unchanged after an error. */
int slot_open(const struct slot *s, const struct slot_secret *secret, uint8_t ret_kek[static SUITE_KEY],
              struct bk_error *err) BK_MUST_CHECK;

/* The whole object keys/<id>, with header and trailing digest. */
int slot_encode(const struct slot *s, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int slot_decode(const void *data, size_t len, struct slot *ret, struct bk_error *err) BK_MUST_CHECK;

const char *slot_kind_name(enum slot_kind kind); /* "passphrase", "key-file", "x25519", "sm2" */

/* Generate a key pair as PEM (private PKCS#8, public SubjectPublicKeyInfo), for `key generate`. */
int slot_generate_pair(enum slot_kind kind, struct bk_buf *ret_private, struct bk_buf *ret_public,
                       struct bk_error *err) BK_MUST_CHECK;

#endif
