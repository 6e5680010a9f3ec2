#include "bkd/store/rados_url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char scheme[] = "rados://";

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Control bytes are refused: they would end up in messages. */
int rados_url_decode(const char *s, size_t len, char *out, size_t cap, const char *what, struct bk_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)s[i];
        if (c == '%') {
            int high = len - i > 2 ? hex(s[i + 1]) : -1;
            int low = high >= 0 ? hex(s[i + 2]) : -1;
            if (low < 0)
                return bk_fail(err, BK_E_USAGE, "the URL's %s has a %% without two hex digits",
                               bk_text(what));
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return bk_fail(err, BK_E_USAGE, "the URL's %s has a control character", bk_text(what));
        if (n + 1 >= cap)
            return bk_fail(err, BK_E_USAGE, "the URL's %s is longer than %zu bytes", bk_text(what), cap - 1);
        out[n++] = (char)c;
    }
    out[n] = 0;
    return 0;
}

static int seconds(const char *s, size_t len, unsigned *ret, const char *what, struct bk_error *err)
{
    unsigned v = 0;
    bool ok = len > 0 && len <= 4;
    for (size_t i = 0; ok && i < len; i++) {
        ok = s[i] >= '0' && s[i] <= '9';
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    if (!ok || v == 0 || v > RADOS_URL_SECONDS_MAX)
        return bk_fail(err, BK_E_USAGE, "the URL's %s is not a number of seconds from 1 to %d", bk_text(what),
                       RADOS_URL_SECONDS_MAX);
    *ret = v;
    return 0;
}

static bool is_key(const char *s, size_t len, const char *key)
{
    return len == strlen(key) && memcmp(s, key, len) == 0;
}

int rados_url_parameter(const char *s, size_t len, struct rados_url *u, struct bk_error *err)
{
    const char *eq = memchr(s, '=', len);
    size_t key = eq ? (size_t)(eq - s) : len;
    const char *value = eq ? eq + 1 : s + len;
    size_t n = len - (size_t)(value - s);
    if (is_key(s, key, "conf"))
        return rados_url_decode(value, n, u->conf, sizeof u->conf, "conf", err);
    if (is_key(s, key, "keyring"))
        return rados_url_decode(value, n, u->keyring, sizeof u->keyring, "keyring", err);
    if (is_key(s, key, "timeout"))
        return seconds(value, n, &u->timeout_s, "timeout", err);
    if (is_key(s, key, "connect"))
        return seconds(value, n, &u->connect_s, "connect", err);
    bk_fail(err, BK_E_USAGE, "a RADOS URL has no parameter '%.*s'", key > 64 ? 64 : (int)key, s);
    return bk_hint(err, "parameters are conf, keyring, timeout and connect");
}

static int place(const char *s, size_t len, struct rados_url *u, struct bk_error *err)
{
    const char *slash = memchr(s, '/', len);
    size_t head = slash ? (size_t)(slash - s) : len;
    const char *at = memchr(s, '@', head);
    const char *pool = at ? at + 1 : s;
    int r = 0;
    if (at)
        r = rados_url_decode(s, (size_t)(at - s), u->client, sizeof u->client, N_("client"), err);
    if (r == 0 && strncmp(u->client, "client.", 7) != 0)
        r = bk_fail(err, BK_E_USAGE, "'%s' is no Ceph client: its name starts with client.", u->client);
    if (r == 0)
        r = rados_url_decode(pool, head - (size_t)(pool - s), u->pool, sizeof u->pool, N_("pool"), err);
    if (r == 0 && !u->pool[0])
        r = bk_fail(err, BK_E_USAGE, "the URL names no pool");
    if (r == 0 && slash)
        r = rados_url_decode(slash + 1, len - head - 1, u->ns, sizeof u->ns, N_("namespace"), err);
    return r;
}

int rados_url_parse(const char *url, struct rados_url *ret, struct bk_error *err)
{
    struct rados_url u = { .client = "client.admin",
                           .timeout_s = RADOS_URL_TIMEOUT_S,
                           .connect_s = RADOS_URL_CONNECT_S };
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return bk_fail(err, BK_E_USAGE, "%s is no RADOS URL", url);
    const char *s = url + sizeof scheme - 1;
    size_t len = strcspn(s, "?");
    int r = place(s, len, &u, err);
    const char *p = s[len] ? s + len + 1 : s + len;
    while (r == 0 && *p) {
        size_t n = strcspn(p, "&");
        if (n)
            r = rados_url_parameter(p, n, &u, err);
        p += n + (p[n] == '&');
    }
    if (r < 0)
        return bk_hint(err, "a RADOS repository is rados://[client.NAME@]POOL[/NAMESPACE][?conf=FILE]");
    *ret = u;
    return 0;
}
