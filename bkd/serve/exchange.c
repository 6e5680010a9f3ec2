#include "bkd/serve/exchange.h"

#include <stdio.h>
#include <string.h>

#include "bkd/serve/auth.h"

bool serve_reserve(struct serve_exchange *x, uint64_t bytes)
{
    uint64_t before = atomic_fetch_add(&x->s->memory, bytes);
    x->reserved += bytes;
    if (before > x->s->config->memory || bytes > x->s->config->memory - before)
        return false;
    x->body = malloc(bytes ? (size_t)bytes : 1);
    return x->body != NULL;
}

void serve_exchange_end(void *cls, struct MHD_Connection *c, void **state,
                        enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)c, (void)why;
    struct serve_exchange *x = *state;
    if (!x)
        return;
    free(x->body);
    EVP_MD_CTX_free(x->digest);
    atomic_fetch_sub(&x->s->memory, x->reserved);
    atomic_fetch_sub(&x->s->running, 1);
    free(x);
    *state = NULL;
}

static const struct serve_principal *who_is(struct serve *s, struct MHD_Connection *c)
{
    char name[SERVE_NAME_MAX + 1];
    const char *a = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (a)
        return strncmp(a, "Bearer ", 7) == 0 ? serve_auth_token(s->config, a + 7) : NULL;
    return s->client_certificates && serve_tls_name(c, name) ? serve_auth_certificate(s->config, name) : NULL;
}

/* Remembers a refusal; it is sent when the body has been read. */
static unsigned refuse(struct serve_exchange *x, unsigned status)
{
    x->refused = true;
    x->status = status;
    return status;
}

/* 0, or the status of the refusal. One who has no role is not told which repositories there are. */
static unsigned admit(struct serve_exchange *x)
{
    size_t i = 0;
    while (i < x->s->config->n_repositories &&
           strcmp(x->s->config->repositories[i].name, x->q.repository) != 0)
        i++;
    x->role = i < x->s->config->n_repositories ? x->who->roles[i] : SERVE_NOBODY;
    if (x->role == SERVE_NOBODY) {
        bk_fail(&x->why, BK_E_PERM, "%s has no role for repository %s", x->who->name, x->q.repository);
        return refuse(x, MHD_HTTP_FORBIDDEN);
    }
    x->repo = x->s->repos[i];
    enum serve_may may = serve_request_may(x->role, x->q.op, x->q.name);
    x->own = may == SERVE_OWN;
    if (may != SERVE_NO)
        return 0;
    const char *verb = x->q.op == SERVE_PUT ? "put" : "remove";
    bk_fail(&x->why, BK_E_PERM, "%s is a %s of repository %s: it may not %s %s", x->who->name,
            serve_role_name(x->role), x->q.repository, verb, x->q.name);
    return refuse(x, MHD_HTTP_FORBIDDEN);
}

static unsigned expect_body(struct serve_exchange *x, struct MHD_Connection *c)
{
    const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    const char *condition = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
    uint64_t len = 0;
    if (!text || !serve_request_number(text, &len)) {
        bk_fail(&x->why, BK_E_USAGE, "a put needs a Content-Length");
        return refuse(x, MHD_HTTP_LENGTH_REQUIRED);
    }
    if (!condition || strcmp(condition, "*") != 0) {
        bk_fail(&x->why, BK_E_USAGE, "a put needs If-None-Match: *");
        return refuse(x, 428);
    }
    if (len > x->s->config->object) {
        bk_fail(&x->why, BK_E_LIMIT, "the object is larger than the server takes");
        return refuse(x, 413);
    }
    x->len = (size_t)len;
    x->digest = EVP_MD_CTX_new();
    if (!x->digest || !serve_reserve(x, len) || EVP_DigestInit_ex(x->digest, EVP_sha256(), NULL) != 1) {
        bk_fail(&x->why, BK_E_BUSY, "too many requests at once");
        return refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE);
    }
    return 0;
}

