#include "formats/crypto/primitive.h"

#include <pthread.h>

#include <openssl/err.h>

static struct {
    EVP_MD *md;
    EVP_CIPHER *cipher;
} algorithms[SUITE_SM4 + 1];
static EVP_KDF *hkdf;
static EVP_KDF *scrypt;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What a build of libcrypto lacks stays NULL and is reported by whoever needs it. The references
 * live as long as the process. */
static void fetch_all(void)
{
    algorithms[SUITE_AES256_GCM].md = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms[SUITE_AES256_GCM].cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algorithms[SUITE_SM4].md = EVP_MD_fetch(NULL, "SM3", NULL);
    algorithms[SUITE_SM4].cipher = EVP_CIPHER_fetch(NULL, "SM4-CTR", NULL);
    hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    scrypt = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    ERR_clear_error();
}

const EVP_MD *primitive_md(enum suite_id id)
{
    pthread_once(&once, fetch_all);
    return suite_known(id) ? algorithms[id].md : NULL;
}

const EVP_CIPHER *primitive_cipher(enum suite_id id)
{
    pthread_once(&once, fetch_all);
    return suite_known(id) ? algorithms[id].cipher : NULL;
}

const char *primitive_md_name(enum suite_id id)
{
    return id == SUITE_SM4 ? "SM3" : "SHA256";
}

EVP_KDF *primitive_hkdf(void)
{
    pthread_once(&once, fetch_all);
    return hkdf;
}

EVP_KDF *primitive_scrypt(void)
{
    pthread_once(&once, fetch_all);
    return scrypt;
}

int primitive_unsupported(enum suite_id id, struct bk_error *err)
{
    return bk_fail(err, BK_E_UNSUPPORTED, "the cryptographic library lacks the algorithms of suite %s",
                   suite_name(id));
}

int primitive_fail(struct bk_error *err, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    int code = e && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE ? BK_E_NOMEM : BK_E_FAILED;
    ERR_clear_error();
    return bk_fail(err, code, "the cryptographic library failed at %s: %s", bk_text(what),
                   reason ? reason : bk_text(N_("no reason given")));
}
