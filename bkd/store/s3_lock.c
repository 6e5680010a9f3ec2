/* Object lock: retention of objects, and removal where there are versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "bkd/store/s3_inside.h"
#include "bkd/store/s3_xml.h"

enum { ANSWER = 1 << 20, RETENTION = 8192, VERSION_ID = 256, ROUNDS_MAX = 16 };

static const char *mode_of(const struct s3 *s)
{
    return s->url.lock == S3_LOCK_GOVERNANCE ? "GOVERNANCE" : "COMPLIANCE";
}

static int md5_of(const void *data, size_t len, char out[static S3_MD5], struct bk_error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!EVP_Digest(data, len, digest, &n, EVP_md5(), NULL) || n != 16)
        return bk_fail(err, BK_E_UNSUPPORTED, "object lock needs MD5, which this system's libcrypto refuses");
    EVP_EncodeBlock((uint8_t *)out, digest, 16);
    return 0;
}

static int date_of(int64_t unix_s, char out[static S3_DATE], struct bk_error *err)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (unix_s < 0 || unix_s > 253402300799 || !gmtime_r(&t, &tm) ||
        strftime(out, S3_DATE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return bk_fail(err, BK_E_LIMIT, "the time until which an object is kept is out of range");
    return 0;
}

int s3_lock_put(struct s3 *s, const void *data, size_t len, struct s3_call *q, size_t *n,
                struct s3_lock_headers *mem, struct bk_error *err)
{
    if (!s->url.retain_days)
        return 0;
    int64_t until = s->world->now_ns(s->world->ctx) / 1000000000 + (int64_t)s->url.retain_days * 86400;
    int r = md5_of(len ? data : "", len, mem->md5, err);
    if (r == 0)
        r = date_of(until, mem->until, err);
    if (r < 0)
        return r;
    q->headers[(*n)++] = (struct s3_pair){ "content-md5", mem->md5 };
    q->headers[(*n)++] = (struct s3_pair){ "x-amz-object-lock-mode", mode_of(s) };
    q->headers[(*n)++] = (struct s3_pair){ "x-amz-object-lock-retain-until-date", mem->until };
    return 0;
}

static int see_enabled(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    (void)err;
    if (text && strcmp(path, "ObjectLockConfiguration/ObjectLockEnabled") == 0)
        *(bool *)ctx = strcmp(text, "Enabled") == 0;
    return 0;
}

int s3_lock_check(struct s3 *s, struct bk_error *err)
{
    char out[RETENTION];
    bool enabled = false;
    struct s3_reply a;
    struct bk_error why = { 0 };
    struct s3_call q = { .method = "GET", .bucket = s->url.bucket, .out = out, .out_cap = sizeof out };
    q.params[0] = (struct s3_pair){ "object-lock", "" };
    int r = s3_call(s, &q, &a, &why);
    if (r == 0)
        r = s3_xml_parse(out, a.http.out_len, see_enabled, &enabled, &why);
    if (r == 0 && enabled)
        return 0;
    /* without a configuration the answer is 404 (409 from some servers) */
    if (r == 0 || a.http.status == 404 || a.http.status == 409) {
        bk_fail(err, BK_E_UNSUPPORTED, "bucket %s has no object lock", s->url.bucket);
        return bk_hint(err, "object lock can be had only when a bucket is made: bkctl init makes one");
    }
    if (err)
        *err = why;
    return r;
}

static int see_date(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    (void)err;
    if (text && strcmp(path, "Retention/RetainUntilDate") == 0 && strlen(text) < S3_DATE)
        strcpy(ctx, text);
    return 0;
}

/* Is it kept until then already? Dates of this form sort as text does. */
static bool kept(struct s3 *s, const char *name, const char *until)
{
    char out[RETENTION], now[S3_DATE] = "";
    struct s3_reply a;
    struct bk_error ignored = { 0 };
    struct s3_call q = {
        .method = "GET", .bucket = s->url.bucket, .name = name, .out = out, .out_cap = sizeof out
    };
    q.params[0] = (struct s3_pair){ "retention", "" };
    return s3_call(s, &q, &a, &ignored) == 0 &&
           s3_xml_parse(out, a.http.out_len, see_date, now, &ignored) == 0 && strncmp(now, until, 19) >= 0;
}

