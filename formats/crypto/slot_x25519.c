#include <openssl/err.h>

#include "formats/crypto/primitive.h"
#include "formats/crypto/slot_parts.h"
#include "formats/crypto/slot_pem.h"

enum { X25519_KEY = 32 };

static int raw_public(const EVP_PKEY *key, uint8_t out[static X25519_KEY], struct bk_error *err)
{
    size_t n = X25519_KEY;
    if (EVP_PKEY_get_raw_public_key(key, out, &n) != 1 || n != X25519_KEY)
        return primitive_fail(err, "X25519");
    return 0;
}

/* key = HKDF(shared || ephemeral public || slot's public, salt): the public halves are bound in,
 * so that no other pair of them leads to the same key. */
static int agree(const struct slot *s, EVP_PKEY *mine, EVP_PKEY *theirs, uint8_t key[static SUITE_KEY],
                 struct bk_error *err)
{
    uint8_t ikm[3 * X25519_KEY];
    size_t n = X25519_KEY;
    bk_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL);
    if (!ctx)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key agreement");
    /* libcrypto refuses the all-zero result of a public key of small order */
    if (EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
        EVP_PKEY_derive(ctx, ikm, &n) != 1 || n != X25519_KEY)
        return primitive_fail(err, "X25519");
    memcpy(ikm + X25519_KEY, s->ephemeral, X25519_KEY);
    memcpy(ikm + 2 * X25519_KEY, s->public_key, X25519_KEY);
    int r = suite_hkdf(s->suite, ikm, sizeof ikm, s->salt, SLOT_SALT, "slot-x25519", key, SUITE_KEY, err);
    suite_wipe(ikm, sizeof ikm);
    return r;
}

int slot_x25519_to(struct slot *s, const uint8_t *pem, size_t len, const uint8_t ephemeral_private[static 32],
                   uint8_t key[static SUITE_KEY], struct bk_error *err)
{
    bk_auto(EVP_PKEY_free) EVP_PKEY *recipient = NULL;
    int r = slot_pem_read(pem, len, false, "X25519", &recipient, err);
    if (r < 0)
        return r;
    bk_auto(EVP_PKEY_free) EVP_PKEY *mine =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, ephemeral_private, X25519_KEY);
    if (!mine)
        return primitive_fail(err, "X25519");
    s->public_key_len = X25519_KEY;
    r = raw_public(recipient, s->public_key, err);
    if (r == 0)
        r = raw_public(mine, s->ephemeral, err);
    return r < 0 ? r : agree(s, mine, recipient, key, err);
}

int slot_x25519_from(const struct slot *s, const uint8_t *pem, size_t len, uint8_t key[static SUITE_KEY],
                     struct bk_error *err)
{
    uint8_t public[X25519_KEY];
    bk_auto(EVP_PKEY_free) EVP_PKEY *mine = NULL;
    int r = slot_pem_read(pem, len, true, "X25519", &mine, err);
    if (r == 0)
        r = raw_public(mine, public, err);
    if (r < 0)
        return r;
    if (s->public_key_len != X25519_KEY || memcmp(public, s->public_key, X25519_KEY) != 0)
        return bk_fail(err, BK_E_AUTH, "the slot was made for another key");
    bk_auto(EVP_PKEY_free) EVP_PKEY *theirs =
        EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, s->ephemeral, X25519_KEY);
    if (!theirs)
        return primitive_fail(err, "X25519");
    if (agree(s, mine, theirs, key, err) < 0)
        return bk_fail(err, BK_E_AUTH, "the key agrees on nothing with this slot");
    return 0;
}
