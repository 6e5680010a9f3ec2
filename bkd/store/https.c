#include "bkd/store/https.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bkd/store/https_call.h"
#include "bkd/store/retry.h"
#include "bkd/store/s3_sign.h"

enum { PARALLEL = 4, PATH_CAP = STORE_NAME_MAX + 8, LINE_CAP = 96 };

/* "/o/NAME" */
static int path_of(const char *name, char out[static PATH_CAP], int code, struct bk_error *err)
{
    if (!store_name_valid(name))
        return bk_fail(err, code, "'%s' is no object name", name);
    snprintf(out, PATH_CAP, "/o/%s", name);
    return 0;
}

static int put(struct store *store, const char *name, const void *data, size_t len, bool broken,
               struct bk_error *err)
{
    struct https *s = (struct https *)store;
    char path[PATH_CAP], hash[S3_HASH_HEX + 1] = "", line[LINE_CAP];
    struct s3_http_answer a;
    bool unsure = false;
    int r = path_of(name, path, BK_E_USAGE, err);
    if (r == 0 && len > store->max_object_bytes)
        r = bk_fail(err, BK_E_LIMIT, "object %s is larger than the server takes", name);
    if (r == 0)
        r = s3_sha256_hex(len ? data : "", len, hash, err);
    if (r < 0)
        return r;
    snprintf(line, sizeof line, "X-Bkd-Sha256: %s", hash);
    struct https_call q = { .method = "PUT",
                            .path = path,
                            .headers = { "If-None-Match: *", line },
                            .body = data,
                            .body_len = len,
                            .broken = broken };
    r = https_call(s, &q, &a, &unsure, err);
    return r == BK_E_EXISTS && unsure ? retry_settle_put(store, name, data, len, err) : r;
}

static int https_put(struct store *store, const char *name, const void *data, size_t len,
                     struct bk_error *err)
{
    return put(store, name, data, len, false, err);
}

static int https_put_broken(struct store *store, const char *name, const void *data, size_t len,
                            struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    if (put(store, name, data, len, true, &ignored) == 0)
        return bk_fail(err, BK_E_FAILED, "the server took an object of which half was sent");
    return 0;
}

static int https_stat(struct store *store, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct https *s = (struct https *)store;
    char path[PATH_CAP];
    struct s3_http_answer a;
    bool unsure;
    int r = path_of(name, path, BK_E_ABSENT, err);
    struct https_call q = { .method = "HEAD", .path = path };
    if (r == 0)
        r = https_call(s, &q, &a, &unsure, err);
    if (r < 0)
        return r;
    if (!a.has_length)
        return bk_fail(err, BK_E_CORRUPT, "the server does not say how many bytes object %s has", name);
    *ret_size = a.length;
    return 0;
}

static int https_get(struct store *store, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct https *s = (struct https *)store;
    char path[PATH_CAP], range[LINE_CAP];
    struct s3_http_answer a;
    bool unsure;
    uint64_t size, end;
    if (len == 0) {
        int there = https_stat(store, name, &size, err);
        if (there == 0)
            *ret_len = 0;
        return there;
    }
    int r = path_of(name, path, BK_E_ABSENT, err);
    if (r < 0)
        return r;
    if (__builtin_add_overflow(offset, len - 1, &end))
        end = UINT64_MAX;
    snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64, offset, end);
    struct https_call q = { .method = "GET", .path = path, .headers = { range }, .out = out, .out_cap = len };
    r = https_call(s, &q, &a, &unsure, err);
    if (r < 0 && a.status == 416) {
        bk_error_clear(err);
        *ret_len = 0;
        return 0;
    }
    if (r < 0)
        return r;
    uint64_t left = a.range_size >= offset ? a.range_size - offset : 0;
    if (a.status != 206 || !a.has_range || a.range_first != offset || a.out_len != (left < len ? left : len))
        return bk_fail(err, BK_E_CORRUPT, "the server sent another part of object %s than was asked for",
                       name);
    *ret_len = a.out_len;
    return 0;
}

static int https_remove(struct store *store, const char *name, struct bk_error *err)
{
    struct https *s = (struct https *)store;
    char path[PATH_CAP];
    struct s3_http_answer a;
    bool unsure;
    int r = path_of(name, path, BK_E_USAGE, err);
    struct https_call q = { .method = "DELETE", .path = path };
    return r == 0 ? https_call(s, &q, &a, &unsure, err) : r;
}

