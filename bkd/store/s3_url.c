#include "bkd/store/s3_url.h"

#include <string.h>

enum { TIMEOUT_DEFAULT_S = 180, TIMEOUT_MAX_S = 86400, CONNECTIONS_DEFAULT = 16, CONNECTIONS_MAX = 256 };
enum { RETAIN_MAX_DAYS = 36500 };

static int malformed(const char *url, const char *why, struct bk_error *err)
{
    bk_fail(err, BK_E_USAGE, "%s: %s", url, bk_text(why));
    return bk_hint(err, "an S3 repository is named s3://HOST[:PORT]/BUCKET[/PREFIX]?region=R&tls=on|off");
}

static bool only(const char *s, size_t len, const char *others)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !strchr(others, c))
            return false;
    }
    return true;
}

/* Copies a part that fits and consists of letters, digits and `others`. */
static bool take(char *out, size_t cap, const char *s, size_t len, const char *others)
{
    if (len >= cap || !only(s, len, others))
        return false;
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

static bool is_bucket(const char *s)
{
    size_t n = strlen(s);
    return n >= 3 && s[0] != '.' && s[0] != '-' && !strstr(s, "..");
}

/* No empty part and no part of dots: a proxy on the way would resolve them. */
static bool is_prefix(const char *s)
{
    for (const char *p = s; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        p += *p == '/';
    }
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode(const char *s, size_t len, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = len - i > 2 ? hex(s[i + 1]) : -1;
            int lo = len - i > 2 ? hex(s[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (c < ' ' || n + 1 >= cap)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool number(const char *s, unsigned min, unsigned max, unsigned *ret)
{
    unsigned long n = 0;
    size_t len = strlen(s);
    if (len == 0 || len > 6)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (unsigned long)(s[i] - '0');
    }
    if (n < min || n > max)
        return false;
    *ret = (unsigned)n;
    return true;
}

/* Which of the words of a NULL-ended list; -1 none. */
static int choice(const char *s, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(s, words[i]) == 0)
            return i;
    return -1;
}

static bool set_switch(const char *value, const char *no, const char *yes, bool *ret)
{
    int i = choice(value, (const char *const[]){ no, yes, NULL });
    *ret = i == 1;
    return i >= 0;
}

static bool set_lock(const char *value, struct s3_url *u)
{
    int i = choice(value, (const char *const[]){ "none", "compliance", "governance", NULL });
    u->lock = i < 0 ? S3_LOCK_NONE : (enum s3_lock)i;
    return i >= 0;
}

/* 1 taken, 0 a bad value, -1 not known */
static int set_param(struct s3_url *u, const char *name, const char *value)
{
    size_t len = strlen(value);
    if (strcmp(name, "region") == 0)
        return len && take(u->region, sizeof u->region, value, len, "-_.");
    if (strcmp(name, "style") == 0)
        return set_switch(value, "path", "virtual", &u->virtual_style);
    if (strcmp(name, "tls") == 0)
        return set_switch(value, "off", "on", &u->tls);
    if (strcmp(name, "ca") == 0) {
        if (!len || len >= sizeof u->ca)
            return 0;
        memcpy(u->ca, value, len + 1);
        return 1;
    }
    if (strcmp(name, "profile") == 0)
        return len && take(u->profile, sizeof u->profile, value, len, "-_.@ ");
    if (strcmp(name, "control") == 0)
        return take(u->control, sizeof u->control, value, len, "-_.") && is_bucket(u->control);
    if (strcmp(name, "lock") == 0)
        return set_lock(value, u);
    if (strcmp(name, "retain") == 0)
        return number(value, 1, RETAIN_MAX_DAYS, &u->retain_days);
    if (strcmp(name, "timeout") == 0)
        return number(value, 1, TIMEOUT_MAX_S, &u->timeout_s);
    if (strcmp(name, "connections") == 0)
        return number(value, 1, CONNECTIONS_MAX, &u->connections);
    return -1;
}

static int parse_params(const char *url, const char *p, struct s3_url *u, struct bk_error *err)
{
    while (*p) {
        char name[S3_WORD_MAX + 1], value[S3_PATH_MAX + 1];
        size_t n = strcspn(p, "&");
        const char *eq = memchr(p, '=', n);
        if (!eq || !take(name, sizeof name, p, (size_t)(eq - p), "") ||
            !decode(eq + 1, n - (size_t)(eq + 1 - p), value, sizeof value))
            return malformed(url, N_("what follows '?' is no list of name=value"), err);
        int known = set_param(u, name, value);
        if (known < 0)
            return bk_fail(err, BK_E_USAGE, "%s: '%s' is no setting of an S3 repository", url, name);
        if (known == 0)
            return bk_fail(err, BK_E_USAGE, "%s: '%s' is no value for %s", url, value, name);
        p += n;
        p += *p == '&';
    }
    return 0;
}

static int check(const char *url, const struct s3_url *u, struct bk_error *err)
{
    if (u->retain_days && u->lock == S3_LOCK_NONE)
        return malformed(url, N_("retain= needs lock=compliance or lock=governance"), err);
    if (u->lock != S3_LOCK_NONE && !u->control[0])
        return malformed(url,
                         N_("lock= needs control=BUCKET: a bucket without versions for the objects whose "
                            "names must be taken only once"),
                         err);
    if (strcmp(u->control, u->bucket) == 0)
        return malformed(url, N_("control= names the same bucket"), err);
    return 0;
}

int s3_url_parse(const char *url, struct s3_url *ret, struct bk_error *err)
{
    struct s3_url u = {
        .region = "us-east-1", .tls = true, .timeout_s = TIMEOUT_DEFAULT_S, .connections = CONNECTIONS_DEFAULT
    };
    if (strncmp(url, "s3://", 5) != 0)
        return malformed(url, N_("that is no s3:// URL"), err);
    const char *host = url + 5;
    size_t n = strcspn(host, "/?");
    if (n == 0 || !take(u.host, sizeof u.host, host, n, "-._:[]"))
        return malformed(url, N_("the host is missing or malformed"), err);
    const char *p = host + n;
    p += *p == '/';
    n = strcspn(p, "/?");
    if (!take(u.bucket, sizeof u.bucket, p, n, "-_.") || !is_bucket(u.bucket))
        return malformed(url, N_("the bucket is missing or malformed"), err);
    p += n;
    p += *p == '/';
    n = strcspn(p, "?");
    while (n > 0 && p[n - 1] == '/')
        n--;
    if (!take(u.prefix, sizeof u.prefix - 1, p, n, "-_./") || !is_prefix(u.prefix))
        return malformed(url, N_("the prefix is malformed"), err);
    if (n)
        strcat(u.prefix, "/");
    p += strcspn(p, "?");
    int r = parse_params(url, *p ? p + 1 : p, &u, err);
    if (r == 0)
        r = check(url, &u, err);
    if (r == 0)
        *ret = u;
    return r;
}
