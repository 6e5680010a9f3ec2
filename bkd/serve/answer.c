/* Answers: what they have in common, errors, objects. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/serve/inside.h"

enum { JSON_MAX = 2 * BK_ERROR_TEXT + 64 };

unsigned serve_status_of(int code)
{
    switch (code) {
    case BK_E_USAGE:
        return MHD_HTTP_BAD_REQUEST;
    case BK_E_ABSENT:
        return MHD_HTTP_NOT_FOUND;
    case BK_E_EXISTS:
        return MHD_HTTP_PRECONDITION_FAILED;
    case BK_E_NOSPACE:
        return MHD_HTTP_INSUFFICIENT_STORAGE;
    case BK_E_LIMIT:
        return 413;
    case BK_E_COPIES:
        return MHD_HTTP_FAILED_DEPENDENCY;
    case BK_E_BUSY:
    case BK_E_UNREACHABLE:
    case BK_E_NOMEM:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case BK_E_UNSUPPORTED:
        return MHD_HTTP_NOT_IMPLEMENTED;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

enum MHD_Result serve_answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *m)
{
    if (!m)
        return MHD_NO;
    MHD_add_response_header(m, "X-Bkd-Version", SERVE_VERSION);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(m, "Retry-After", "1");
    enum MHD_Result r = MHD_queue_response(c, status, m);
    MHD_destroy_response(m);
    return r;
}

enum MHD_Result serve_answer_empty(struct MHD_Connection *c, unsigned status)
{
    return serve_answer(c, status, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *m =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    if (m)
        MHD_add_response_header(m, "Content-Type", "application/json");
    return serve_answer(c, status, m);
}

enum MHD_Result serve_answer_error(struct MHD_Connection *c, unsigned status, const struct bk_error *e)
{
    char json[JSON_MAX];
    size_t n = (size_t)snprintf(json, sizeof json, "{\"code\":\"%s\",\"text\":\"", bk_code_name(e->code));
    for (const char *p = e->text; *p && n + 4 < sizeof json; p++) {
        if (*p == '"' || *p == '\\')
            json[n++] = '\\';
        json[n++] = (unsigned char)*p < ' ' ? ' ' : *p;
    }
    strcpy(json + n, "\"}");
    if (status >= 500)
        fprintf(stderr, "bkd: %u %s\n", status, e->text);
    return answer_text(c, status, json);
}

enum MHD_Result serve_answer_info(struct serve_exchange *x, struct MHD_Connection *c)
{
    char json[256];
    snprintf(json, sizeof json, "{\"version\":" SERVE_VERSION ",\"role\":\"%s\",\"object\":%" PRIu64 "}",
             serve_role_name(x->role), x->s->config->object);
    return answer_text(c, MHD_HTTP_OK, json);
}

static ssize_t nothing(void *ctx, uint64_t at, char *out, size_t max)
{
    (void)ctx, (void)at, (void)out, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

enum MHD_Result serve_answer_stat(struct serve_exchange *x, struct MHD_Connection *c)
{
    uint64_t size = 0;
    struct bk_error why = { 0 };
    int r = store_stat(x->repo->store, x->q.name, &size, &why);
    if (r < 0)
        return serve_answer_error(c, serve_status_of(r), &why);
    return serve_answer(c, MHD_HTTP_OK, MHD_create_response_from_callback(size, 4096, nothing, NULL, NULL));
}

/* The part of the object that is asked for: 0, or the status of the refusal. */
static unsigned part(struct serve_exchange *x, struct MHD_Connection *c, uint64_t size, uint64_t *ret_first,
                     uint64_t *ret_len, bool *ret_ranged)
{
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    uint64_t first = 0, last = size ? size - 1 : 0;
    *ret_ranged = range != NULL;
    if (range && !serve_request_range(range, &first, &last))
        return (unsigned)(bk_fail(&x->why, BK_E_USAGE, "the request makes no sense"), MHD_HTTP_BAD_REQUEST);
    if (range && first >= size)
        return (unsigned)(bk_fail(&x->why, BK_E_LIMIT, "the object ends before that"), 416);
    uint64_t len = last >= size ? size - first : last - first + 1;
    if (size == 0)
        len = 0;
    if (len > x->s->config->object)
        return (unsigned)(bk_fail(&x->why, BK_E_LIMIT, "that is more than one answer may hold"), 413);
    *ret_first = first;
    *ret_len = len;
    return 0;
}

enum MHD_Result serve_answer_get(struct serve_exchange *x, struct MHD_Connection *c)
{
    uint64_t size = 0, first = 0, len = 0;
    bool ranged;
    int r = store_stat(x->repo->store, x->q.name, &size, &x->why);
    if (r < 0)
        return serve_answer_error(c, serve_status_of(r), &x->why);
    unsigned status = part(x, c, size, &first, &len, &ranged);
    if (status)
        return serve_answer_error(c, status, &x->why);
    if (!serve_reserve(x, len)) {
        bk_fail(&x->why, BK_E_BUSY, "too many requests at once");
        return serve_answer_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, &x->why);
    }
    r = len ? store_get_exact(x->repo->store, x->q.name, first, x->body, (size_t)len, &x->why) : 0;
    if (r < 0)
        return serve_answer_error(c, serve_status_of(r), &x->why);
    /* the exchange owns the body, and outlives the answer */
    struct MHD_Response *m = MHD_create_response_from_buffer((size_t)len, x->body, MHD_RESPMEM_PERSISTENT);
    char text[96];
    snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, first + len - 1, size);
    if (m && ranged)
        MHD_add_response_header(m, "Content-Range", text);
    return serve_answer(c, ranged ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, m);
}
