/* HTTP for S3, on libcurl: one request, one answer, connections kept.
 *
 *     s3_http_new -> s3_http_do (any thread, many at once) -> s3_http_free
 *
 * A handle with its connection is lent to each request and taken back after it; there are at most as many as
 * requests at once. Nothing waits for ever: connecting, silence and the whole request are bounded. What the
 * server sends is bounded too: headers by libcurl, the body by out_cap. */
#ifndef BKD_STORE_S3_HTTP_H
#define BKD_STORE_S3_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/buf.h"
#include "formats/base/error.h"

enum {
    S3_HTTP_CONNECT_S = 10,
    S3_HTTP_STALL_MIN_S = 5,
    S3_HTTP_STALL_S = 60,
    S3_HTTP_DETAIL = 8191,
    S3_HTTP_HEADERS = 16
};

struct s3_http_request {
    const char *method; /* GET HEAD PUT POST DELETE */
    const char *url;
    const char *headers[S3_HTTP_HEADERS]; /* "name: value", NULL ends */
    const void *body;                     /* of PUT and POST */
    size_t body_len;
    void *out; /* the body of a good answer (2xx) */
    size_t out_cap;
    struct bk_buf *grow; /* instead of out: appended to, up to its limit */
    bool broken;         /* break the connection after half of the body */
};
struct s3_http_answer {
    int status;
    size_t out_len;
    char detail[S3_HTTP_DETAIL + 1]; /* the start of the body of any other answer */
    size_t detail_len;
    bool has_length, has_range;
    uint64_t length;                  /* Content-Length */
    uint64_t range_first, range_size; /* Content-Range: where it starts, bytes of the whole object */
    char etag[128], region[64];
    int64_t date_s; /* the server's clock, 0 when it says nothing */
    unsigned retry_after_s;
};

struct s3_http;
/* ca: a file of certificates to trust, "" the system's. stall_s: silence that ends a request, S3_HTTP_STALL_S
 * at most. */
int s3_http_new(const char *ca, unsigned connections, unsigned stall_s, struct s3_http **ret,
                struct bk_error *err) BK_MUST_CHECK;
void s3_http_free(struct s3_http *h);
BK_AUTO(struct s3_http *, s3_http_free)
/* A certificate for the client, PEM files. Before the first request. NOMEM. */
int s3_http_certificate(struct s3_http *h, const char *cert, const char *key,
                        struct bk_error *err) BK_MUST_CHECK;
/* 0: there is an answer, whatever its status. Else IO (or PERM for a certificate that is not trusted);
 * *ret_transient: trying again may work. */
int s3_http_do(struct s3_http *h, const struct s3_http_request *q, struct s3_http_answer *ret,
               bool *ret_transient, struct bk_error *err) BK_MUST_CHECK;

#endif
