#include "formats/crypto/primitive.h"

#include <string.h>

#include <openssl/crypto.h>

#include "formats/base/wire.h"

enum { GCM_IV = 12, CTR_BLOCK = 16, SM4_KEY = 16 };

struct suite_aead {
    enum suite_id id;
    EVP_CIPHER_CTX *seal;  /* keyed once; a message only sets the IV */
    EVP_CIPHER_CTX *open;  /* aes256-gcm only: CTR runs the same both ways */
    struct suite_mac *mac; /* sm4 only */
};

static int set_key(EVP_CIPHER_CTX **ret, const EVP_CIPHER *cipher, const uint8_t *key, int encrypt,
                   struct bk_error *err)
{
    *ret = EVP_CIPHER_CTX_new();
    if (!*ret)
        return bk_fail(err, BK_E_NOMEM, "no memory for a cipher");
    if (!EVP_CipherInit_ex2(*ret, cipher, key, NULL, encrypt, NULL))
        return primitive_fail(err, N_("cipher"));
    return 0;
}

static int set_keys_sm4(struct suite_aead *a, const uint8_t *key, struct bk_error *err)
{
    uint8_t sub[SM4_KEY + SUITE_KEY];
    int r = suite_hkdf(a->id, key, SUITE_KEY, NULL, 0, "sm4-etm", sub, sizeof sub, err);
    if (r == 0)
        r = set_key(&a->seal, primitive_cipher(a->id), sub, 1, err);
    if (r == 0)
        r = suite_mac_new(a->id, sub + SM4_KEY, &a->mac, err);
    suite_wipe(sub, sizeof sub);
    return r;
}

int suite_aead_new(enum suite_id id, const uint8_t key[static SUITE_KEY], struct suite_aead **ret,
                   struct bk_error *err)
{
    const EVP_CIPHER *cipher = primitive_cipher(id);
    if (!cipher)
        return primitive_unsupported(id, err);
    bk_auto(suite_aead_free) struct suite_aead *a = calloc(1, sizeof *a);
    if (!a)
        return bk_fail(err, BK_E_NOMEM, "no memory for a cipher");
    a->id = id;
    int r;
    if (id == SUITE_SM4) {
        r = set_keys_sm4(a, key, err);
    } else {
        r = set_key(&a->seal, cipher, key, 1, err);
        if (r == 0)
            r = set_key(&a->open, cipher, key, 0, err);
    }
    if (r < 0)
        return r;
    *ret = bk_steal(a);
    return 0;
}

void suite_aead_free(struct suite_aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->seal);
    EVP_CIPHER_CTX_free(a->open);
    suite_mac_free(a->mac);
    free(a);
}

/* 4 zero bytes, the number, and zeroes up to the size of the IV */
static void make_iv(uint64_t number, uint8_t iv[static CTR_BLOCK])
{
    memset(iv, 0, CTR_BLOCK);
    for (int i = 0; i < 8; i++)
        iv[4 + i] = (uint8_t)(number >> (56 - 8 * i));
}

/* IV, associated data and the message itself; the tag is left to the caller */
static int run(EVP_CIPHER_CTX *c, int encrypt, uint64_t number, const void *aad, size_t aad_len,
               const void *in, size_t len, uint8_t *out)
{
    uint8_t iv[CTR_BLOCK];
    int n;
    make_iv(number, iv);
    if (!EVP_CipherInit_ex2(c, NULL, NULL, iv, encrypt, NULL))
        return 0;
    if (aad_len && !EVP_CipherUpdate(c, NULL, &n, aad, (int)aad_len))
        return 0;
    if (len && (!EVP_CipherUpdate(c, out, &n, in, (int)len) || (size_t)n != len))
        return 0;
    return 1;
}

static int gcm_seal(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    int n;
    if (!run(a->seal, 1, number, aad, aad_len, in, len, out) ||
        !EVP_EncryptFinal_ex(a->seal, out + len, &n) ||
        !EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, SUITE_TAG, out + len))
        return primitive_fail(err, "AES-256-GCM");
    return 0;
}

static int gcm_open(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const uint8_t *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    uint8_t tag[SUITE_TAG];
    uint8_t none[1];
    int n;
    memcpy(tag, in + len, sizeof tag);
    if (!run(a->open, 0, number, aad, aad_len, in, len, out) ||
        !EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, SUITE_TAG, tag))
        return primitive_fail(err, "AES-256-GCM");
    if (EVP_DecryptFinal_ex(a->open, none, &n) != 1) {
        suite_wipe(out, len); /* unauthenticated plaintext goes no further */
        return bk_fail(err, BK_E_CORRUPT, "sealed bytes fail their authentication");
    }
    return 0;
}

/* HMAC(aad length || aad || number || ciphertext): the length in front keeps associated data and
 * ciphertext from being shifted into one another. */
static int sm4_tag(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len,
                   const uint8_t *text, size_t len, uint8_t tag[static SUITE_HASH], struct bk_error *err)
{
    uint8_t head[8], num[8];
    bk_put_u64(head, aad_len);
    bk_put_u64(num, number);
    const struct suite_piece pieces[] = {
        { head, sizeof head },
        { aad, aad_len },
        { num, sizeof num },
        { text, len },
    };
    return suite_mac_pieces(a->mac, pieces, BK_COUNT(pieces), tag, err);
}

static int sm4_seal(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    uint8_t tag[SUITE_HASH];
    if (!run(a->seal, 1, number, NULL, 0, in, len, out))
        return primitive_fail(err, "SM4-CTR");
    int r = sm4_tag(a, number, aad, aad_len, out, len, tag, err);
    if (r == 0)
        memcpy(out + len, tag, SUITE_TAG);
    return r;
}

static int sm4_open(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const uint8_t *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    uint8_t tag[SUITE_HASH];
    int r = sm4_tag(a, number, aad, aad_len, in, len, tag, err);
    if (r < 0)
        return r;
    if (CRYPTO_memcmp(tag, in + len, SUITE_TAG) != 0)
        return bk_fail(err, BK_E_CORRUPT, "sealed bytes fail their authentication");
    if (!run(a->seal, 1, number, NULL, 0, in, len, out))
        return primitive_fail(err, "SM4-CTR");
    return 0;
}

static int check_lengths(size_t aad_len, size_t len, struct bk_error *err)
{
    if (len > SUITE_MESSAGE_MAX || aad_len > SUITE_MESSAGE_MAX)
        return bk_fail(err, BK_E_LIMIT, "a message of %zu bytes is too long to be sealed at once", len);
    return 0;
}

int suite_aead_seal(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    int r = check_lengths(aad_len, len, err);
    if (r < 0)
        return r;
    return a->id == SUITE_SM4 ? sm4_seal(a, number, aad, aad_len, in, len, out, err)
                              : gcm_seal(a, number, aad, aad_len, in, len, out, err);
}

int suite_aead_open(struct suite_aead *a, uint64_t number, const void *aad, size_t aad_len, const void *in,
                    size_t len, uint8_t *out, struct bk_error *err)
{
    if (len < SUITE_TAG)
        return bk_fail(err, BK_E_LIMIT, "%zu sealed bytes are fewer than a tag", len);
    len -= SUITE_TAG;
    int r = check_lengths(aad_len, len, err);
    if (r < 0)
        return r;
    return a->id == SUITE_SM4 ? sm4_open(a, number, aad, aad_len, in, len, out, err)
                              : gcm_open(a, number, aad, aad_len, in, len, out, err);
}
