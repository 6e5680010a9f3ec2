/* Listings: the store pushes names, the connection pulls bytes; a thread and a pipe are between them, so that
 * no listing is held in memory. The last line says that it is whole: {"end":N}, or {"code":...} when it is
 * not. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/serve/inside.h"

enum { LINE_MAX_BYTES = STORE_NAME_MAX + 64 };

struct listing {
    struct serve *s;
    struct serve_repo *repo;
    FILE *out;
    uint64_t n;
    char prefix[STORE_NAME_MAX + 1];
};

static int see(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct listing *l = ctx;
    if (strncmp(name, SERVE_RECEIVED, strlen(SERVE_RECEIVED)) == 0 &&
        strncmp(l->prefix, SERVE_RECEIVED, strlen(SERVE_RECEIVED)) != 0)
        return 0;
    l->n++;
    if (fprintf(l->out, "{\"name\":\"%s\",\"size\":%" PRIu64 "}\n", name, size) < 0)
        return bk_fail(err, BK_E_CANCELLED, "the client went away");
    return 0;
}

static void *produce(void *ctx)
{
    struct listing *l = ctx;
    struct bk_error why = { 0 };
    int r = store_list(l->repo->store, l->prefix, see, l, &why);
    if (r == 0)
        fprintf(l->out, "{\"end\":%" PRIu64 "}\n", l->n);
    else
        fprintf(l->out, "{\"code\":\"%s\"}\n", bk_code_name(r));
    if (r < 0 && r != BK_E_CANCELLED)
        fprintf(stderr, "bkd: %s\n", why.text);
    fclose(l->out);
    atomic_fetch_sub(&l->s->running, 1);
    free(l);
    return NULL;
}

static bool start(struct listing *l)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&l->s->running, 1);
    bool ok = pthread_create(&t, &a, produce, l) == 0;
    if (!ok)
        atomic_fetch_sub(&l->s->running, 1);
    pthread_attr_destroy(&a);
    return ok;
}

enum MHD_Result serve_answer_list(struct serve_exchange *x, struct MHD_Connection *c)
{
    const char *prefix = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "prefix");
    int ends[2] = { -1, -1 };
    if (prefix && !serve_request_prefix(prefix)) {
        bk_fail(&x->why, BK_E_USAGE, "the request makes no sense");
        return serve_answer_error(c, MHD_HTTP_BAD_REQUEST, &x->why);
    }
    struct listing *l = calloc(1, sizeof *l);
    bool ok = l && pipe2(ends, O_CLOEXEC) == 0 && (l->out = fdopen(ends[1], "w")) != NULL;
    struct MHD_Response *m = ok ? MHD_create_response_from_pipe(ends[0]) : NULL;
    if (m) {
        l->s = x->s;
        l->repo = x->repo;
        snprintf(l->prefix, sizeof l->prefix, "%s", prefix ? prefix : "");
        MHD_add_response_header(m, "Content-Type", "application/x-ndjson");
        if (start(l))
            return serve_answer(c, MHD_HTTP_OK, m);
        MHD_destroy_response(m);
    } else if (ends[0] >= 0) {
        close(ends[0]);
    }
    if (l && l->out)
        fclose(l->out);
    else if (ends[1] >= 0)
        close(ends[1]);
    free(l);
    bk_fail(&x->why, BK_E_NOMEM, "no memory to list the repository");
    return serve_answer_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, &x->why);
}
