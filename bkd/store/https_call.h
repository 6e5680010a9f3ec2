/* One request to bkd, tried again while that may help, and its errors in our words. Internal to
 * bkd/store/https*.
 *
 * Tried again, with backoff, until the URL's timeout: lost connections, silence, 408, 429, 502, 503, 504. A
 * server that has never answered is given up after HTTPS_FIRST_S. Any thread. */
#ifndef BKD_STORE_HTTPS_CALL_H
#define BKD_STORE_HTTPS_CALL_H

#include <stdatomic.h>

#include "bkd/store/https_url.h"
#include "bkd/store/s3_http.h"
#include "bkd/store/store.h"

enum { HTTPS_FIRST_S = 15, HTTPS_CALL_HEADERS = 3 };

struct https {
    struct store store;
    struct https_url url;
    struct s3_http *http;
    const struct world *world;
    char authorization[HTTPS_TOKEN_MAX + 32]; /* the header line, "" none */
    atomic_bool answered;
};

struct https_call {
    const char *method;
    const char *path;                        /* behind the repository: "", "/list?prefix=", "/o/NAME" */
    const char *headers[HTTPS_CALL_HEADERS]; /* lines; NULL ends */
    const void *body;
    size_t body_len;
    void *out;
    size_t out_cap;
    struct bk_buf *grow;
    bool broken;
};

/* 0 for an answer 2xx. *ret_unsure: an attempt before the last may have been carried out. */
int https_call(struct https *s, const struct https_call *q, struct s3_http_answer *ret, bool *ret_unsure,
               struct bk_error *err) BK_MUST_CHECK;

/* store_ops.list */
int https_list(struct store *store, const char *prefix, store_list_fn *fn, void *ctx,
               struct bk_error *err) BK_MUST_CHECK;

#endif