int s3_retain(struct store *store, const char *name, int64_t until_ns, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    char body[256], md5[S3_MD5], until[S3_DATE];
    struct s3_reply a;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    /* rounded up: never shorter than was asked for */
    int r = date_of(until_ns / 1000000000 + (until_ns % 1000000000 > 0), until, err);
    if (r < 0)
        return r;
    if (kept(s, name, until))
        return 0;
    int n = snprintf(body, sizeof body,
                     "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>%s</Mode>"
                     "<RetainUntilDate>%s</RetainUntilDate></Retention>",
                     mode_of(s), until);
    struct s3_call q = {
        .method = "PUT", .bucket = s->url.bucket, .name = name, .body = body, .body_len = (size_t)n
    };
    r = md5_of(body, q.body_len, md5, err);
    if (r < 0)
        return r;
    q.params[0] = (struct s3_pair){ "retention", "" };
    q.headers[0] = (struct s3_pair){ "content-md5", md5 };
    r = s3_call(s, &q, &a, err);
    return r < 0 ? bk_context(err, "keep object %s until %s", name, until) : 0;
}

struct versions {
    const char *key; /* the whole key of the object */
    char at[S3_XML_TEXT + 1], id[VERSION_ID];
    struct s3 *s;
    const char *bucket, *name;
    unsigned n;
    bool truncated;
};

static int remove_version(struct versions *v, struct bk_error *err)
{
    struct s3_reply a;
    struct bk_error why = { 0 };
    struct s3_call q = { .method = "DELETE", .bucket = v->bucket, .name = v->name };
    q.params[0] = (struct s3_pair){ "versionId", v->id };
    int r = s3_call(v->s, &q, &a, &why);
    v->n++;
    if (r == 0 || r == BK_E_ABSENT)
        return 0;
    if (err)
        *err = why;
    return r == BK_E_PERM
               ? bk_hint(err, "an object under retention can be removed only when its time is over")
               : r;
}

static int see_version(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    struct versions *v = ctx;
    const char *leaf = strrchr(path, '/');
    bool marker = strncmp(path, "ListVersionsResult/DeleteMarker", 31) == 0;
    if (text && strcmp(path, "ListVersionsResult/IsTruncated") == 0)
        v->truncated = strcmp(text, "true") == 0;
    if (!leaf || (!marker && strncmp(path, "ListVersionsResult/Version", 26) != 0))
        return 0;
    if (!text && (strcmp(leaf, "/Version") == 0 || strcmp(leaf, "/DeleteMarker") == 0)) {
        bool ours = strcmp(v->at, v->key) == 0 && v->id[0];
        return ours ? remove_version(v, err) : 0;
    }
    if (text && strcmp(leaf, "/Key") == 0)
        strcpy(v->at, text);
    if (text && strcmp(leaf, "/VersionId") == 0)
        snprintf(v->id, sizeof v->id, "%s", text);
    return 0;
}

int s3_remove_versions(struct s3 *s, const char *bucket, const char *name, struct bk_error *err)
{
    char key[S3_KEY_MAX];
    snprintf(key, sizeof key, "%s%s", s->url.prefix, name);
    bk_auto(free) char *out = malloc(ANSWER);
    bk_auto(free) struct versions *v = malloc(sizeof *v);
    if (!out || !v)
        return bk_fail(err, BK_E_NOMEM, "no memory to remove an object");
    /* what was listed is gone, so the next listing starts with what was left out */
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        *v = (struct versions){ .key = key, .s = s, .bucket = bucket, .name = name };
        struct s3_reply a;
        struct s3_call q = { .method = "GET", .bucket = bucket, .out = out, .out_cap = ANSWER };
        q.params[0] = (struct s3_pair){ "versions", "" };
        q.params[1] = (struct s3_pair){ "prefix", key };
        q.params[2] = (struct s3_pair){ "max-keys", "100" };
        int r = s3_call(s, &q, &a, err);
        if (r == 0)
            r = s3_xml_parse(out, a.http.out_len, see_version, v, err);
        if (r != 0)
            return r;
        if (v->n == 0 || !v->truncated)
            return 0;
    }
    return bk_fail(err, BK_E_LIMIT, "object %s has more versions than can be removed at once", name);
}
