#include "bkd/store/s3_call.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bkd/store/backoff.h"
#include "bkd/store/s3_credentials.h"
#include "bkd/store/s3_xml.h"

enum { PATH_CAP = S3_KEY_MAX * 3 + 8, URL_CAP = S3_HOST_MAX + S3_BUCKET_MAX + PATH_CAP + S3_QUERY_MAX + 16 };
enum { HEADER_CAP = 4096 + 64, SIGNED = S3_CALL_HEADERS + 4 };

/* All that one attempt sends, in one piece of memory. */
struct attempt {
    char host[S3_HOST_MAX + S3_BUCKET_MAX + 2];
    char path[PATH_CAP];
    char query[S3_QUERY_MAX];
    char url[URL_CAP];
    char hash[S3_HASH_HEX + 1];
    char time[S3_TIME];
    char authorization[S3_AUTHORIZATION_MAX];
    struct s3_credentials keys;
    struct s3_pair headers[SIGNED]; /* sorted by name */
    size_t n_headers;
    char lines[SIGNED + 1][HEADER_CAP];
};

static void attempt_wipe(struct attempt *a)
{
    OPENSSL_cleanse(a, sizeof *a);
    free(a);
}
BK_AUTO(struct attempt *, attempt_wipe)

static int address(const struct s3 *s, const struct s3_call *q, struct attempt *a, struct bk_error *err)
{
    char plain[S3_KEY_MAX];
    bool in_host = s->url.virtual_style;
    int n = snprintf(plain, sizeof plain, "/%s%s%s%s", in_host ? "" : q->bucket,
                     in_host || !q->name ? "" : "/", q->name ? s->url.prefix : "", q->name ? q->name : "");
    if (n < 0 || (size_t)n >= sizeof plain)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    snprintf(a->host, sizeof a->host, "%s%s%s", in_host ? q->bucket : "", in_host ? "." : "", s->url.host);
    size_t n_params = 0;
    while (n_params < S3_CALL_PARAMS && q->params[n_params].name)
        n_params++;
    int r = s3_encode(plain, true, a->path, sizeof a->path, err);
    if (r == 0)
        r = s3_query(q->params, n_params, a->query, sizeof a->query, err);
    if (r == 0)
        snprintf(a->url, sizeof a->url, "%s://%s%s%s%s", s->url.tls ? "https" : "http", a->host, a->path,
                 a->query[0] ? "?" : "", a->query);
    return r;
}

static void add_header(struct attempt *a, const char *name, const char *value)
{
    size_t k = a->n_headers++;
    for (; k > 0 && strcmp(name, a->headers[k - 1].name) < 0; k--)
        a->headers[k] = a->headers[k - 1];
    a->headers[k] = (struct s3_pair){ name, value };
}

static int sign(struct s3 *s, const struct s3_call *q, struct attempt *a, struct bk_error *err)
{
    s3_time(s->world->now_ns(s->world->ctx) / 1000000000, a->time);
    pthread_rwlock_rdlock(&s->lock);
    a->keys = s->keys;
    pthread_rwlock_unlock(&s->lock);
    a->n_headers = 0;
    add_header(a, "host", a->host);
    add_header(a, "x-amz-date", a->time);
    add_header(a, "x-amz-content-sha256", a->hash);
    if (a->keys.token[0])
        add_header(a, "x-amz-security-token", a->keys.token);
    for (size_t i = 0; i < S3_CALL_HEADERS && q->headers[i].name; i++)
        add_header(a, q->headers[i].name, q->headers[i].value);
    struct s3_to_sign t = { .method = q->method,
                            .path = a->path,
                            .query = a->query,
                            .headers = a->headers,
                            .n_headers = a->n_headers,
                            .payload_hash = a->hash,
                            .region = s->url.region,
                            .time = a->time };
    return s3_sign(&a->keys, &t, a->authorization, err);
}

static void request_of(const struct s3_call *q, struct attempt *a, struct s3_http_request *ret)
{
    *ret = (struct s3_http_request){ .method = q->method,
                                     .url = a->url,
                                     .body = q->body,
                                     .body_len = q->body_len,
                                     .out = q->out,
                                     .out_cap = q->out_cap,
                                     .broken = q->broken };
    size_t n = 0;
    for (size_t i = 0; i < a->n_headers; i++) {
        if (strcmp(a->headers[i].name, "host") == 0)
            continue; /* libcurl's, the same */
        snprintf(a->lines[n], HEADER_CAP, "%s: %s", a->headers[i].name, a->headers[i].value);
        ret->headers[n] = a->lines[n];
        n++;
    }
    snprintf(a->lines[n], HEADER_CAP, "authorization: %s", a->authorization);
    ret->headers[n] = a->lines[n];
}

