#include "bkd/store/s3_http.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bkd/store/s3_curl.h"

enum { SLOW_BYTES_S = 4096, UPLOAD_BUFFER = 512 << 10, DOWNLOAD_BUFFER = 512 << 10 };
enum { RETRY_AFTER_MAX_S = 300 };

/* Each has connections of its own, one in most cases. */
struct handle {
    CURL *curl;
    curl_socket_t socket; /* of the last transfer; it may have been closed since */
};

struct s3_http {
    char *ca, *cert, *key; /* cert, key: NULL none */
    unsigned stall_s;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t returned;
    struct handle *idle;
    unsigned n_idle, n_out, most;
};

int s3_http_new(const char *ca, unsigned connections, unsigned stall_s, struct s3_http **ret,
                struct bk_error *err)
{
    int r = s3_curl_load(err);
    if (r < 0)
        return r;
    bk_auto(s3_http_free) struct s3_http *h = calloc(1, sizeof *h);
    if (!h)
        return bk_fail(err, BK_E_NOMEM, "no memory for HTTP");
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->returned, NULL);
    h->most = connections;
    h->stall_s = stall_s > S3_HTTP_STALL_S       ? S3_HTTP_STALL_S
                 : stall_s < S3_HTTP_STALL_MIN_S ? S3_HTTP_STALL_MIN_S
                                                 : stall_s;
    h->idle = calloc(connections, sizeof *h->idle);
    h->ca = ca[0] ? strdup(ca) : NULL;
    if (!h->idle || (ca[0] && !h->ca))
        return bk_fail(err, BK_E_NOMEM, "no memory for HTTP");
    *ret = bk_steal(h);
    return 0;
}

int s3_http_certificate(struct s3_http *h, const char *cert, const char *key, struct bk_error *err)
{
    h->cert = strdup(cert);
    h->key = strdup(key);
    return h->cert && h->key ? 0 : bk_fail(err, BK_E_NOMEM, "no memory for HTTP");
}

void s3_http_free(struct s3_http *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->n_idle; i++)
        s3_curl.easy_cleanup(h->idle[i].curl);
    free(h->idle);
    free(h->ca);
    free(h->cert);
    free(h->key);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->returned);
    free(h);
}

/* The most recently used: its connection is the likeliest to be alive. */
static struct handle borrow(struct s3_http *h)
{
    struct handle k = { .socket = CURL_SOCKET_BAD };
    pthread_mutex_lock(&h->lock);
    while (h->n_out >= h->most)
        pthread_cond_wait(&h->returned, &h->lock);
    h->n_out++;
    if (h->n_idle)
        k = h->idle[--h->n_idle];
    pthread_mutex_unlock(&h->lock);
    if (!k.curl)
        k.curl = s3_curl.easy_init();
    return k;
}

static void give_back(struct s3_http *h, struct handle k)
{
    if (k.curl)
        s3_curl.easy_reset(k.curl);
    pthread_mutex_lock(&h->lock);
    if (k.curl)
        h->idle[h->n_idle++] = k;
    h->n_out--;
    pthread_cond_signal(&h->returned);
    pthread_mutex_unlock(&h->lock);
}

struct transfer {
    CURL *curl;
    curl_socket_t socket;
    const struct s3_http_request *q;
    struct s3_http_answer *a;
    size_t sent;
    bool too_much;
};

static size_t send_body(char *out, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t left = t->q->body_len - t->sent, most = size * n;
    if (t->q->broken && t->sent >= t->q->body_len / 2)
        return CURL_READFUNC_ABORT;
    if (t->q->broken && left > t->q->body_len / 2)
        left -= t->q->body_len / 2;
    if (most > left)
        most = left;
    if (most)
        memcpy(out, (const char *)t->q->body + t->sent, most);
    t->sent += most;
    return most;
}

static int rewind_body(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->q->body_len)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Servers that do not set TCP_NODELAY, radosgw among them, hold a short segment back until what they sent
 * before it is acknowledged, and our side acknowledges after 40 ms: every small answer would take that long.
 * The kernel forgets the option with the next request. Another connection's socket is acknowledged in vain;
 * what is no socket any more refuses. */
static void acknowledge(const struct transfer *t)
{
#ifdef TCP_QUICKACK
    if (t->socket != CURL_SOCKET_BAD)
        (void)setsockopt(t->socket, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
#else
    (void)t;
#endif
}

static int opened(void *ctx, curl_socket_t s, curlsocktype purpose)
{
    struct transfer *t = ctx;
    if (purpose == CURLSOCKTYPE_IPCXN)
        t->socket = s;
    return CURL_SOCKOPT_OK;
}

static size_t take_body(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n;
    long status = 0;
    acknowledge(t);
    s3_curl.easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) {
        size_t room = S3_HTTP_DETAIL - t->a->detail_len, k = len < room ? len : room;
        memcpy(t->a->detail + t->a->detail_len, data, k);
        t->a->detail_len += k;
        return len;
    }
    if (t->q->grow) {
        t->too_much = bk_buf_append(t->q->grow, data, len, NULL) < 0;
        return t->too_much ? 0 : len;
    }
    if (len > t->q->out_cap - t->a->out_len) {
        t->too_much = true;
        return 0;
    }
    memcpy((char *)t->q->out + t->a->out_len, data, len);
    t->a->out_len += len;
    return len;
}