/* By the Date of an answer: whole seconds. */
static int https_clock(struct store *store, int64_t *ret_ahead_ns, struct bk_error *err)
{
    struct https *s = (struct https *)store;
    char out[512];
    struct s3_http_answer a = { 0 };
    bool unsure;
    struct https_call q = { .method = "GET", .path = "", .out = out, .out_cap = sizeof out };
    int r = https_call(s, &q, &a, &unsure, err);
    if (r == 0 && !a.date_s)
        r = bk_fail(err, BK_E_UNSUPPORTED, "the server does not tell its time");
    if (r == 0)
        *ret_ahead_ns = a.date_s * 1000000000 - s->world->now_ns(s->world->ctx);
    return r;
}

static void https_free(struct store *store)
{
    struct https *s = (struct https *)store;
    s3_http_free(s->http);
    OPENSSL_cleanse(s->authorization, sizeof s->authorization);
    free(s);
}

static const struct store_ops https_ops = {
    .put = https_put,
    .get = https_get,
    .stat = https_stat,
    .list = https_list,
    .remove = https_remove,
    .put_broken = https_put_broken,
    .clock = https_clock,
    .free = https_free,
};

/* What an init that failed or was killed leaves may be there, so that it can be run again. */
static int may_be_there(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    const struct https *s = ctx;
    (void)size;
    if (strncmp(name, "keys/", 5) == 0 || strncmp(name, "keyring/", 8) == 0)
        return 0;
    return bk_fail(err, BK_E_EXISTS, "there are objects at %s already", s->store.url);
}

/* Does the server speak our version, and how large may an object be? */
static int greet(struct https *s, struct bk_error *err)
{
    char out[512], role[32];
    struct s3_http_answer a;
    bool unsure;
    unsigned version = 0;
    uint64_t object = 0;
    struct https_call q = { .method = "GET", .path = "", .out = out, .out_cap = sizeof out - 1 };
    int r = https_call(s, &q, &a, &unsure, err);
    if (r < 0)
        return r;
    out[a.out_len] = '\0';
    int n = sscanf(out, "{\"version\":%9u,\"role\":\"%31[a-z]\",\"object\":%19" SCNu64 "}", &version, role,
                   &object);
    if (n < 1)
        return bk_fail(err, BK_E_UNSUPPORTED, "https://%s is no bkd", s->url.host);
    if (version != 1 || n != 3)
        return bk_fail(err, BK_E_VERSION, "the server speaks version %u of the protocol, not 1", version);
    s->store.max_object_bytes = object;
    return 0;
}

int store_https_open(const char *url, bool create, const struct world *w, struct store **ret,
                     struct bk_error *err)
{
    char token[HTTPS_TOKEN_MAX + 1];
    bk_auto(store_free) struct store *store = calloc(1, sizeof(struct https));
    if (!store)
        return bk_fail(err, BK_E_NOMEM, "no memory for an HTTPS store");
    struct https *s = (struct https *)store;
    *store = (struct store){ .ops = &https_ops,
                             .can = STORE_CAN_LIST | STORE_CAN_REMOVE | STORE_CAN_PUT_IF_ABSENT,
                             .remote = true,
                             .parallel = PARALLEL };
    s->world = w;
    if ((size_t)snprintf(store->url, sizeof store->url, "%s", url) >= sizeof store->url)
        return bk_fail(err, BK_E_LIMIT, "the repository's URL is too long");
    int r = https_url_parse(url, &s->url, err);
    if (r == 0)
        r = https_token(&s->url, token, err);
    if (r == 0 && token[0])
        snprintf(s->authorization, sizeof s->authorization, "Authorization: Bearer %s", token);
    if (r == 0)
        r = s3_http_new(s->url.ca, s->url.connections, s->url.timeout_s, &s->http, err);
    if (r == 0 && s->url.cert[0])
        r = s3_http_certificate(s->http, s->url.cert, s->url.key, err);
    if (r == 0)
        r = greet(s, err);
    if (r == 0 && create)
        r = store_list(store, "", may_be_there, s, err);
    OPENSSL_cleanse(token, sizeof token);
    if (r == 0)
        *ret = bk_steal(store);
    return r;
}
