#include "bkd/store/https_call.h"

#include <stdio.h>
#include <string.h>

#include "bkd/store/backoff.h"

enum { URL_CAP = HTTPS_HOST_MAX + HTTPS_REPO_MAX + STORE_NAME_MAX + 64, SAID = 400 };

/* The text of {"code":"...","text":"..."}, as bkd writes it. */
static void said(const struct s3_http_answer *a, char out[static SAID])
{
    const char *p = strstr(a->detail, "\"text\":\"");
    size_t n = 0;
    if (p && a->detail[0] == '{')
        for (p += 8; *p && *p != '"' && n + 1 < SAID; p++) {
            if (*p == '\\' && p[1])
                p++;
            out[n++] = (unsigned char)*p < ' ' || *p == 127 ? ' ' : *p;
        }
    out[n] = '\0';
}

static int code_of(const struct s3_http_answer *a)
{
    switch (a->status) {
    case 401:
    case 403:
        return BK_E_PERM;
    case 404:
        return BK_E_ABSENT;
    case 409:
    case 412:
        return BK_E_EXISTS;
    case 413:
        return BK_E_LIMIT;
    case 424:
        return BK_E_COPIES;
    case 507:
        return BK_E_NOSPACE;
    case 501:
        return BK_E_UNSUPPORTED;
    default:
        return BK_E_IO;
    }
}

static int explain(const struct https_call *q, const struct s3_http_answer *a, struct bk_error *err)
{
    char text[SAID];
    int code = code_of(a);
    said(a, text);
    bk_fail(err, code, "%s %s: HTTP %d%s%s", q->method, q->path, a->status, text[0] ? ": " : "", text);
    if (a->status == 401)
        return bk_hint(err, "set BKCTL_TOKEN, --token-file or ?token-file=, or ?cert= and ?key=");
    if (a->status == 403)
        return bk_hint(err, "the server's configuration says who is reader, writer or collector");
    if (a->status == 507)
        return bk_hint(err, "raise the quota, or make room with bkctl forget and bkctl prune");
    return code;
}

static bool transient(int status)
{
    return status == 408 || status == 429 || (status >= 502 && status <= 504);
}

/* 0 an answer 2xx, 1 try again, else the error that stays. */
static int attempt(struct https *s, const struct https_call *q, struct s3_http_answer *ret,
                   struct bk_error *err)
{
    char url[URL_CAP];
    bool again = false;
    if ((size_t)snprintf(url, sizeof url, "https://%s/%s%s", s->url.host, s->url.repo, q->path) >= sizeof url)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    struct s3_http_request h = { .method = q->method,
                                 .url = url,
                                 .body = q->body,
                                 .body_len = q->body_len,
                                 .out = q->out,
                                 .out_cap = q->out_cap,
                                 .grow = q->grow,
                                 .broken = q->broken };
    size_t n = 0;
    if (s->authorization[0])
        h.headers[n++] = s->authorization;
    for (size_t i = 0; i < HTTPS_CALL_HEADERS && q->headers[i]; i++)
        h.headers[n++] = q->headers[i];
    if (q->grow)
        q->grow->len = 0;
    int r = s3_http_do(s->http, &h, ret, &again, err);
    if (r < 0) {
        bk_context(err, "https://%s/%s", s->url.host, s->url.repo);
        return again ? 1 : r;
    }
    atomic_store(&s->answered, true);
    if (ret->status / 100 == 2)
        return 0;
    r = explain(q, ret, err);
    return transient(ret->status) ? 1 : r;
}

int https_call(struct https *s, const struct https_call *q, struct s3_http_answer *ret, bool *ret_unsure,
               struct bk_error *err)
{
    struct bk_error own = { 0 };
    struct bk_error *why = err ? err : &own;
    struct backoff_opts o = BACKOFF_DEFAULT;
    struct backoff b;
    o.bound_ms = s->url.timeout_s * 1000;
    if (!atomic_load(&s->answered) && o.bound_ms > HTTPS_FIRST_S * 1000)
        o.bound_ms = HTTPS_FIRST_S * 1000;
    backoff_start(&b, &o, s->world);
    *ret_unsure = false;
    for (;;) {
        int r = attempt(s, q, ret, why);
        if (r <= 0 || q->broken)
            return r <= 0 ? r : why->code;
        *ret_unsure = true;
        if (!backoff_wait(&b, ret->retry_after_s * 1000))
            break;
    }
    why->code = BK_E_UNREACHABLE;
    return bk_context(why, "given up after %u seconds and %u attempts", backoff_elapsed_s(&b), b.n);
}
