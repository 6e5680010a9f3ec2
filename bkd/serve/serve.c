#include "bkd/serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bkd/serve/exchange.h"

enum { PEM_MAX = 1 << 20, STACK = 512 << 10, REQUEST_HEAD = 32 << 10 };

static void stop_free(struct serve *s)
{
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    for (size_t i = 0; i < SERVE_REPOSITORIES_MAX; i++)
        serve_repo_free(s->repos[i]);
    free(s);
}
BK_AUTO(struct serve *, stop_free)

static int read_pem(const char *path, struct bk_buf *out, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *p;
    if (fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    for (;;) {
        int r = bk_buf_reserve(out, 4096, err);
        if (r < 0)
            return bk_context(err, "%s", path);
        p = out->data + out->len;
        ssize_t n = read(fd, p, 4096);
        if (n < 0)
            return bk_fail_errno(err, errno, "read %s", path);
        if (n == 0)
            return bk_buf_u8(out, 0, err);
        out->len += (size_t)n;
    }
}

static int resolve(const char *listen, struct addrinfo **ret, struct bk_error *err)
{
    char host[64];
    const char *colon = strrchr(listen, ':');
    size_t n = colon ? (size_t)(colon - listen) : 0;
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    if (n > 1 && listen[0] == '[' && listen[n - 1] == ']') {
        listen++;
        n -= 2;
    }
    if (!colon || n == 0 || n >= sizeof host)
        return bk_fail(err, BK_E_USAGE, "'%s' is no address to listen at: HOST:PORT", listen);
    memcpy(host, listen, n);
    host[n] = '\0';
    int e = getaddrinfo(host, colon + 1, &hints, ret);
    if (e != 0)
        return bk_fail(err, BK_E_USAGE, "'%s' is no address to listen at: %s", listen, gai_strerror(e));
    return 0;
}

static void log_line(void *ctx, const char *format, va_list args) BK_PRINTF(2, 0);
static void log_line(void *ctx, const char *format, va_list args)
{
    (void)ctx;
    fputs("bkd: ", stderr);
    vfprintf(stderr, format, args);
}

static int start_daemon(struct serve *s, const struct serve_opts *o, const struct addrinfo *at,
                        struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf cert = BK_BUF(PEM_MAX), key = BK_BUF(PEM_MAX), ca = BK_BUF(PEM_MAX);
    int r = read_pem(o->cert, &cert, err);
    if (r == 0)
        r = read_pem(o->key, &key, err);
    if (r == 0 && o->client_ca)
        r = read_pem(o->client_ca, &ca, err);
    if (r < 0)
        return r;
    struct MHD_OptionItem trust[] = { { MHD_OPTION_HTTPS_MEM_TRUST, 0, ca.data },
                                      { MHD_OPTION_END, 0, NULL } };
    if (!o->client_ca)
        trust[0].option = MHD_OPTION_END;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     MHD_USE_TLS | MHD_USE_ERROR_LOG | (at->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, serve_exchange_handle, s, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_SOCK_ADDR, at->ai_addr, MHD_OPTION_NOTIFY_COMPLETED, serve_exchange_end, s,
        MHD_OPTION_CONNECTION_LIMIT, s->config->connections, MHD_OPTION_CONNECTION_TIMEOUT, s->config->idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_HEAD, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_HTTPS_MEM_CERT,
        cert.data, MHD_OPTION_HTTPS_MEM_KEY, key.data, MHD_OPTION_HTTPS_PRIORITIES,
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_ARRAY, trust, MHD_OPTION_END);
    if (s->daemon)
        return 0;
    bk_fail_errno(err, errno ? errno : EINVAL, "listen at %s", o->listen);
    return bk_hint(err, "is the address in use, and do the certificate and the key belong together?");
}

int serve_start(const struct serve_opts *o, const struct serve_config *config, const struct world *w,
                struct serve **ret, struct bk_error *err)
{
    bk_auto(stop_free) struct serve *s = calloc(1, sizeof *s);
    struct addrinfo *at = NULL;
    if (!s)
        return bk_fail(err, BK_E_NOMEM, "no memory for the server");
    s->config = config;
    s->world = w;
    s->client_certificates = o->client_ca != NULL;
    for (size_t i = 0; i < config->n_repositories; i++) {
        int r = serve_repo_open(&config->repositories[i], w, &s->repos[i], err);
        if (r < 0)
            return r;
    }
    int r = resolve(o->listen, &at, err);
    if (r == 0)
        r = start_daemon(s, o, at, err);
    if (at)
        freeaddrinfo(at);
    if (r < 0)
        return r;
    *ret = bk_steal(s);
    return 0;
}

void serve_stop(struct serve *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    for (unsigned i = 0; i < SERVE_STOP_S * 100 && atomic_load(&s->running); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    /* a listing that still runs uses its repository: memory is left to the end of the process */
    if (!atomic_load(&s->running))
        stop_free(s);
}
