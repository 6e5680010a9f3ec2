#include "formats/crypto/slot_pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "formats/crypto/primitive.h"
#include "formats/crypto/slot.h"

BK_AUTO(BIO *, BIO_free_all)

/* Without this libcrypto would ask the terminal for the password of an encrypted key. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

int slot_pem_read(const uint8_t *pem, size_t len, bool is_private, const char *type, EVP_PKEY **ret,
                  struct bk_error *err)
{
    if (len == 0 || len > SLOT_PEM_MAX)
        return bk_fail(err, BK_E_USAGE, "a key in PEM form has 1 to %d bytes", SLOT_PEM_MAX);
    bk_auto(BIO_free_all) BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (!bio)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key");
    bk_auto(EVP_PKEY_free) EVP_PKEY *key = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)
                                                      : PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    ERR_clear_error();
    if (!key || !EVP_PKEY_is_a(key, type))
        return is_private ? bk_fail(err, BK_E_USAGE,
                                    "this is no private %s key in PEM form without a password", type)
                          : bk_fail(err, BK_E_USAGE, "this is no public %s key in PEM form", type);
    *ret = bk_steal(key);
    return 0;
}

static int append_bio(BIO *bio, struct bk_buf *out, struct bk_error *err)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    return n > 0 ? bk_buf_append(out, data, (size_t)n, err) : primitive_fail(err, "PEM");
}

int slot_pem_write(EVP_PKEY *key, struct bk_buf *ret_private, struct bk_buf *ret_public, struct bk_error *err)
{
    bk_auto(BIO_free_all) BIO *priv = BIO_new(BIO_s_secmem());
    bk_auto(BIO_free_all) BIO *pub = BIO_new(BIO_s_mem());
    if (!priv || !pub)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key");
    if (!PEM_write_bio_PKCS8PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL) ||
        !PEM_write_bio_PUBKEY(pub, key))
        return primitive_fail(err, "PEM");
    size_t before = ret_private->len;
    int r = append_bio(priv, ret_private, err);
    if (r < 0)
        return r;
    r = append_bio(pub, ret_public, err);
    if (r < 0)
        ret_private->len = before;
    return r;
}

int slot_generate_pair(enum slot_kind kind, struct bk_buf *ret_private, struct bk_buf *ret_public,
                       struct bk_error *err)
{
    if (kind != SLOT_X25519 && kind != SLOT_SM2)
        return bk_fail(err, BK_E_USAGE, "a %s slot has no key pair", bk_text(slot_kind_name(kind)));
    const char *type = kind == SLOT_X25519 ? "X25519" : "SM2";
    bk_auto(EVP_PKEY_free) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    if (!key)
        return primitive_fail(err, type);
    return slot_pem_write(key, ret_private, ret_public, err);
}
