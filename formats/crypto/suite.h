/* Cipher suites: the two sets of algorithms a repository can be made with.
 *
 *   aes256-gcm   SHA-256, HMAC-SHA-256, HKDF-SHA-256, AES-256-GCM
 *   sm4          SM3, HMAC-SM3, HKDF-SM3, SM4-CTR then HMAC-SM3 (encrypt-then-MAC, 16-byte tag)
 *
 * Every length is the same in both. All primitives are libcrypto's; this is the one place that
 * knows its calls. The MAC key and the AEAD key are immutable after construction and may be used
 * by many threads at once where said so. Layouts: docs/formats/crypto.md. */
#ifndef FORMATS_CRYPTO_SUITE_H
#define FORMATS_CRYPTO_SUITE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum suite_id { SUITE_AES256_GCM = 1, SUITE_SM4 = 2 };
enum { SUITE_KEY = 32, SUITE_HASH = 32, SUITE_TAG = 16 };

/* ABSENT with a list of the known names */
int suite_by_name(const char *name, enum suite_id *ret, struct bk_error *err) BK_MUST_CHECK;
/* "aes256-gcm", "sm4", or "unknown" */
const char *suite_name(enum suite_id id);
/* is the number one of ours? */
int suite_known(unsigned id);

/* Unkeyed hash of len bytes: object names, digests. Any thread. */
int suite_hash(enum suite_id id, const void *data, size_t len, uint8_t out[static SUITE_HASH],
               struct bk_error *err) BK_MUST_CHECK;

/* The same in pieces: new -> update ... -> finish -> free. One thread. */
struct suite_digest;
int suite_digest_new(enum suite_id id, struct suite_digest **ret, struct bk_error *err) BK_MUST_CHECK;
int suite_digest_update(struct suite_digest *d, const void *data, size_t len,
                        struct bk_error *err) BK_MUST_CHECK;
int suite_digest_finish(struct suite_digest *d, uint8_t out[static SUITE_HASH],
                        struct bk_error *err) BK_MUST_CHECK;
void suite_digest_free(struct suite_digest *d);
BK_AUTO(struct suite_digest *, suite_digest_free)

/* HMAC with a fixed key. The padded key blocks are hashed once at construction, so that a MAC of
 * a small chunk costs two compressions less. suite_mac may be called from many threads at once. */
struct suite_mac;
int suite_mac_new(enum suite_id id, const uint8_t key[static SUITE_KEY], struct suite_mac **ret,
                  struct bk_error *err) BK_MUST_CHECK;
int suite_mac(const struct suite_mac *m, const void *data, size_t len, uint8_t out[static SUITE_HASH],
              struct bk_error *err) BK_MUST_CHECK;
/* The same over the concatenation of n pieces; a piece may be empty. */
struct suite_piece {
    const void *data;
    size_t len;
};
int suite_mac_pieces(const struct suite_mac *m, const struct suite_piece *pieces, size_t n,
                     uint8_t out[static SUITE_HASH], struct bk_error *err) BK_MUST_CHECK;
/* n messages, one MAC each: the same results, faster where the processor can overlap two of them. */
int suite_mac_many(const struct suite_mac *m, const struct suite_piece *v, size_t n,
                   uint8_t (*out)[SUITE_HASH], struct bk_error *err) BK_MUST_CHECK;
void suite_mac_free(struct suite_mac *m);
BK_AUTO(struct suite_mac *, suite_mac_free)

/* HKDF (RFC 5869, extract and expand) with the suite's HMAC. ikm_len > 0; salt may be NULL when
 * salt_len is 0; info may be ""; out_len 1..8160 bytes (LIMIT otherwise). */
int suite_hkdf(enum suite_id id, const uint8_t *ikm, size_t ikm_len, const uint8_t *salt, size_t salt_len,
               const char *info, uint8_t *out, size_t out_len, struct bk_error *err) BK_MUST_CHECK;

/* Authenticated encryption under one key. The nonce is a counter: 4 zero bytes, then the number
 * as 8 bytes big-endian (sm4 adds a 32-bit block counter from zero); the caller never uses a
 * (key, number) pair for two messages.
 * One object belongs to one thread at a time (it holds libcrypto contexts). */
enum { SUITE_MESSAGE_MAX = 1 << 30 }; /* bytes of one message, and of its associated data */
struct suite_aead;
int suite_aead_new(enum suite_id id, const uint8_t key[static SUITE_KEY], struct suite_aead **ret,
                   struct bk_error *err) BK_MUST_CHECK;
/* out: len + SUITE_TAG bytes (LIMIT when len passes SUITE_MESSAGE_MAX); in and out may be the same
 * address, else must not overlap. */
int suite_aead_seal(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err) BK_MUST_CHECK;
/* in: len bytes including the tag (LIMIT below SUITE_TAG); out: len - SUITE_TAG bytes.
 * CORRUPT when the tag does not fit: out then holds nothing of use. */
int suite_aead_open(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err) BK_MUST_CHECK;
void suite_aead_free(struct suite_aead *a);
BK_AUTO(struct suite_aead *, suite_aead_free)

/* Overwrite a secret so that the compiler keeps it. */
void suite_wipe(void *p, size_t len);

#endif
