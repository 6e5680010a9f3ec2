/* AWS Signature Version 4, as S3 takes it: the Authorization header of one request. Pure: no clock, no state.
 *
 * Our own rather than libcurl's --aws-sigv4, which in 7.88 signs neither a query that is not sorted nor
 * arguments without a value, and cannot be checked against the published vectors alone.
 * Source: AWS General Reference, "Signature Version 4 signing process". Any thread. */
#ifndef BKD_STORE_S3_SIGN_H
#define BKD_STORE_S3_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/base/error.h"

enum { S3_HASH_HEX = 64, S3_TIME = 17, S3_AUTHORIZATION_MAX = 1024, S3_QUERY_MAX = 4096, S3_KEY_MAX = 1024 };

struct s3_credentials {
    char key[256];    /* access key id */
    char secret[256]; /* secret access key */
    char token[4096]; /* of a session; "" none */
};

struct s3_pair {
    const char *name, *value;
};

struct s3_to_sign {
    const char *method;
    const char *path;  /* encoded, from '/' */
    const char *query; /* as s3_query makes it */
    const struct s3_pair
        *headers; /* those to sign, lower-case names, sorted: host and x-amz-... among them */
    size_t n_headers;
    const char *payload_hash; /* hex, or UNSIGNED-PAYLOAD */
    const char *region;
    const char *time; /* as s3_time makes it */
};

/* "20130524T000000Z" */
void s3_time(int64_t unix_s, char out[static S3_TIME]);
/* Lower-case hex of the SHA-256. */
int s3_sha256_hex(const void *data, size_t len, char out[static S3_HASH_HEX + 1],
                  struct bk_error *err) BK_MUST_CHECK;
/* Percent-encoded as the signature wants it: all but unreserved characters, '/' kept when asked. LIMIT. */
int s3_encode(const char *s, bool keep_slash, char *out, size_t cap, struct bk_error *err) BK_MUST_CHECK;
/* "a=1&b=": sorted by name, encoded. LIMIT. */
int s3_query(const struct s3_pair *params, size_t n, char *out, size_t cap,
             struct bk_error *err) BK_MUST_CHECK;
/* The value of the Authorization header. */
int s3_sign(const struct s3_credentials *c, const struct s3_to_sign *q, char out[static S3_AUTHORIZATION_MAX],
            struct bk_error *err) BK_MUST_CHECK;

#endif
