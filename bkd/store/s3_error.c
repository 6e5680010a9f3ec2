/* What S3's errors mean for the one who reads them. */
#include <stdio.h>
#include <string.h>

#include "bkd/store/s3_call.h"

enum { SKEW_S = 300 };

static bool is(const struct s3_reply *r, const char *code)
{
    return strcmp(r->code, code) == 0;
}

bool s3_transient(const struct s3_reply *r)
{
    static const char *const codes[] = { "SlowDown",
                                         "RequestTimeout",
                                         "InternalError",
                                         "ServiceUnavailable",
                                         "Throttling",
                                         "OperationAborted",
                                         "ConditionalRequestConflict",
                                         "BadDigest",
                                         "XAmzContentSHA256Mismatch",
                                         "IncompleteBody" };
    static const int statuses[] = { 408, 409, 425, 429, 500, 502, 503, 504 };
    for (size_t i = 0; i < BK_COUNT(codes); i++)
        if (is(r, codes[i]))
            return true;
    /* other conflicts (BucketNotEmpty, BucketAlreadyExists) stay what they are */
    for (size_t i = 0; i < BK_COUNT(statuses); i++)
        if (r->http.status == statuses[i] && (statuses[i] != 409 || !r->code[0]))
            return true;
    return false;
}

struct told {
    int code;
    const char *hint; /* message id */
};

static struct told meaning(const struct s3_call *q, const struct s3_reply *r)
{
    static const struct {
        const char *code;
        struct told told;
    } known[] = {
        { "NoSuchBucket", { BK_E_FAILED, N_("make the bucket, or check its name in the repository's URL") } },
        { "NoSuchKey", { BK_E_ABSENT, NULL } },
        { "NoSuchUpload", { BK_E_ABSENT, NULL } },
        { "NoSuchVersion", { BK_E_ABSENT, NULL } },
        { "PreconditionFailed", { BK_E_EXISTS, NULL } },
        { "QuotaExceeded",
          { BK_E_NOSPACE, N_("raise the quota, or make room with bkctl forget and bkctl prune") } },
        { "EntityTooLarge", { BK_E_LIMIT, NULL } },
        { "InvalidAccessKeyId",
          { BK_E_PERM, N_("the server does not know this access key: check AWS_ACCESS_KEY_ID "
                          "or the profile") } },
        { "SignatureDoesNotMatch",
          { BK_E_PERM, N_("the secret key is wrong, or the region is: check "
                          "AWS_SECRET_ACCESS_KEY and ?region=") } },
        { "ExpiredToken", { BK_E_PERM, N_("the session token has run out: get new credentials") } },
        { "NotImplemented", { BK_E_UNSUPPORTED, NULL } },
        { "InvalidBucketState", { BK_E_UNSUPPORTED, N_("the bucket was made without object lock") } },
        { "InvalidRequest", { BK_E_UNSUPPORTED, NULL } },
        { "ObjectLockConfigurationNotFoundError",
          { BK_E_UNSUPPORTED, N_("the bucket was made without object lock") } },
    };
    for (size_t i = 0; i < BK_COUNT(known); i++)
        if (is(r, known[i].code))
            return known[i].told;
    switch (r->http.status) {
    case 404:
        /* HEAD has no body to tell which of the two is missing */
        return (struct told){ q->name ? BK_E_ABSENT : BK_E_FAILED, NULL };
    case 412:
        return (struct told){ BK_E_EXISTS, NULL };
    case 401:
    case 403:
        return (struct told){ BK_E_PERM,
                              N_("the access key may not do this: check it and the bucket's policy") };
    case 413:
        return (struct told){ BK_E_LIMIT, NULL };
    case 507:
        return (struct told){ BK_E_NOSPACE, NULL };
    case 501:
        return (struct told){ BK_E_UNSUPPORTED, NULL };
    default:
        return (struct told){ BK_E_IO, NULL };
    }
}

/* Seconds that the server's clock is ahead of ours; 0 when it does not say. */
static int64_t skew(const struct s3 *s, const struct s3_reply *r)
{
    return r->http.date_s ? r->http.date_s - s->world->now_ns(s->world->ctx) / 1000000000 : 0;
}

static bool wrong_region(const struct s3 *s, const struct s3_reply *r)
{
    bool said = r->region[0] && strcmp(r->region, s->url.region) != 0;
    return is(r, "PermanentRedirect") || is(r, "AuthorizationHeaderMalformed") ||
           is(r, "IllegalLocationConstraintException") || r->http.status == 301 || r->http.status == 307 ||
           (said && r->http.status == 400);
}

int s3_explain(struct s3 *s, const struct s3_call *q, const struct s3_reply *r, struct bk_error *err)
{
    struct told t = meaning(q, r);
    int64_t off = skew(s, r);
    bool far = off > SKEW_S || off < -SKEW_S;
    bool region = wrong_region(s, r);
    if (region)
        t.code = BK_E_USAGE;
    const char *gap = r->code[0] ? " " : "", *colon = r->message[0] ? ": " : "";
    if (q->name)
        bk_fail(err, t.code, "%s object %s%s in bucket %s: HTTP %d%s%s%s%s", q->method, s->url.prefix,
                q->name, q->bucket, r->http.status, gap, r->code, colon, r->message);
    else
        bk_fail(err, t.code, "%s bucket %s: HTTP %d%s%s%s%s", q->method, q->bucket, r->http.status, gap,
                r->code, colon, r->message);
    if (region && r->region[0])
        return bk_hint(err, "the bucket is in another region: use ?region=%s", r->region);
    if (region)
        return bk_hint(err,
                       "the bucket is in another region or at another host: check ?region= and the host");
    if (t.code == BK_E_PERM && (far || is(r, "RequestTimeTooSkewed")))
        return off < 0
                   ? bk_hint(err,
                             "the server's clock is %lld seconds behind this machine's: set the wrong one",
                             -(long long)off)
                   : bk_hint(err,
                             "the server's clock is %lld seconds ahead of this machine's: set the wrong one",
                             (long long)off);
    return t.hint ? bk_hint(err, "%s", bk_text(t.hint)) : t.code;
}
