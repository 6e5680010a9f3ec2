#include "bkd/store/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bkd/store/retry.h"
#include "bkd/store/s3_credentials.h"
#include "bkd/store/s3_inside.h"

enum { PARALLEL_MAX = 8 };

bool s3_named_by_content(const char *name)
{
    return strncmp(name, "data/", 5) == 0 || strncmp(name, "meta/", 5) == 0 ||
           strncmp(name, "index/", 6) == 0;
}

const char *s3_bucket_of(const struct s3 *s, const char *name)
{
    return s->url.control[0] && !s3_named_by_content(name) ? s->url.control : s->url.bucket;
}

/* Sessions and what a probe tries come and go: copies that cannot be removed would only pile up. */
static bool has_rescue_copy(const struct s3 *s, const char *name)
{
    return s->url.lock != S3_LOCK_NONE && !s3_named_by_content(name) && strncmp(name, "sessions/", 9) != 0 &&
           strncmp(name, "probe/", 6) != 0;
}

static bool is_locked(const struct s3 *s, const char *bucket)
{
    return s->url.lock != S3_LOCK_NONE && strcmp(bucket, s->url.bucket) == 0;
}

static int head(struct s3 *s, const char *bucket, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct s3_reply a;
    struct s3_call q = { .method = "HEAD", .bucket = bucket, .name = name };
    int r = s3_call(s, &q, &a, err);
    if (r < 0)
        return r;
    if (!a.http.has_length)
        return bk_fail(err, BK_E_CORRUPT, "the server does not say how many bytes object %s has", name);
    *ret_size = a.http.length;
    return 0;
}

/* The hash that the signature needs is in the name already where packs are named by SHA-256: not computing it
 * again saves a tenth of a backup's processor time. The first object tells; the server refuses bytes of
 * another hash anyway. */
static int hash_of_body(struct s3 *s, const char *name, const void *data, size_t len,
                        char mem[static S3_HASH_HEX + 1], struct s3_call *q, struct bk_error *err)
{
    const char *last = strrchr(name, '/');
    int naming = atomic_load(&s->naming);
    if (!s3_named_by_content(name) || strlen(++last) != S3_HASH_HEX || naming == S3_NAMING_OTHER)
        return 0;
    q->body_hash = last;
    if (naming == S3_NAMING_SHA256)
        return 0;
    int r = s3_sha256_hex(len ? data : "", len, mem, err);
    if (r < 0)
        return r;
    atomic_store(&s->naming, strcmp(mem, last) == 0 ? S3_NAMING_SHA256 : S3_NAMING_OTHER);
    q->body_hash = mem;
    return 0;
}

static int put_at(struct s3 *s, const char *bucket, const char *name, const void *data, size_t len,
                  struct bk_error *err)
{
    struct s3_reply a = { 0 };
    struct s3_lock_headers mem;
    char hash[S3_HASH_HEX + 1];
    struct s3_call q = { .method = "PUT", .bucket = bucket, .name = name, .body = data, .body_len = len };
    size_t n = 0;
    q.headers[n++] = (struct s3_pair){ "if-none-match", "*" };
    int r = 0;
    if (is_locked(s, bucket)) {
        /* where there are versions some servers overlook the condition and would keep the bytes twice */
        uint64_t size;
        struct bk_error why = { 0 };
        r = head(s, bucket, name, &size, &why);
        if (r == 0)
            return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
        r = s3_lock_put(s, data, len, &q, &n, &mem, err);
    }
    if (r == 0)
        r = hash_of_body(s, name, data, len, hash, &q, err);
    if (r == 0)
        r = s3_call(s, &q, &a, err);
    if (r == BK_E_EXISTS && a.unsure)
        r = retry_settle_put(&s->store, name, data, len, err);
    return r;
}

/* The copy in the locked bucket: that it is there already is as good. */
static int put_rescue_copy(struct s3 *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = put_at(s, s->url.bucket, name, data, len, &why);
    if (r == 0 || r == BK_E_EXISTS)
        return 0;
    if (err)
        *err = why;
    return bk_context(err, "keep a copy of %s in the locked bucket", name);
}

static int s3_put(struct store *store, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    const char *bucket = s3_bucket_of(s, name);
    if (len > S3_PART) {
        uint64_t size;
        struct bk_error why = { 0 };
        if (!s3_named_by_content(name))
            return bk_fail(err, BK_E_LIMIT,
                           "object %s has %zu bytes, more than the %zu that can be put on a condition", name,
                           len, S3_PART);
        if (head(s, bucket, name, &size, &why) == 0)
            return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
        return s3_put_parts(s, bucket, name, data, len, err);
    }
    int r = put_at(s, bucket, name, data, len, err);
    if (r == 0 && has_rescue_copy(s, name))
        r = put_rescue_copy(s, name, data, len, err);
    return r;
}

