/* libcrypto's algorithms, looked up once for the whole process, and its errors in our words.
 *
 * Fetching by name costs more than hashing a small chunk, so nobody else fetches. Internal to
 * formats/crypto. Any thread. */
#ifndef FORMATS_CRYPTO_PRIMITIVE_H
#define FORMATS_CRYPTO_PRIMITIVE_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "formats/crypto/suite.h"

BK_AUTO(EVP_MD_CTX *, EVP_MD_CTX_free)
BK_AUTO(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)
BK_AUTO(EVP_KDF_CTX *, EVP_KDF_CTX_free)

enum { PRIMITIVE_BLOCK = 64 }; /* block size of both hashes, bytes */

/* NULL when the suite is unknown or libcrypto was built without it. Borrowed. */
const EVP_MD *primitive_md(enum suite_id id);
const EVP_CIPHER *primitive_cipher(enum suite_id id);
/* "SHA256" or "SM3": the hash's name for libcrypto's parameters */
const char *primitive_md_name(enum suite_id id);
EVP_KDF *primitive_hkdf(void);
EVP_KDF *primitive_scrypt(void);

/* UNSUPPORTED: the suite cannot be used in this build */
int primitive_unsupported(enum suite_id id, struct bk_error *err);
/* FAILED (or NOMEM) with libcrypto's own reason; its error queue is emptied. `what`: a noun
 * such as an algorithm's name, never translated. */
int primitive_fail(struct bk_error *err, const char *what);

#endif
