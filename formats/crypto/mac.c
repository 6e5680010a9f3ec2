/* SHA256_* are deprecated in favour of EVP, whose calls allocate a context per message; a MAC per
 * chunk from every worker is the one place where that shows. The state of the padded key is a
 * plain struct here, copied onto the stack. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "formats/crypto/primitive.h"

#include "formats/crypto/sha256_pair.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/sha.h>

struct suite_mac {
    enum suite_id id;
    SHA256_CTX sha_inner; /* aes256-gcm: after ipad, after opad */
    SHA256_CTX sha_outer;
    EVP_MD_CTX *inner; /* sm4: the same, only ever read after construction */
    EVP_MD_CTX *outer;
    bool pairs; /* two at once are faster here */
};

static int key_block(struct suite_mac *m, const uint8_t *key, uint8_t pad, bool is_outer,
                     struct bk_error *err)
{
    uint8_t block[PRIMITIVE_BLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < SUITE_KEY; i++)
        block[i] ^= key[i];

    int ok;
    if (m->id == SUITE_AES256_GCM) {
        SHA256_CTX *c = is_outer ? &m->sha_outer : &m->sha_inner;
        ok = SHA256_Init(c) && SHA256_Update(c, block, sizeof block);
    } else {
        EVP_MD_CTX *c = is_outer ? m->outer : m->inner;
        ok = EVP_DigestInit_ex2(c, primitive_md(m->id), NULL) && EVP_DigestUpdate(c, block, sizeof block);
    }
    suite_wipe(block, sizeof block);
    return ok ? 0 : primitive_fail(err, "HMAC");
}

int suite_mac_new(enum suite_id id, const uint8_t key[static SUITE_KEY], struct suite_mac **ret,
                  struct bk_error *err)
{
    if (!primitive_md(id))
        return primitive_unsupported(id, err);
    bk_auto(suite_mac_free) struct suite_mac *m = calloc(1, sizeof *m);
    if (!m)
        return bk_fail(err, BK_E_NOMEM, "no memory for a MAC key");
    m->id = id;
    m->pairs = id == SUITE_AES256_GCM && sha256_pair_usable();
    if (id != SUITE_AES256_GCM) {
        m->inner = EVP_MD_CTX_new();
        m->outer = EVP_MD_CTX_new();
        if (!m->inner || !m->outer)
            return bk_fail(err, BK_E_NOMEM, "no memory for a MAC key");
    }
    int r = key_block(m, key, 0x36, false, err);
    if (r == 0)
        r = key_block(m, key, 0x5c, true, err);
    if (r < 0)
        return r;
    *ret = bk_steal(m);
    return 0;
}

static int mac_sha256(const struct suite_mac *m, const struct suite_piece *pieces, size_t n, uint8_t *out,
                      struct bk_error *err)
{
    uint8_t inner[SUITE_HASH];
    SHA256_CTX c = m->sha_inner;
    int ok = 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = SHA256_Update(&c, pieces[i].data, pieces[i].len);
    ok = ok && SHA256_Final(inner, &c);
    c = m->sha_outer;
    ok = ok && SHA256_Update(&c, inner, sizeof inner) && SHA256_Final(out, &c);
    suite_wipe(&c, sizeof c);
    return ok ? 0 : primitive_fail(err, "HMAC");
}

static int mac_evp(const struct suite_mac *m, const struct suite_piece *pieces, size_t n, uint8_t *out,
                   struct bk_error *err)
{
    uint8_t inner[SUITE_HASH];
    bk_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for a MAC");
    int ok = EVP_MD_CTX_copy_ex(c, m->inner);
    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(c, pieces[i].data, pieces[i].len);
    ok = ok && EVP_DigestFinal_ex(c, inner, NULL) && EVP_MD_CTX_copy_ex(c, m->outer) &&
         EVP_DigestUpdate(c, inner, sizeof inner) && EVP_DigestFinal_ex(c, out, NULL);
    return ok ? 0 : primitive_fail(err, "HMAC");
}

int suite_mac_pieces(const struct suite_mac *m, const struct suite_piece *pieces, size_t n,
                     uint8_t out[static SUITE_HASH], struct bk_error *err)
{
    return m->id == SUITE_AES256_GCM ? mac_sha256(m, pieces, n, out, err) : mac_evp(m, pieces, n, out, err);
}

int suite_mac(const struct suite_mac *m, const void *data, size_t len, uint8_t out[static SUITE_HASH],
              struct bk_error *err)
{
    return suite_mac_pieces(m, &(struct suite_piece){ data, len }, 1, out, err);
}

/* The rest of a message whose first `done` bytes (whole blocks) are in the state already. */
static int mac_sha256_rest(const struct suite_mac *m, const uint32_t state[static 8],
                           const struct suite_piece *p, size_t done, uint8_t *out, struct bk_error *err)
{
    uint8_t inner[SUITE_HASH];
    SHA256_CTX c = m->sha_inner;
    uint64_t bits = (uint64_t)(PRIMITIVE_BLOCK + done) * 8;
    memcpy(c.h, state, sizeof c.h);
    c.Nl = (SHA_LONG)bits;
    c.Nh = (SHA_LONG)(bits >> 32);
    int ok = SHA256_Update(&c, (const uint8_t *)p->data + done, p->len - done) && SHA256_Final(inner, &c);
    c = m->sha_outer;
    ok = ok && SHA256_Update(&c, inner, sizeof inner) && SHA256_Final(out, &c);
    suite_wipe(&c, sizeof c);
    return ok ? 0 : primitive_fail(err, "HMAC");
}

