#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "formats/crypto/primitive.h"
#include "formats/crypto/slot_parts.h"
#include "formats/crypto/slot_pem.h"

BK_AUTO(BIGNUM *, BN_free)

enum { COORDINATE = 32, POINT = 1 + 2 * COORDINATE, PLAIN = SUITE_KEY + SUITE_HASH };

/* From the coordinates, not the encoded point: that may be compressed in somebody's PEM file. */
static int point(const EVP_PKEY *key, uint8_t out[static POINT], struct bk_error *err)
{
    bk_auto(BN_free) BIGNUM *x = NULL;
    bk_auto(BN_free) BIGNUM *y = NULL;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
        return primitive_fail(err, "SM2");
    out[0] = 4;
    if (BN_bn2binpad(x, out + 1, COORDINATE) != COORDINATE ||
        BN_bn2binpad(y, out + 1 + COORDINATE, COORDINATE) != COORDINATE)
        return primitive_fail(err, "SM2");
    return 0;
}

int slot_sm2_set_public(struct slot *s, const uint8_t *pem, size_t len, struct bk_error *err)
{
    bk_auto(EVP_PKEY_free) EVP_PKEY *key = NULL;
    int r = slot_pem_read(pem, len, false, "SM2", &key, err);
    if (r < 0)
        return r;
    s->public_key_len = POINT;
    return point(key, s->public_key, err);
}

int slot_sm2_wrap(struct slot *s, const uint8_t *pem, size_t len, const uint8_t kek[static SUITE_KEY],
                  const uint8_t bound[static SUITE_HASH], struct bk_error *err)
{
    bk_auto(EVP_PKEY_free) EVP_PKEY *key = NULL;
    int r = slot_pem_read(pem, len, false, "SM2", &key, err);
    if (r < 0)
        return r;
    bk_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!ctx)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key");
    uint8_t plain[PLAIN];
    memcpy(plain, kek, SUITE_KEY);
    memcpy(plain + SUITE_KEY, bound, SUITE_HASH);
    size_t n = sizeof s->wrapped;
    int ok =
        EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_encrypt(ctx, s->wrapped, &n, plain, sizeof plain) == 1;
    suite_wipe(plain, sizeof plain);
    if (!ok)
        return primitive_fail(err, "SM2");
    s->wrapped_len = n;
    return 0;
}

int slot_sm2_unwrap(const struct slot *s, const uint8_t *pem, size_t len,
                    const uint8_t bound[static SUITE_HASH], uint8_t kek[static SUITE_KEY],
                    struct bk_error *err)
{
    uint8_t mine[POINT];
    bk_auto(EVP_PKEY_free) EVP_PKEY *key = NULL;
    int r = slot_pem_read(pem, len, true, "SM2", &key, err);
    if (r == 0)
        r = point(key, mine, err);
    if (r < 0)
        return r;
    if (s->public_key_len != POINT || memcmp(mine, s->public_key, POINT) != 0)
        return bk_fail(err, BK_E_AUTH, "the slot was made for another key");
    bk_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!ctx)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key");
    uint8_t plain[SLOT_WRAPPED_MAX]; /* no plaintext is longer than its ciphertext */
    size_t n = sizeof plain;
    int ok = EVP_PKEY_decrypt_init(ctx) == 1 &&
             EVP_PKEY_decrypt(ctx, plain, &n, s->wrapped, s->wrapped_len) == 1 && n == PLAIN &&
             CRYPTO_memcmp(plain + SUITE_KEY, bound, SUITE_HASH) == 0;
    ERR_clear_error();
    if (ok)
        memcpy(kek, plain, SUITE_KEY);
    suite_wipe(plain, sizeof plain);
    return ok ? 0 : bk_fail(err, BK_E_AUTH, "the key does not open this slot");
}
