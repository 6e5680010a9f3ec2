/* Listing: lines of JSON, the last of which says that it is whole. Gathered, so that one that breaks off can
 * be asked for again before any name is handed on. */
#include <stdio.h>
#include <string.h>

#include "bkd/store/https_call.h"
#include "bkd/store/retry.h"

static bool skip(const char **p, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool digits(const char **p, uint64_t *ret)
{
    const char *start = *p;
    uint64_t n = 0;
    for (; **p >= '0' && **p <= '9'; ++*p)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
            return false;
    *ret = n;
    return *p > start;
}

static bool take_name(const char **p, char out[static STORE_NAME_MAX + 1])
{
    size_t n = strcspn(*p, "\"\n");
    if (n == 0 || n > STORE_NAME_MAX)
        return false;
    memcpy(out, *p, n);
    out[n] = '\0';
    *p += n;
    return store_name_valid(out);
}

/* text ends with a zero byte. fn NULL: only looks whether the listing is whole and makes sense. */
static int walk(const char *text, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    uint64_t count = 0, n = 0, size;
    for (const char *p = text; *p;) {
        char name[STORE_NAME_MAX + 1];
        if (skip(&p, "{\"end\":"))
            return digits(&p, &n) && skip(&p, "}\n") && !*p && n == count
                       ? 0
                       : bk_fail(err, BK_E_CORRUPT, "the server's listing makes no sense");
        if (skip(&p, "{\"code\":"))
            return bk_fail(err, BK_E_IO, "the server could not list all of the repository");
        if (!skip(&p, "{\"name\":\"") || !take_name(&p, name) || !skip(&p, "\",\"size\":") ||
            !digits(&p, &size) || !skip(&p, "}\n") || strncmp(name, prefix, strlen(prefix)) != 0)
            return bk_fail(err, BK_E_CORRUPT, "the server's listing makes no sense");
        count++;
        int r = fn ? fn(ctx, name, size, err) : 0;
        if (r != 0)
            return r;
    }
    return bk_fail(err, BK_E_IO, "the server's listing breaks off");
}

int https_list(struct store *store, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    enum { ATTEMPTS = 3 };
    struct https *s = (struct https *)store;
    char path[STORE_NAME_MAX + 32];
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(RETRY_LIST_MAX);
    struct s3_http_answer a;
    bool unsure;
    if (strspn(prefix, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != strlen(prefix) ||
        strlen(prefix) >= STORE_NAME_MAX)
        return bk_fail(err, BK_E_USAGE, "'%s' begins no object name", prefix);
    snprintf(path, sizeof path, "/list?prefix=%s", prefix);
    struct https_call q = { .method = "GET", .path = path, .grow = &b };
    for (int i = 0;; i++) {
        int r = https_call(s, &q, &a, &unsure, err);
        if (r == 0)
            r = bk_buf_u8(&b, 0, err);
        if (r == 0)
            r = walk((const char *)b.data, prefix, NULL, NULL, err);
        if (r == 0)
            break;
        if (r != BK_E_IO || i + 1 == ATTEMPTS)
            return r;
    }
    bk_error_clear(err);
    return walk((const char *)b.data, prefix, fn, ctx, err);
}