/* Does the answer hold the bytes that were asked for, all of them? */
static int check_range(const struct s3_http_answer *h, const char *name, uint64_t offset, size_t len,
                       struct bk_error *err)
{
    if (h->status == 200 && offset == 0)
        return 0;
    if (h->status == 206 && h->has_range && h->range_first == offset && h->range_size >= offset) {
        uint64_t left = h->range_size - offset;
        if (h->out_len == (left < len ? left : len))
            return 0;
    }
    if (h->status == 200)
        return bk_fail(err, BK_E_UNSUPPORTED, "the server does not read parts of objects (Range)");
    return bk_fail(err, BK_E_CORRUPT, "the server sent another part of object %s than was asked for", name);
}

static int s3_get(struct store *store, const char *name, uint64_t offset, void *out, size_t len,
                  size_t *ret_len, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    struct s3_reply a;
    char range[64];
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_ABSENT, "'%s' is no object name", name);
    const char *bucket = s3_bucket_of(s, name);
    if (len == 0) {
        uint64_t size;
        int there = head(s, bucket, name, &size, err);
        if (there == 0)
            *ret_len = 0;
        return there;
    }
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)offset,
             (unsigned long long)offset + len - 1);
    struct s3_call q = { .method = "GET", .bucket = bucket, .name = name, .out = out, .out_cap = len };
    q.headers[0] = (struct s3_pair){ "range", range };
    int r = s3_call(s, &q, &a, err);
    if (r < 0 && a.http.status == 416) {
        bk_error_clear(err);
        *ret_len = 0;
        return 0;
    }
    if (r == 0)
        r = check_range(&a.http, name, offset, len, err);
    if (r == 0)
        *ret_len = a.http.out_len;
    return r;
}

static int s3_stat(struct store *store, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_ABSENT, "'%s' is no object name", name);
    return head(s, s3_bucket_of(s, name), name, ret_size, err);
}

