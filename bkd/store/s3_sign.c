#include "bkd/store/s3_sign.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "formats/base/auto.h"

enum { HASH = 32, DAY = 8, SIGNED_MAX = 512, CANONICAL_MAX = 24 << 10, PARAMS_MAX = 16 };

void s3_time(int64_t unix_s, char out[static S3_TIME])
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    /* years past 9999 do not fit the field: such a clock is wrong anyway, and the server says so */
    if (unix_s < 0 || unix_s > 253402300799 || !gmtime_r(&t, &tm) ||
        strftime(out, S3_TIME, "%Y%m%dT%H%M%SZ", &tm) == 0)
        memcpy(out, "19700101T000000Z", S3_TIME);
}

static void hex_of(const uint8_t *in, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = "0123456789abcdef"[in[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
    }
    out[2 * len] = '\0';
}

int s3_sha256_hex(const void *data, size_t len, char out[static S3_HASH_HEX + 1], struct bk_error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL))
        return bk_fail(err, BK_E_FAILED, "SHA-256 failed");
    hex_of(digest, HASH, out);
    return 0;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

int s3_encode(const char *s, bool keep_slash, char *out, size_t cap, struct bk_error *err)
{
    size_t n = 0;
    for (; *s; s++) {
        if (n + 4 > cap)
            return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
        uint8_t c = (uint8_t)*s;
        if (unreserved(*s) || (keep_slash && c == '/')) {
            out[n++] = *s;
            continue;
        }
        out[n++] = '%';
        out[n++] = "0123456789ABCDEF"[c >> 4];
        out[n++] = "0123456789ABCDEF"[c & 15];
    }
    if (n >= cap)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    out[n] = '\0';
    return 0;
}

int s3_query(const struct s3_pair *params, size_t n, char *out, size_t cap, struct bk_error *err)
{
    const struct s3_pair *sorted[PARAMS_MAX] = { 0 };
    if (n > PARAMS_MAX)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    for (size_t i = 0; i < n; i++) {
        size_t k = i;
        for (; k > 0 && strcmp(params[i].name, sorted[k - 1]->name) < 0; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = &params[i];
    }
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *const parts[] = { i ? "&" : "", sorted[i]->name, "=", sorted[i]->value };
        for (size_t k = 0; k < BK_COUNT(parts); k++) {
            /* '&' and '=' themselves are not encoded */
            int r = k % 2 ? s3_encode(parts[k], false, out + used, cap - used, err) : 0;
            if (r < 0)
                return r;
            if (k % 2 == 0) {
                if (used + 2 > cap)
                    return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
                strcpy(out + used, parts[k]);
            }
            used += strlen(out + used);
        }
    }
    return 0;
}

static int hmac(const void *key, size_t key_len, const char *text, uint8_t out[static HASH],
                struct bk_error *err)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), mac, &n) || n != HASH)
        return bk_fail(err, BK_E_FAILED, "HMAC failed");
    memcpy(out, mac, HASH);
    return 0;
}

/* The chain that binds a key to one day, region and service. */
static int signing_key(const struct s3_credentials *c, const char *day, const char *region,
                       uint8_t out[static HASH], struct bk_error *err)
{
    char first[sizeof c->secret + 4];
    snprintf(first, sizeof first, "AWS4%s", c->secret);
    int r = hmac(first, strlen(first), day, out, err);
    OPENSSL_cleanse(first, sizeof first);
    const char *const rest[] = { region, "s3", "aws4_request" };
    for (size_t i = 0; r == 0 && i < BK_COUNT(rest); i++)
        r = hmac(out, HASH, rest[i], out, err);
    return r;
}

struct text {
    char *at;
    size_t used, cap;
    bool full;
};

static void add(struct text *t, const char *s)
{
    size_t n = strlen(s);
    if (t->full || t->cap - t->used <= n) {
        t->full = true;
        return;
    }
    memcpy(t->at + t->used, s, n + 1);
    t->used += n;
}

static void add_line(struct text *t, const char *s)
{
    add(t, s);
    add(t, "\n");
}

static int canonical_hash(const struct s3_to_sign *q, const char *names, char out[static S3_HASH_HEX + 1],
                          struct bk_error *err)
{
    bk_auto(free) char *mem = malloc(CANONICAL_MAX);
    if (!mem)
        return bk_fail(err, BK_E_NOMEM, "no memory to sign a request");
    struct text t = { .at = mem, .cap = CANONICAL_MAX };
    add_line(&t, q->method);
    add_line(&t, q->path);
    add_line(&t, q->query);
    for (size_t i = 0; i < q->n_headers; i++) {
        add(&t, q->headers[i].name);
        add(&t, ":");
        add_line(&t, q->headers[i].value);
    }
    add_line(&t, "");
    add_line(&t, names);
    add(&t, q->payload_hash);
    if (t.full)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    return s3_sha256_hex(mem, t.used, out, err);
}

int s3_sign(const struct s3_credentials *c, const struct s3_to_sign *q, char out[static S3_AUTHORIZATION_MAX],
            struct bk_error *err)
{
    char names_mem[SIGNED_MAX], scope[128], hash[S3_HASH_HEX + 1], text[512], day[DAY + 1];
    struct text names = { .at = names_mem, .cap = sizeof names_mem };
    names_mem[0] = '\0';
    for (size_t i = 0; i < q->n_headers; i++) {
        add(&names, i ? ";" : "");
        add(&names, q->headers[i].name);
    }
    snprintf(day, sizeof day, "%.8s", q->time);
    snprintf(scope, sizeof scope, "%s/%s/s3/aws4_request", day, q->region);
    int r = canonical_hash(q, names_mem, hash, err);
    if (r < 0)
        return r;
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", q->time, scope, hash);
    uint8_t key[HASH], mac[HASH];
    char signature[2 * HASH + 1];
    r = signing_key(c, day, q->region, key, err);
    if (r == 0)
        r = hmac(key, sizeof key, text, mac, err);
    OPENSSL_cleanse(key, sizeof key);
    if (r < 0)
        return r;
    hex_of(mac, sizeof mac, signature);
    int n =
        snprintf(out, S3_AUTHORIZATION_MAX, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
                 c->key, scope, names_mem, signature);
    if (names.full || n < 0 || n >= S3_AUTHORIZATION_MAX)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    return 0;
}
