#include "bkd/serve/request.h"

#include <stdio.h>
#include <string.h>

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static int malformed(struct bk_error *err)
{
    return bk_fail(err, BK_E_USAGE, "the request makes no sense");
}

static int op_of(const char *method, struct serve_request *q, struct bk_error *err)
{
    static const struct {
        const char *method;
        enum serve_op op;
    } known[] = {
        { "PUT", SERVE_PUT }, { "GET", SERVE_GET }, { "HEAD", SERVE_STAT }, { "DELETE", SERVE_REMOVE }
    };
    for (size_t i = 0; i < BK_COUNT(known); i++)
        if (strcmp(method, known[i].method) == 0) {
            q->op = known[i].op;
            return 0;
        }
    return malformed(err);
}

int serve_request_parse(const char *method, const char *path, struct serve_request *ret, struct bk_error *err)
{
    struct serve_request q = { 0 };
    size_t n = path[0] == '/' ? strcspn(path + 1, "/") : 0;
    if (n == 0 || n > SERVE_NAME_MAX)
        return malformed(err);
    memcpy(q.repository, path + 1, n);
    const char *rest = path + 1 + n;
    bool get = strcmp(method, "GET") == 0;
    if (rest[0] == '\0' && get) {
        q.op = SERVE_INFO;
    } else if (strcmp(rest, "/list") == 0 && get) {
        q.op = SERVE_LIST;
    } else if (starts(rest, "/o/")) {
        if (!store_name_valid(rest + 3))
            return malformed(err);
        strcpy(q.name, rest + 3);
        int r = op_of(method, &q, err);
        if (r < 0)
            return r;
    } else {
        return malformed(err);
    }
    *ret = q;
    return 0;
}

static bool digits(const char **s, uint64_t *ret)
{
    uint64_t n = 0;
    const char *p = *s;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return false;
    bool some = p > *s;
    *s = p;
    *ret = n;
    return some;
}

bool serve_request_number(const char *s, uint64_t *ret)
{
    return digits(&s, ret) && !*s;
}

bool serve_request_range(const char *s, uint64_t *ret_first, uint64_t *ret_last)
{
    uint64_t first, last;
    if (!starts(s, "bytes="))
        return false;
    s += 6;
    if (!digits(&s, &first) || *s++ != '-' || !digits(&s, &last) || *s || last < first)
        return false;
    *ret_first = first;
    *ret_last = last;
    return true;
}

bool serve_request_prefix(const char *s)
{
    char whole[STORE_NAME_MAX + 2];
    size_t n = strlen(s);
    if (n == 0)
        return true;
    if (n >= STORE_NAME_MAX)
        return false;
    /* a prefix may end where a name may not */
    snprintf(whole, sizeof whole, "%sx", s);
    return store_name_valid(whole);
}

static const char *original(const char *name)
{
    return starts(name, "copies/") ? name + strlen("copies/") : name;
}

static enum serve_may may_put(enum serve_role role, const char *name)
{
    if (starts(name, "sessions/"))
        return SERVE_OWN;
    if (role != SERVE_WRITER)
        return SERVE_NO;
    /* a snapshot's name is its session's: nobody ends or voids the session of another */
    const char *o = original(name);
    if (starts(o, "snapshots/"))
        return SERVE_OWN;
    return starts(o, "data/") || starts(o, "meta/") || starts(o, "index/") ? SERVE_YES : SERVE_NO;
}

enum serve_may serve_request_may(enum serve_role role, enum serve_op op, const char *name)
{
    bool changes = op == SERVE_PUT || op == SERVE_REMOVE;
    if (role == SERVE_NOBODY || (changes && starts(name, SERVE_RECEIVED)))
        return SERVE_NO;
    if (!changes || role == SERVE_COLLECTOR)
        return SERVE_YES;
    if (op == SERVE_PUT)
        return may_put(role, name);
    return starts(name, "sessions/") ? SERVE_OWN : SERVE_NO;
}

void serve_request_session(const char *name, char out[static STORE_NAME_MAX + 1])
{
    const char *id = strchr(original(name), '/');
    id = id ? id + 1 : "";
    snprintf(out, STORE_NAME_MAX + 1, "sessions/%.*s", (int)strcspn(id, "./"), id);
}