static int s3_list(struct store *store, const char *prefix, store_list_fn *fn, void *ctx,
                   struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    const char *buckets[2] = { s->url.bucket, s->url.control };
    /* a prefix that names the kind tells the bucket */
    const char *only = strchr(prefix, '/') ? s3_bucket_of(s, prefix) : NULL;
    for (size_t i = 0; i < 2 && buckets[i][0]; i++) {
        if (only && only != buckets[i])
            continue;
        int r = s3_list_bucket(s, buckets[i], prefix, fn, ctx, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int remove_plain(struct s3 *s, const char *bucket, const char *name, struct bk_error *err)
{
    struct s3_reply a;
    struct s3_call q = { .method = "DELETE", .bucket = bucket, .name = name };
    struct bk_error why = { 0 };
    int r = s3_call(s, &q, &a, &why);
    if (r == BK_E_ABSENT)
        return 0;
    if (r < 0 && err)
        *err = why;
    return r;
}

static int s3_remove(struct store *store, const char *name, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    const char *bucket = s3_bucket_of(s, name);
    if (is_locked(s, bucket))
        return s3_remove_versions(s, bucket, name, err);
    int r = remove_plain(s, bucket, name, err);
    if (r == 0 && has_rescue_copy(s, name)) {
        /* a copy that is still retained stays: that is what it is for */
        struct bk_error why = { 0 };
        r = s3_remove_versions(s, s->url.bucket, name, &why);
        if (r == BK_E_PERM)
            r = 0;
        else if (r < 0 && err)
            *err = why;
    }
    return r;
}

static int s3_put_broken(struct store *store, const char *name, const void *data, size_t len,
                         struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    struct s3_reply a;
    struct bk_error why = { 0 };
    struct s3_call q = { .method = "PUT",
                         .bucket = s3_bucket_of(s, name),
                         .name = name,
                         .body = data,
                         .body_len = len,
                         .broken = true };
    int r = s3_call(s, &q, &a, &why);
    if (r == 0)
        return bk_fail(err, BK_E_FAILED, "the server took an object of which half was sent");
    return 0;
}

/* By the Date of an answer: whole seconds. */
static int s3_clock(struct store *store, int64_t *ret_ahead_ns, struct bk_error *err)
{
    struct s3 *s = (struct s3 *)store;
    struct s3_reply a = { 0 };
    struct s3_call q = { .method = "HEAD", .bucket = s->url.bucket };
    int r = s3_call(s, &q, &a, err);
    if (r == 0 && !a.http.date_s)
        r = bk_fail(err, BK_E_UNSUPPORTED, "the server does not tell its time");
    if (r == 0)
        *ret_ahead_ns = a.http.date_s * 1000000000 - s->world->now_ns(s->world->ctx);
    return r;
}

static void s3_free(struct store *store)
{
    struct s3 *s = (struct s3 *)store;
    s3_http_free(s->http);
    OPENSSL_cleanse(&s->keys, sizeof s->keys);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

static const struct store_ops s3_ops = {
    .put = s3_put,
    .get = s3_get,
    .stat = s3_stat,
    .list = s3_list,
    .remove = s3_remove,
    .put_broken = s3_put_broken,
    .clock = s3_clock,
    .free = s3_free,
};
static const struct store_ops s3_locked_ops = {
    .put = s3_put,
    .get = s3_get,
    .stat = s3_stat,
    .list = s3_list,
    .remove = s3_remove,
    .retain = s3_retain,
    .put_broken = s3_put_broken,
    .clock = s3_clock,
    .free = s3_free,
};

static int make_bucket(struct s3 *s, const char *bucket, struct bk_error *err)
{
    char body[256];
    struct s3_reply a;
    struct s3_call q = { .method = "PUT", .bucket = bucket };
    if (strcmp(s->url.region, "us-east-1") != 0) {
        q.body = body;
        q.body_len =
            (size_t)snprintf(body, sizeof body,
                             "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                             "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                             s->url.region);
    }
    if (is_locked(s, bucket))
        q.headers[0] = (struct s3_pair){ "x-amz-bucket-object-lock-enabled", "true" };
    int r = s3_call(s, &q, &a, err);
    /* somebody else was quicker */
    return r < 0 && strcmp(a.code, "BucketAlreadyOwnedByYou") == 0 ? 0 : r;
}

/* Is the bucket there, and may we read it? */
static int check_bucket(struct s3 *s, const char *bucket, bool create, struct bk_error *err)
{
    enum { ANSWER = 64 << 10 };
    bk_auto(free) void *out = malloc(ANSWER);
    if (!out)
        return bk_fail(err, BK_E_NOMEM, "no memory for an S3 store");
    struct s3_reply a = { 0 };
    struct s3_call q = { .method = "GET", .bucket = bucket, .out = out, .out_cap = ANSWER };
    q.params[0] = (struct s3_pair){ "list-type", "2" };
    q.params[1] = (struct s3_pair){ "max-keys", "1" };
    q.params[2] = (struct s3_pair){ "prefix", s->url.prefix };
    struct bk_error why = { 0 };
    int r = s3_call(s, &q, &a, &why);
    bool missing = r < 0 && strcmp(a.code, "NoSuchBucket") == 0;
    if (missing && create)
        return make_bucket(s, bucket, err);
    if (r < 0 && err)
        *err = why;
    if (missing) {
        bk_fail(err, BK_E_ABSENT, "there is no bucket %s at %s", bucket, s->url.host);
        r = bk_hint(err, "check the bucket's name; bkctl init makes the bucket if it may");
    }
    return r;
}

/* What an init that failed or was killed leaves may be there, so that it can be run again. */
static int may_be_there(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    const struct s3 *s = ctx;
    (void)size;
    if (strncmp(name, "keys/", 5) == 0 || strncmp(name, "keyring/", 8) == 0)
        return 0;
    bk_fail(err, BK_E_EXISTS, "there are objects at %s already", s->store.url);
    return bk_hint(err,
                   "a new repository needs a bucket or prefix of its own; use an existing one without init");
}

static int open_place(struct s3 *s, bool create, struct bk_error *err)
{
    int r = check_bucket(s, s->url.bucket, create, err);
    if (r == 0 && s->url.control[0])
        r = check_bucket(s, s->url.control, create, err);
    if (r == 0 && s->url.lock != S3_LOCK_NONE)
        r = s3_lock_check(s, err);
    if (r == 0 && create)
        r = store_list(&s->store, "", may_be_there, s, err);
    return r;
}

int store_s3_open(const char *url, bool create, const struct world *w, struct store **ret,
                  struct bk_error *err)
{
    bk_auto(store_free) struct store *store = calloc(1, sizeof(struct s3));
    if (!store)
        return bk_fail(err, BK_E_NOMEM, "no memory for an S3 store");
    struct s3 *s = (struct s3 *)store;
    *store = (struct store){ .ops = &s3_ops,
                             .can = STORE_CAN_LIST | STORE_CAN_REMOVE | STORE_CAN_PUT_IF_ABSENT,
                             .max_object_bytes = (uint64_t)S3_PART * S3_PARTS_MAX,
                             .remote = true };
    s->world = w;
    pthread_rwlock_init(&s->lock, NULL);
    if ((size_t)snprintf(store->url, sizeof store->url, "%s", url) >= sizeof store->url)
        return bk_fail(err, BK_E_LIMIT, "the repository's URL is too long");
    int r = s3_url_parse(url, &s->url, err);
    if (r < 0)
        return r;
    if (s->url.lock != S3_LOCK_NONE) {
        store->ops = &s3_locked_ops;
        store->can |= STORE_CAN_RETAIN;
    }
    store->parallel = s->url.connections < PARALLEL_MAX ? s->url.connections : PARALLEL_MAX;
    r = s3_credentials_load(s->url.profile, &s->keys, err);
    if (r == 0)
        r = s3_http_new(s->url.ca, s->url.connections, s->url.timeout_s, &s->http, err);
    if (r == 0)
        r = open_place(s, create, err);
    if (r == 0)
        *ret = bk_steal(store);
    return r;
}
