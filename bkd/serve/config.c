#include "bkd/serve/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX = 1 << 20, LINE_MAX_BYTES = 1023, WORDS = 6 };

static const char *const role_names[] = { "nobody", "reader", "writer", "collector" };

const char *serve_role_name(enum serve_role role)
{
    return role_names[role];
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= SERVE_NAME_MAX && s[0] != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static bool number(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;
    if (!s[0])
        return false;
    for (; *s; s++)
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return false;
    *ret = n;
    return n >= min && n <= max;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool set_token(const char *s, struct serve_principal *p)
{
    const char *colon = strchr(s, ':');
    size_t n = colon ? (size_t)(colon - s) : 0;
    bool sm3 = n == 3 && memcmp(s, "sm3", n) == 0, sha = n == 6 && memcmp(s, "sha256", n) == 0;
    if ((!sm3 && !sha) || p->has_token || strlen(++colon) != 2 * SERVE_TOKEN_HASH)
        return false;
    for (size_t i = 0; i < SERVE_TOKEN_HASH; i++) {
        int hi = hex(colon[2 * i]), lo = hex(colon[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        p->token[i] = (uint8_t)(hi * 16 + lo);
    }
    p->has_token = true;
    p->sm3 = sm3;
    return true;
}

static struct serve_principal *principal(struct serve_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_principals; i++)
        if (strcmp(c->principals[i].name, name) == 0)
            return &c->principals[i];
    return NULL;
}

static size_t repository(const struct serve_config *c, const char *name)
{
    size_t i = 0;
    while (i < c->n_repositories && strcmp(c->repositories[i].name, name) != 0)
        i++;
    return i;
}

static bool add_repository(struct serve_config *c, char *const *w, size_t n)
{
    if ((n != 3 && n != 5) || !is_name(w[1]) || strlen(w[2]) > SERVE_URL_MAX ||
        c->n_repositories == SERVE_REPOSITORIES_MAX || repository(c, w[1]) < c->n_repositories)
        return false;
    struct serve_place *p = &c->repositories[c->n_repositories];
    if (n == 5 && (strcmp(w[3], "quota") != 0 || !number(w[4], 1, INT64_MAX, &p->quota)))
        return false;
    strcpy(p->name, w[1]);
    strcpy(p->url, w[2]);
    c->n_repositories++;
    return true;
}

/* A principal may have both a token and a certificate: one statement for each. */
static bool add_principal(struct serve_config *c, char *const *w, size_t n)
{
    if (n != 4 || !is_name(w[1]))
        return false;
    struct serve_principal *p = principal(c, w[1]);
    if (!p && c->n_principals == SERVE_PRINCIPALS_MAX)
        return false;
    if (!p) {
        p = &c->principals[c->n_principals++];
        strcpy(p->name, w[1]);
    }
    if (strcmp(w[2], "token") == 0)
        return set_token(w[3], p);
    if (strcmp(w[2], "certificate") != 0 || strlen(w[3]) > SERVE_NAME_MAX || p->certificate[0])
        return false;
    for (size_t i = 0; i < c->n_principals; i++)
        if (strcmp(c->principals[i].certificate, w[3]) == 0)
            return false;
    strcpy(p->certificate, w[3]);
    return true;
}

static bool add_role(struct serve_config *c, char *const *w, size_t n)
{
    struct serve_principal *p = n == 4 ? principal(c, w[1]) : NULL;
    size_t at = p ? repository(c, w[3]) : c->n_repositories;
    if (at == c->n_repositories || p->roles[at] != SERVE_NOBODY)
        return false;
    for (size_t i = SERVE_READER; i < BK_COUNT(role_names); i++)
        if (strcmp(w[2], role_names[i]) == 0)
            p->roles[at] = (uint8_t)i;
    return p->roles[at] != SERVE_NOBODY;
}

static bool set_limit(struct serve_config *c, char *const *w, size_t n)
{
    uint64_t v = 0;
    if (n != 3)
        return false;
    if (strcmp(w[1], "memory") == 0)
        return number(w[2], 1 << 20, UINT64_C(1) << 40, &c->memory);
    if (strcmp(w[1], "object") == 0)
        return number(w[2], 1 << 10, UINT64_C(1) << 30, &c->object);
    if (strcmp(w[1], "connections") == 0 && number(w[2], 1, 10000, &v)) {
        c->connections = (unsigned)v;
        return true;
    }
    if (strcmp(w[1], "idle") == 0 && number(w[2], 1, 3600, &v)) {
        c->idle_s = (unsigned)v;
        return true;
    }
    return false;
}

static bool take_line(struct serve_config *c, char *line)
{
    char *w[WORDS], *save = NULL;
    size_t n = 0;
    for (char *s = strtok_r(line, " \t\r", &save); s; s = strtok_r(NULL, " \t\r", &save)) {
        if (s[0] == '#')
            break;
        if (n == WORDS)
            return false;
        w[n++] = s;
    }
    if (n == 0)
        return true;
    if (strcmp(w[0], "repository") == 0)
        return add_repository(c, w, n);
    if (strcmp(w[0], "principal") == 0)
        return add_principal(c, w, n);
    if (strcmp(w[0], "role") == 0)
        return add_role(c, w, n);
    return strcmp(w[0], "limit") == 0 && set_limit(c, w, n);
}

static int wrong_line(const struct serve_config *c, unsigned n, struct bk_error *err)
{
    bk_fail(err, BK_E_USAGE, "line %u of the server's configuration is wrong", n);
    if (c->n_repositories < SERVE_REPOSITORIES_MAX && c->n_principals < SERVE_PRINCIPALS_MAX)
        return BK_E_USAGE;
    return bk_hint(err, "one server serves at most %d repositories to %d principals", SERVE_REPOSITORIES_MAX,
                   SERVE_PRINCIPALS_MAX);
}

int serve_config_parse(const char *text, size_t len, struct serve_config **ret, struct bk_error *err)
{
    bk_auto(serve_config_free) struct serve_config *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for the server's configuration");
    c->connections = 128;
    c->idle_s = 60;
    c->memory = UINT64_C(512) << 20;
    c->object = UINT64_C(128) << 20;
    unsigned n = 0;
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t k = nl ? (size_t)(nl - text) - at : len - at;
        char line[LINE_MAX_BYTES + 1];
        n++;
        bool fits = k < sizeof line && !memchr(text + at, '\0', k);
        if (fits) {
            memcpy(line, text + at, k);
            line[k] = '\0';
        }
        if (!fits || !take_line(c, line))
            return wrong_line(c, n, err);
        at += k + 1;
    }
    if (c->n_repositories == 0)
        return bk_fail(err, BK_E_USAGE, "the server's configuration names no repository");
    if (c->memory < c->object)
        return bk_fail(err, BK_E_USAGE, "the memory limit is smaller than one object");
    *ret = bk_steal(c);
    return 0;
}

int serve_config_read(const char *path, struct serve_config **ret, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    bk_auto(free) char *text = malloc(CONFIG_MAX);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    if (!text)
        return bk_fail(err, BK_E_NOMEM, "no memory for the server's configuration");
    size_t len = 0;
    for (ssize_t n; len < CONFIG_MAX && (n = read(fd, text + len, CONFIG_MAX - len)) != 0;) {
        if (n < 0 && errno != EINTR)
            return bk_fail_errno(err, errno, "read %s", path);
        len += n > 0 ? (size_t)n : 0;
    }
    if (len == CONFIG_MAX)
        return bk_fail(err, BK_E_LIMIT, "%s is too large", path);
    int r = serve_config_parse(text, len, ret, err);
    return r < 0 ? bk_context(err, "%s", path) : 0;
}
