#include "bkd/serve/auth.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static bool hash(const char *name, const char *token, uint8_t out[static SERVE_TOKEN_HASH])
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    unsigned n = 0;
    bool ok = md && EVP_MD_get_size(md) == SERVE_TOKEN_HASH &&
              EVP_Digest(token, strlen(token), out, &n, md, NULL) == 1;
    EVP_MD_free(md);
    return ok;
}

const struct serve_principal *serve_auth_token(const struct serve_config *c, const char *token)
{
    uint8_t sha[SERVE_TOKEN_HASH], sm3[SERVE_TOKEN_HASH];
    const struct serve_principal *found = NULL;
    if (!token[0] || strlen(token) > SERVE_TOKEN_MAX || !hash("SHA256", token, sha))
        return NULL;
    bool has_sm3 = hash("SM3", token, sm3);
    for (size_t i = 0; i < c->n_principals; i++) {
        const struct serve_principal *p = &c->principals[i];
        bool same = CRYPTO_memcmp(p->token, p->sm3 ? sm3 : sha, SERVE_TOKEN_HASH) == 0;
        if (same && p->has_token && (has_sm3 || !p->sm3))
            found = p;
    }
    return found;
}

const struct serve_principal *serve_auth_certificate(const struct serve_config *c, const char *common_name)
{
    for (size_t i = 0; i < c->n_principals && common_name[0]; i++)
        if (strcmp(c->principals[i].certificate, common_name) == 0)
            return &c->principals[i];
    return NULL;
}

int serve_auth_new(const struct world *w, bool sm3, char token[static SERVE_TOKEN_TEXT],
                   char text[static 2 * SERVE_TOKEN_HASH + 8], struct bk_error *err)
{
    uint8_t raw[SERVE_TOKEN_HASH], sum[SERVE_TOKEN_HASH];
    int r = w->random(w->ctx, raw, sizeof raw, err);
    if (r < 0)
        return r;
    int n = snprintf(token, SERVE_TOKEN_TEXT, "bkd-");
    for (size_t i = 0; i < sizeof raw; i++)
        n += snprintf(token + n, SERVE_TOKEN_TEXT - (size_t)n, "%02x", raw[i]);
    OPENSSL_cleanse(raw, sizeof raw);
    if (!hash(sm3 ? "SM3" : "SHA256", token, sum))
        return bk_fail(err, BK_E_UNSUPPORTED, "OpenSSL has no hash for the token");
    n = snprintf(text, 2 * SERVE_TOKEN_HASH + 8, "%s:", sm3 ? "sm3" : "sha256");
    for (size_t i = 0; i < sizeof sum; i++)
        n += snprintf(text + n, 2 * SERVE_TOKEN_HASH + 8 - (size_t)n, "%02x", sum[i]);
    return 0;
}
