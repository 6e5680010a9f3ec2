/* PEM keys for the public-key slots. Internal to formats/crypto. */
#ifndef FORMATS_CRYPTO_SLOT_PEM_H
#define FORMATS_CRYPTO_SLOT_PEM_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "formats/base/buf.h"

BK_AUTO(EVP_PKEY *, EVP_PKEY_free)
BK_AUTO(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

enum { SLOT_PEM_MAX = 65536 }; /* bytes of a PEM file */

/* Read a public (or password-less private) key of libcrypto's type `type`, "X25519" or "SM2".
 * USAGE when the bytes are something else. */
int slot_pem_read(const uint8_t *pem, size_t len, bool is_private, const char *type, EVP_PKEY **ret,
                  struct bk_error *err) BK_MUST_CHECK;
/* Both halves, appended. */
int slot_pem_write(EVP_PKEY *key, struct bk_buf *ret_private, struct bk_buf *ret_public,
                   struct bk_error *err) BK_MUST_CHECK;

#endif