static void copy(char *out, size_t cap, const char *s)
{
    size_t n = 0;
    for (; s[n] && n + 1 < cap; n++)
        out[n] = (unsigned char)s[n] < ' ' || s[n] == 127 ? ' ' : s[n];
    out[n] = '\0';
}

static int see_error(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    (void)err;
    struct s3_reply *r = ctx;
    if (!text)
        return 0;
    if (strcmp(path, "Error/Code") == 0)
        copy(r->code, sizeof r->code, text);
    else if (strcmp(path, "Error/Message") == 0)
        copy(r->message, sizeof r->message, text);
    else if (strcmp(path, "Error/Region") == 0)
        copy(r->region, sizeof r->region, text);
    return 0;
}

/* A body that is cut or no XML leaves the status to speak for itself. */
static void read_error(struct s3_reply *r)
{
    struct bk_error ignored = { 0 };
    r->code[0] = r->message[0] = r->region[0] = '\0';
    (void)!s3_xml_parse(r->http.detail, r->http.detail_len, see_error, r, &ignored);
    if (!r->region[0])
        copy(r->region, sizeof r->region, r->http.region);
}

/* Keys of a role run out in the middle of a long run. */
static bool renewed(struct s3 *s, const struct s3_reply *r)
{
    struct s3_credentials fresh;
    if (strcmp(r->code, "ExpiredToken") != 0 && strcmp(r->code, "InvalidToken") != 0)
        return false;
    if (s3_credentials_load(s->url.profile, &fresh, NULL) < 0)
        return false;
    pthread_rwlock_wrlock(&s->lock);
    bool other = strcmp(fresh.key, s->keys.key) != 0 || strcmp(fresh.token, s->keys.token) != 0;
    s->keys = fresh;
    pthread_rwlock_unlock(&s->lock);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return other;
}

/* 0 an answer 2xx, 1 try again, else the error that stays. */
static int one_attempt(struct s3 *s, const struct s3_call *q, struct attempt *a, struct s3_reply *ret,
                       struct bk_error *err)
{
    struct s3_http_request h;
    bool transient = false;
    int r = sign(s, q, a, err);
    if (r < 0)
        return r;
    request_of(q, a, &h);
    r = s3_http_do(s->http, &h, &ret->http, &transient, err);
    if (r < 0) {
        bk_context(err, "%s", s->store.url);
        return transient ? 1 : r;
    }
    atomic_store(&s->answered, true);
    if (ret->http.status / 100 == 2)
        return 0;
    read_error(ret);
    r = s3_explain(s, q, ret, err);
    return s3_transient(ret) || renewed(s, ret) ? 1 : r;
}

static int give_up(const struct backoff *b, struct bk_error *err)
{
    err->code = BK_E_UNREACHABLE;
    return bk_context(err, "given up after %u seconds and %u attempts", backoff_elapsed_s(b), b->n);
}

int s3_call(struct s3 *s, const struct s3_call *q, struct s3_reply *ret, struct bk_error *err)
{
    struct bk_error own = { 0 };
    struct bk_error *why = err ? err : &own;
    bk_auto(attempt_wipe) struct attempt *a = malloc(sizeof *a);
    if (!a)
        return bk_fail(err, BK_E_NOMEM, "no memory for a request");
    int r = address(s, q, a, why);
    if (r == 0 && q->body_hash)
        snprintf(a->hash, sizeof a->hash, "%s", q->body_hash);
    else if (r == 0)
        r = s3_sha256_hex(q->body_len ? q->body : "", q->body_len, a->hash, why);
    if (r < 0)
        return r;
    struct backoff_opts o = BACKOFF_DEFAULT;
    o.bound_ms = s->url.timeout_s * 1000;
    if (!atomic_load(&s->answered) && o.bound_ms > S3_FIRST_S * 1000)
        o.bound_ms = S3_FIRST_S * 1000;
    struct backoff b;
    backoff_start(&b, &o, s->world);
    ret->unsure = false;
    for (;;) {
        r = one_attempt(s, q, a, ret, why);
        if (r <= 0 || q->broken)
            return r <= 0 ? r : why->code;
        ret->unsure = true;
        if (!backoff_wait(&b, ret->http.retry_after_s * 1000))
            return give_up(&b, why);
    }
}