/* A message on its way through the pair kernel: whole blocks that are left of it. */
struct stream {
    uint32_t state[8];
    const uint8_t *at;
    size_t blocks;
    size_t number; /* of the message; n: nothing is left */
};

/* Begin the next message of at least a block; shorter ones are done at once. */
static int next_stream(const struct suite_mac *m, const struct suite_piece *v, size_t n, size_t *next,
                       struct stream *s, uint8_t (*out)[SUITE_HASH], struct bk_error *err)
{
    for (; *next < n; ++*next) {
        const struct suite_piece *p = &v[*next];
        if (p->len >= PRIMITIVE_BLOCK) {
            memcpy(s->state, m->sha_inner.h, sizeof s->state);
            s->at = p->data;
            s->blocks = p->len / PRIMITIVE_BLOCK;
            s->number = (*next)++;
            return 0;
        }
        int r = suite_mac(m, p->data, p->len, out[*next], err);
        if (r < 0)
            return r;
    }
    s->number = n;
    return 0;
}

static int end_stream(const struct suite_mac *m, const struct suite_piece *v, const struct stream *s,
                      uint8_t (*out)[SUITE_HASH], struct bk_error *err)
{
    const struct suite_piece *p = &v[s->number];
    return mac_sha256_rest(m, s->state, p, (size_t)(s->at - (const uint8_t *)p->data), out[s->number], err);
}

/* Two messages are under way; when the shorter one ends, the next takes its place. */
static int mac_sha256_many(const struct suite_mac *m, const struct suite_piece *v, size_t n,
                           uint8_t (*out)[SUITE_HASH], struct bk_error *err)
{
    struct stream s[2];
    size_t next = 0;
    int r = next_stream(m, v, n, &next, &s[0], out, err);
    if (r == 0)
        r = next_stream(m, v, n, &next, &s[1], out, err);
    while (r == 0 && s[0].number < n && s[1].number < n) {
        size_t common = s[0].blocks < s[1].blocks ? s[0].blocks : s[1].blocks;
        sha256_pair_blocks(s[0].state, s[1].state, s[0].at, s[1].at, common);
        for (int i = 0; i < 2 && r == 0; i++) {
            s[i].at += common * PRIMITIVE_BLOCK;
            s[i].blocks -= common;
            if (s[i].blocks)
                continue;
            r = end_stream(m, v, &s[i], out, err);
            if (r == 0)
                r = next_stream(m, v, n, &next, &s[i], out, err);
        }
    }
    for (int i = 0; i < 2 && r == 0; i++)
        if (s[i].number < n)
            r = end_stream(m, v, &s[i], out, err);
    suite_wipe(s, sizeof s);
    return r;
}

int suite_mac_many(const struct suite_mac *m, const struct suite_piece *v, size_t n,
                   uint8_t (*out)[SUITE_HASH], struct bk_error *err)
{
    if (m->pairs && n > 1)
        return mac_sha256_many(m, v, n, out, err);
    for (size_t i = 0; i < n; i++) {
        int r = suite_mac(m, v[i].data, v[i].len, out[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

void suite_mac_free(struct suite_mac *m)
{
    if (!m)
        return;
    EVP_MD_CTX_free(m->inner);
    EVP_MD_CTX_free(m->outer);
    suite_wipe(m, sizeof *m);
    free(m);
}

/* libcrypto takes an empty octet string for a missing one in some releases and refuses it in
 * others: what is empty is left out. */
static void put_octets(OSSL_PARAM *p, size_t *n, const char *key, const void *data, size_t len)
{
    if (len)
        p[(*n)++] = OSSL_PARAM_construct_octet_string(key, (void *)(uintptr_t)data, len);
}

int suite_hkdf(enum suite_id id, const uint8_t *ikm, size_t ikm_len, const uint8_t *salt, size_t salt_len,
               const char *info, uint8_t *out, size_t out_len, struct bk_error *err)
{
    enum { HKDF_MAX = 255 * SUITE_HASH };
    if (!primitive_md(id) || !primitive_hkdf())
        return primitive_unsupported(id, err);
    if (ikm_len == 0 || out_len == 0 || out_len > HKDF_MAX)
        return bk_fail(err, BK_E_LIMIT, "a key of %zu bytes cannot be derived", out_len);

    bk_auto(EVP_KDF_CTX_free) EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(primitive_hkdf());
    if (!ctx)
        return bk_fail(err, BK_E_NOMEM, "no memory for a key derivation");
    OSSL_PARAM p[5];
    size_t n = 0;
    p[n++] =
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)primitive_md_name(id), 0);
    put_octets(p, &n, OSSL_KDF_PARAM_KEY, ikm, ikm_len);
    put_octets(p, &n, OSSL_KDF_PARAM_SALT, salt, salt_len);
    put_octets(p, &n, OSSL_KDF_PARAM_INFO, info, strlen(info));
    p[n] = OSSL_PARAM_construct_end();
    if (EVP_KDF_derive(ctx, out, out_len, p) != 1)
        return primitive_fail(err, "HKDF");
    return 0;
}