/* The value of a header line if it has this name. */
static bool header_is(const char *line, size_t len, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    const char *s = line + n + 1;
    len -= n + 1;
    while (len && (*s == ' ' || *s == '\t'))
        s++, len--;
    while (len && (s[len - 1] == '\r' || s[len - 1] == '\n' || s[len - 1] == ' '))
        len--;
    if (len >= cap)
        len = cap - 1;
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

static size_t take_header(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct s3_http_answer *a = t->a;
    size_t len = size * n;
    char v[128];
    if (len <= 2) /* the empty line: the body may be held back */
        acknowledge(t);
    if (header_is(data, len, "content-length", v, sizeof v)) {
        a->has_length = sscanf(v, "%" SCNu64, &a->length) == 1;
    } else if (header_is(data, len, "content-range", v, sizeof v)) {
        uint64_t last;
        a->has_range =
            sscanf(v, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &a->range_first, &last, &a->range_size) == 3;
    } else if (header_is(data, len, "date", v, sizeof v)) {
        time_t d = s3_curl.getdate(v, NULL);
        a->date_s = d > 0 ? (int64_t)d : 0;
    } else if (header_is(data, len, "retry-after", v, sizeof v)) {
        unsigned s = 0;
        if (sscanf(v, "%9u", &s) == 1)
            a->retry_after_s = s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S;
    } else if (!header_is(data, len, "etag", a->etag, sizeof a->etag)) {
        header_is(data, len, "x-amz-bucket-region", a->region, sizeof a->region);
    }
    return len;
}

#define SET(option, value) ok = ok && s3_curl.easy_setopt(c, option, value) == CURLE_OK

static bool set_up(struct s3_http *h, struct transfer *t, struct curl_slist *headers, char *text)
{
    CURL *c = t->curl;
    const struct s3_http_request *q = t->q;
    size_t cap = q->grow ? q->grow->limit : q->out_cap;
    size_t bytes = q->body_len > cap ? q->body_len : cap;
    bool ok = true;
    text[0] = '\0';
    SET(CURLOPT_URL, q->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, text);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)S3_HTTP_CONNECT_S);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_S);
    SET(CURLOPT_LOW_SPEED_TIME, (long)h->stall_s);
    SET(CURLOPT_TIMEOUT, (long)(2 * h->stall_s + bytes / SLOW_BYTES_S));
    SET(CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_SOCKOPTFUNCTION, opened);
    SET(CURLOPT_SOCKOPTDATA, t);
    if (h->ca)
        SET(CURLOPT_CAINFO, h->ca);
    if (h->cert) {
        SET(CURLOPT_SSLCERT, h->cert);
        SET(CURLOPT_SSLKEY, h->key);
    }
    SET(CURLOPT_CUSTOMREQUEST, q->method);
    if (strcmp(q->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_len);
        SET(CURLOPT_READFUNCTION, send_body);
        SET(CURLOPT_READDATA, t);
        SET(CURLOPT_SEEKFUNCTION, rewind_body);
        SET(CURLOPT_SEEKDATA, t);
    }
    return ok;
}

/* What will be the same the next time. */
static bool lasting(CURLcode e)
{
    switch (e) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WEIRD_SERVER_REPLY:
        return true;
    default:
        return false;
    }
}

static int explain(CURLcode e, const struct transfer *t, const char *text, struct bk_error *err)
{
    if (t->too_much)
        return bk_fail(err, BK_E_CORRUPT, "the server sends more than was asked for");
    bk_fail(err,
            e == CURLE_OUT_OF_MEMORY                      ? BK_E_NOMEM
            : lasting(e) && e != CURLE_WEIRD_SERVER_REPLY ? BK_E_PERM
                                                          : BK_E_IO,
            "%s", text[0] ? text : s3_curl.easy_strerror(e));
    switch (e) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return bk_hint(err, "name the file of the certificate authority with ?ca=FILE");
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
        return bk_hint(err, "does the server speak TLS? A server without it needs ?tls=off");
    case CURLE_COULDNT_RESOLVE_HOST:
        return bk_hint(err, "check the host's name");
    default:
        return err ? err->code : BK_E_IO;
    }
}

int s3_http_do(struct s3_http *h, const struct s3_http_request *q, struct s3_http_answer *ret,
               bool *ret_transient, struct bk_error *err)
{
    char text[CURL_ERROR_SIZE];
    struct handle k = borrow(h);
    struct transfer t = { .curl = k.curl, .socket = k.socket, .q = q, .a = ret };
    struct curl_slist *headers = NULL;
    memset(ret, 0, sizeof *ret);
    *ret_transient = false;
    /* libcurl would wait a second for a "100 Continue" that not every server sends */
    bool ok = t.curl && (headers = s3_curl.slist_append(NULL, "Expect:")) != NULL;
    for (size_t i = 0; ok && i < S3_HTTP_HEADERS && q->headers[i]; i++) {
        struct curl_slist *more = s3_curl.slist_append(headers, q->headers[i]);
        ok = more != NULL;
        if (more)
            headers = more;
    }
    ok = ok && set_up(h, &t, headers, text);
    CURLcode e = ok ? s3_curl.easy_perform(t.curl) : CURLE_OUT_OF_MEMORY;
    long status = 0;
    if (ok)
        s3_curl.easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (int)status;
    ret->detail[ret->detail_len] = '\0';
    int r = 0;
    if (e == CURLE_OUT_OF_MEMORY && !ok)
        r = bk_fail(err, BK_E_NOMEM, "no memory for HTTP");
    /* a refusal that comes before all was sent is an answer too */
    else if (e != CURLE_OK && !(status >= 400 && (e == CURLE_SEND_ERROR || e == CURLE_RECV_ERROR))) {
        *ret_transient = !lasting(e) && !t.too_much;
        r = explain(e, &t, text, err);
    }
    s3_curl.slist_free_all(headers);
    k.socket = t.socket;
    give_back(h, k);
    return r;
}