static enum MHD_Result begin(struct serve *s, struct MHD_Connection *c, const char *path, const char *method,
                             void **state)
{
    struct serve_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return MHD_NO;
    x->s = s;
    atomic_fetch_add(&s->running, 1);
    *state = x;
    if (atomic_load(&s->stopping)) {
        bk_fail(&x->why, BK_E_BUSY, "the server is stopping");
        return serve_answer_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, &x->why);
    }
    x->who = who_is(s, c);
    if (!x->who) {
        bk_fail(&x->why, BK_E_PERM, "the server does not know this token or certificate");
        return serve_answer_error(c, MHD_HTTP_UNAUTHORIZED, &x->why);
    }
    if (serve_request_parse(method, path, &x->q, &x->why) < 0)
        refuse(x, MHD_HTTP_BAD_REQUEST);
    else if (!admit(x) && x->q.op == SERVE_PUT)
        expect_body(x, c);
    /* no end of what is too large is waited for */
    return x->refused && x->status == 413 ? serve_answer_error(c, x->status, &x->why) : MHD_YES;
}

static void take(struct serve_exchange *x, const char *data, size_t len)
{
    if (x->refused || !x->body)
        return;
    if (len > x->len - x->got || EVP_DigestUpdate(x->digest, data, len) != 1) {
        bk_fail(&x->why, BK_E_USAGE, "the body is longer than announced");
        refuse(x, MHD_HTTP_BAD_REQUEST);
        return;
    }
    memcpy(x->body + x->got, data, len);
    x->got += len;
}

/* Is the body what the client meant to send? */
static bool is_whole(struct serve_exchange *x, struct MHD_Connection *c)
{
    const char *said = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Bkd-Sha256");
    uint8_t sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n = 0;
    if (x->got != x->len || !said || EVP_DigestFinal_ex(x->digest, sum, &n) != 1)
        return false;
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return strcmp(said, hex) == 0;
}

static enum MHD_Result answer_put(struct serve_exchange *x, struct MHD_Connection *c)
{
    if (!is_whole(x, c)) {
        bk_fail(&x->why, BK_E_USAGE, "the body is not the one that was announced");
        return serve_answer_error(c, MHD_HTTP_BAD_REQUEST, &x->why);
    }
    int r = serve_repo_put(x->repo, x->q.name, x->body, x->len, x->who->name, x->own, &x->why);
    if (r == 0)
        return serve_answer_empty(c, MHD_HTTP_CREATED);
    return serve_answer_error(c, r == BK_E_PERM && x->own ? MHD_HTTP_FORBIDDEN : serve_status_of(r), &x->why);
}

static enum MHD_Result answer_remove(struct serve_exchange *x, struct MHD_Connection *c)
{
    uint64_t size;
    struct bk_error ignored = { 0 };
    /* removed by the request before, whose answer was lost */
    if (store_stat(x->repo->store, x->q.name, &size, &ignored) == BK_E_ABSENT)
        return serve_answer_empty(c, MHD_HTTP_NO_CONTENT);
    int r = x->own ? serve_repo_own(x->repo, x->q.name, x->who->name, &x->why) : 0;
    if (r == BK_E_PERM)
        return serve_answer_error(c, MHD_HTTP_FORBIDDEN, &x->why);
    if (r == 0)
        r = serve_repo_remove(x->repo, x->q.name, &x->why);
    return r == 0 ? serve_answer_empty(c, MHD_HTTP_NO_CONTENT)
                  : serve_answer_error(c, serve_status_of(r), &x->why);
}

static enum MHD_Result answer(struct serve_exchange *x, struct MHD_Connection *c)
{
    if (x->refused)
        return serve_answer_error(c, x->status, &x->why);
    switch (x->q.op) {
    case SERVE_INFO:
        return serve_answer_info(x, c);
    case SERVE_PUT:
        return answer_put(x, c);
    case SERVE_GET:
        return serve_answer_get(x, c);
    case SERVE_STAT:
        return serve_answer_stat(x, c);
    case SERVE_REMOVE:
        return answer_remove(x, c);
    case SERVE_LIST:
        return serve_answer_list(x, c);
    }
    return MHD_NO;
}

enum MHD_Result serve_exchange_handle(void *cls, struct MHD_Connection *c, const char *path,
                                      const char *method, const char *version, const char *data, size_t *len,
                                      void **state)
{
    (void)version;
    if (!*state)
        return begin(cls, c, path, method, state);
    if (*len) {
        take(*state, data, *len);
        *len = 0;
        return MHD_YES;
    }
    return answer(*state, c);
}
