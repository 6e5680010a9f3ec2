#include "bkd/store/https_url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/base/auto.h"

enum { TIMEOUT_DEFAULT_S = 180, TIMEOUT_MAX_S = 86400, CONNECTIONS_DEFAULT = 16, CONNECTIONS_MAX = 256 };

static int malformed(const char *url, struct bk_error *err)
{
    bk_fail(err, BK_E_USAGE, "%s is no HTTPS repository", url);
    return bk_hint(err, "a repository that bkd serves is named https://HOST[:PORT]/REPO?ca=FILE");
}

static bool take(char *out, size_t cap, const char *s, size_t len, const char *chars)
{
    if (len == 0 || len >= cap || (chars && strspn(s, chars) < len))
        return false;
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

static bool number(const char *s, size_t len, unsigned max, unsigned *ret)
{
    char text[8];
    if (!take(text, sizeof text, s, len, "0123456789"))
        return false;
    unsigned long n = strtoul(text, NULL, 10);
    *ret = (unsigned)n;
    return n > 0 && n <= max;
}

static bool set(struct https_url *u, const char *s, size_t len)
{
    const struct {
        const char *name;
        char *out;
    } files[] = {
        { "ca=", u->ca }, { "cert=", u->cert }, { "key=", u->key }, { "token-file=", u->token_file }
    };
    for (size_t i = 0; i < BK_COUNT(files); i++) {
        size_t n = strlen(files[i].name);
        if (len > n && strncmp(s, files[i].name, n) == 0)
            return take(files[i].out, HTTPS_PATH_MAX + 1, s + n, len - n, NULL);
    }
    if (len > 8 && strncmp(s, "timeout=", 8) == 0)
        return number(s + 8, len - 8, TIMEOUT_MAX_S, &u->timeout_s);
    return len > 12 && strncmp(s, "connections=", 12) == 0 &&
           number(s + 12, len - 12, CONNECTIONS_MAX, &u->connections);
}

int https_url_parse(const char *url, struct https_url *ret, struct bk_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    struct https_url u = { .timeout_s = TIMEOUT_DEFAULT_S, .connections = CONNECTIONS_DEFAULT };
    if (strncmp(url, "https://", 8) != 0)
        return malformed(url, err);
    const char *p = url + 8;
    size_t n = strcspn(p, "/?");
    if (!take(u.host, sizeof u.host, p, n,
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") ||
        p[n] != '/')
        return malformed(url, err);
    p += n + 1;
    n = strcspn(p, "?");
    if (!take(u.repo, sizeof u.repo, p, n, plain))
        return malformed(url, err);
    p += n;
    for (p += *p == '?'; *p; p += *p == '&') {
        n = strcspn(p, "&");
        if (!set(&u, p, n))
            return bk_fail(err, BK_E_USAGE, "%s: '%.*s' is no setting of an HTTPS repository", url, (int)n,
                           p);
        p += n;
    }
    if (!u.cert[0] != !u.key[0])
        return bk_fail(err, BK_E_USAGE, "%s: cert= and key= belong together", url);
    *ret = u;
    return 0;
}

/* One line. */
static int read_token(FILE *f, char out[static HTTPS_TOKEN_MAX + 1])
{
    char line[HTTPS_TOKEN_MAX + 2];
    if (!fgets(line, sizeof line, f))
        return -1;
    size_t n = strcspn(line, "\r\n");
    if (n > HTTPS_TOKEN_MAX)
        return -1;
    memcpy(out, line, n);
    out[n] = '\0';
    return 0;
}

static int of_file(const char *path, char out[static HTTPS_TOKEN_MAX + 1], struct bk_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return bk_fail_errno(err, errno, "open %s", path);
    int r = read_token(f, out);
    fclose(f);
    return r < 0 ? bk_fail(err, BK_E_USAGE, "%s holds no token", path) : 0;
}

static int of_command(const char *command, char out[static HTTPS_TOKEN_MAX + 1], struct bk_error *err)
{
    FILE *f = popen(command, "re");
    if (!f)
        return bk_fail_errno(err, errno, "run BKCTL_TOKEN_COMMAND");
    int r = read_token(f, out);
    if (pclose(f) != 0 || r < 0)
        return bk_fail(err, BK_E_USAGE, "BKCTL_TOKEN_COMMAND gives no token");
    return 0;
}

int https_token(const struct https_url *u, char out[static HTTPS_TOKEN_MAX + 1], struct bk_error *err)
{
    const char *token = getenv("BKCTL_TOKEN"), *file = getenv("BKCTL_TOKEN_FILE"),
               *command = getenv("BKCTL_TOKEN_COMMAND");
    int r = 0;
    out[0] = '\0';
    if (u->token_file[0])
        r = of_file(u->token_file, out, err);
    else if (token && strlen(token) <= HTTPS_TOKEN_MAX)
        strcpy(out, token);
    else if (token)
        r = bk_fail(err, BK_E_USAGE, "BKCTL_TOKEN is no token");
    else if (file && file[0])
        r = of_file(file, out, err);
    else if (command && command[0])
        r = of_command(command, out, err);
    /* anything else would end the header that it goes into */
    for (const char *p = out; r == 0 && *p; p++)
        if (*p <= ' ' || *p > '~')
            r = bk_fail(err, BK_E_USAGE, "the token has characters that no token has");
    return r;
}
