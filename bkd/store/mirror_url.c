/* mirror:[K:]URL|URL[|URL...] */
#include <stdlib.h>
#include <string.h>

#include "bkd/store/mirror_state.h"
#include "bkd/store/silence.h"

struct parsed {
    char *text;                  /* owned: cut into the urls */
    const char *url[MIRROR_MAX]; /* into text */
    unsigned n, needed;
};

static void parsed_clear(struct parsed *p)
{
    free(p->text);
}
BK_AUTO_CLEAR(struct parsed, parsed_clear)

static int usage(struct bk_error *err, const char *url)
{
    bk_fail(err, BK_E_USAGE, "'%s' names no mirror", url);
    return bk_hint(err,
                   "a mirror is 'mirror:/ONE|/OTHER', up to %d places; 'mirror:1:...' goes on when one copy "
                   "of what is written exists",
                   MIRROR_MAX);
}

/* %7C is the '|' that separates nothing; every other escape is the store's own matter. */
static void unescape(char *s)
{
    char *out = s;
    for (; *s; s++) {
        bool bar = s[0] == '%' && s[1] == '7' && (s[2] == 'C' || s[2] == 'c');
        *out++ = bar ? '|' : *s;
        s += bar ? 2 : 0;
    }
    *out = '\0';
}

static int cut(struct parsed *p, const char *url, char *rest, struct bk_error *err)
{
    for (char *next = rest; next;) {
        char *one = next;
        next = strchr(one, '|');
        if (next)
            *next++ = '\0';
        unescape(one);
        if (!*one || p->n == MIRROR_MAX)
            return usage(err, url);
        for (unsigned i = 0; i < p->n; i++)
            if (strcmp(p->url[i], one) == 0)
                return bk_fail(err, BK_E_USAGE, "%s is named twice: that would be one copy, not two", one);
        p->url[p->n++] = one;
    }
    return p->n < 2 ? usage(err, url) : 0;
}

static int parse(const char *url, struct parsed *p, struct bk_error *err)
{
    p->text = strdup(url + strlen("mirror:"));
    if (!p->text)
        return bk_fail(err, BK_E_NOMEM, "no memory for a mirror");
    char *rest = p->text;
    size_t digits = strspn(rest, "0123456789");
    bool given = digits && digits < 4 && rest[digits] == ':';
    unsigned long needed = given ? strtoul(rest, NULL, 10) : 0;
    int r = cut(p, url, given ? rest + digits + 1 : rest, err);
    if (r < 0)
        return r;
    if (given && (needed < 1 || needed > p->n))
        return bk_fail(err, BK_E_USAGE, "%lu copies are wanted of each object, but %u places are named",
                       needed, p->n);
    p->needed = given ? (unsigned)needed : p->n;
    return 0;
}

static int open_member(const char *url, bool create, const struct world *w, struct store **ret,
                       struct bk_error *err)
{
    bk_auto(store_free) struct store *s = NULL;
    int r = store_open(url, create, w, &s, err);
    if (r == 0 && s->remote)
        r = store_silence_new(s, &s, err);
    if (r == 0)
        *ret = bk_steal(s);
    return r;
}

int store_mirror_open(const char *url, bool create, const struct world *w, struct store **ret,
                      struct bk_error *err)
{
    bk_auto(parsed_clear) struct parsed p = { 0 };
    struct store *stores[MIRROR_MAX] = { 0 };
    struct bk_error why[MIRROR_MAX] = { 0 };
    unsigned opened = 0;
    int r = parse(url, &p, err);
    for (unsigned i = 0; i < p.n && r == 0; i++) {
        int e = open_member(p.url[i], create, w, &stores[i], &why[i]);
        opened += e == 0;
        /* a mistake in the URL is no outage */
        if (e < 0 && (create || e == BK_E_USAGE || e == BK_E_UNSUPPORTED)) {
            if (err)
                *err = why[i];
            r = e;
        }
    }
    if (r == 0 && !opened) {
        if (err)
            *err = why[0];
        r = why[0].code;
    }
    if (r == 0)
        r = mirror_make(stores, p.url, why, p.n, p.needed, w, ret, err);
    for (unsigned i = 0; r < 0 && i < p.n; i++)
        store_free(stores[i]);
    return r;
}
