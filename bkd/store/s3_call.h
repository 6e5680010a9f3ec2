/* One S3 request, signed, tried again while that may help, and its errors in our words. Internal to
 * bkd/store/s3*.
 *
 * Tried again, with backoff, for as long as the URL's timeout says: lost connections, silence, 408, 429, 500,
 * 502, 503, 504 (and the S3 codes of the same meaning), waiting as long as Retry-After asks. A place that has
 * never answered is given up after S3_FIRST_S: a mistyped host is told soon. Any thread. */
#ifndef BKD_STORE_S3_CALL_H
#define BKD_STORE_S3_CALL_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/store/s3_http.h"
#include "bkd/store/s3_sign.h"
#include "bkd/store/s3_url.h"
#include "bkd/store/store.h"

enum { S3_FIRST_S = 15, S3_CALL_PARAMS = 4, S3_CALL_HEADERS = 6 };

/* Is the hash in the names of packs and segments the SHA-256 of their bytes? It depends on the repository's
 * suite. */
enum s3_naming { S3_NAMING_UNKNOWN, S3_NAMING_SHA256, S3_NAMING_OTHER };

struct s3 {
    struct store store;
    struct s3_url url;
    struct s3_http *http;
    const struct world *world;
    pthread_rwlock_t lock; /* guards keys */
    struct s3_credentials keys;
    atomic_bool answered; /* the server has been there */
    atomic_int naming;    /* enum s3_naming */
};

struct s3_call {
    const char *method;
    const char *bucket;
    const char *name;                        /* of the object, below the prefix; NULL: the bucket itself */
    struct s3_pair params[S3_CALL_PARAMS];   /* NULL name ends */
    struct s3_pair headers[S3_CALL_HEADERS]; /* lower-case names, NULL name ends */
    const void *body;
    size_t body_len;
    const char *body_hash; /* hex of its SHA-256 when that is known, or NULL */
    void *out;
    size_t out_cap;
    bool broken; /* break the connection after half of the body; tried once */
};

struct s3_reply {
    struct s3_http_answer http;
    char code[64];     /* of an error: "NoSuchKey" */
    char message[256]; /* the server's own words */
    char region[64];   /* where the bucket is, when it says so */
    bool unsure;       /* an attempt before the last may have been carried out */
};

/* 0 for an answer 2xx. EXISTS for 412, ABSENT for an object (or upload) that is not there, PERM, NOSPACE,
 * USAGE (region), IO... */
int s3_call(struct s3 *s, const struct s3_call *q, struct s3_reply *ret, struct bk_error *err) BK_MUST_CHECK;

/* Is it one of the errors that time may heal? */
bool s3_transient(const struct s3_reply *r);
/* The error of an answer that is not 2xx. */
int s3_explain(struct s3 *s, const struct s3_call *q, const struct s3_reply *r, struct bk_error *err);

#endif
