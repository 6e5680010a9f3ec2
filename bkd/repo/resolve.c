/* How people name a snapshot. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/catalog.h"

enum { PREFIX_MIN = 4, CANDIDATES_SHOWN = 6, NAMES_SHOWN = 6 };

static bool named(const struct catalog_item *i, const char *name, size_t len)
{
    return !name || (i->snap.name && strlen(i->snap.name) == len && memcmp(i->snap.name, name, len) == 0);
}

static const struct catalog_item *newest(const struct catalog *c, const char *name, size_t len,
                                         enum snapshot_level level)
{
    for (size_t k = c->n; k-- > 0;) {
        const struct catalog_item *i = &c->v[k];
        if (i->snap.state != STATE_INCOMPLETE && named(i, name, len) && (!level || i->snap.level == level))
            return i;
    }
    return NULL;
}

const struct catalog_item *catalog_newest(const struct catalog *c, const char *name,
                                          enum snapshot_level level)
{
    return newest(c, name, strlen(name), level);
}

/* Some of the names there are, newest first, each once: "home, mail". */
static void list_names(const struct catalog *c, char *out, size_t size)
{
    size_t at = 0;
    unsigned shown = 0;
    out[0] = '\0';
    for (size_t k = c->n; k-- > 0 && shown < NAMES_SHOWN;) {
        const char *name = c->v[k].snap.name;
        bool seen = !name || !*name;
        for (size_t later = k + 1; later < c->n && !seen; later++)
            seen = c->v[later].snap.name && strcmp(c->v[later].snap.name, name) == 0;
        if (seen)
            continue;
        int n = snprintf(out + at, size - at, "%s%s", shown ? ", " : "", name);
        if (n < 0 || (size_t)n >= size - at) {
            out[at] = '\0';
            return;
        }
        at += (size_t)n;
        shown++;
    }
}

static int none_named(const struct catalog *c, const char *name, size_t len, struct bk_error *err)
{
    char names[160];
    bk_fail(err, BK_E_ABSENT, "there is no snapshot named %.*s", (int)(len > 256 ? 256 : len), name);
    list_names(c, names, sizeof names);
    return names[0] ? bk_hint(err, "names there are: %s", names) : BK_E_ABSENT;
}

static int resolve_latest(const struct catalog *c, const char *name, size_t len,
                          const struct catalog_item **ret, struct bk_error *err)
{
    const struct catalog_item *i = newest(c, name, len, 0);
    if (i) {
        *ret = i;
        return 0;
    }
    for (size_t k = 0; k < c->n; k++)
        if (named(&c->v[k], name, len)) {
            bk_fail(err, BK_E_ABSENT, "there are only incomplete snapshots");
            return bk_hint(err, "an incomplete one is never the latest: name it by its id");
        }
    if (name && c->n)
        return none_named(c, name, len, err);
    bk_fail(err, BK_E_ABSENT, "the repository has no snapshots");
    return c->n_damaged ? bk_hint(err,
                                  BK_COUNTED("%zu snapshot is damaged: run bkctl check",
                                             "%zu snapshots are damaged: run bkctl check", c->n_damaged),
                                  c->n_damaged)
                        : bk_hint(err, "make one with: bkctl backup");
}

/* An id as far as it was given, and whose it is to be. */
struct wanted {
    char hex[2 * SESSION_ID + 1]; /* lower case */
    size_t len;
    const char *name; /* NULL: anybody's */
    size_t name_len;
};

static int compare(const struct catalog_item *i, const struct wanted *w)
{
    char hex[2 * SESSION_ID + 1];
    object_hex(i->snap.id, SESSION_ID, hex);
    return memcmp(hex, w->hex, w->len);
}

static bool fits(const struct catalog_item *i, const struct wanted *w)
{
    return compare(i, w) == 0 && named(i, w->name, w->name_len);
}

static int ambiguous(const struct catalog *c, const char *prefix, const struct wanted *w, size_t n,
                     struct bk_error *err)
{
    char list[CANDIDATES_SHOWN * (2 * SESSION_ID + 2) + 8];
    size_t at = 0;
    unsigned shown = 0;
    for (size_t k = c->n; k-- > 0 && shown < CANDIDATES_SHOWN;) {
        if (!fits(&c->v[k], w))
            continue;
        char hex[2 * SESSION_ID + 1];
        object_hex(c->v[k].snap.id, SESSION_ID, hex);
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", shown++ ? ", " : "", hex);
    }
    if (n > shown)
        snprintf(list + at, sizeof list - at, ", ...");
    bk_fail(err, BK_E_AMBIGUOUS, "%s fits %zu snapshots: %s", prefix, n, list);
    return bk_hint(err, "give more digits of the id");
}

/* Lower-case digits of a prefix; false when it is none. */
static bool hex_prefix(const char *s, char out[static 2 * SESSION_ID + 1], size_t *ret_len)
{
    size_t n = strlen(s);
    if (n > 2 * SESSION_ID)
        return false;
    for (size_t i = 0; i <= n; i++) {
        out[i] = (char)tolower((unsigned char)s[i]);
        if (i < n && !isxdigit((unsigned char)s[i]))
            return false;
    }
    *ret_len = n;
    return true;
}

static int no_such(const struct catalog *c, const char *name, struct bk_error *err)
{
    bool is_name = catalog_newest(c, name, 0) != NULL;
    bk_fail(err, BK_E_ABSENT, "no snapshot has an id that starts with %.256s", name);
    if (is_name)
        return bk_hint(err, "the newest snapshot of that name is %.64s@latest", name);
    return bk_hint(err, "a snapshot is named by 4 or more digits of its id, latest, or NAME@latest");
}

static int resolve_prefix(const struct catalog *c, const char *prefix, const char *name, size_t name_len,
                          const struct catalog_item **ret, struct bk_error *err)
{
    struct wanted w = { .name = name, .name_len = name_len };
    size_t n = 0, lo = 0, hi = c->n;
    if (!hex_prefix(prefix, w.hex, &w.len) || w.len < PREFIX_MIN)
        return no_such(c, prefix, err);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(&c->v[c->by_id[mid]], &w) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < c->n && compare(&c->v[c->by_id[lo]], &w) == 0; lo++)
        if (fits(&c->v[c->by_id[lo]], &w)) {
            *ret = &c->v[c->by_id[lo]];
            n++;
        }
    if (n > 1)
        return ambiguous(c, prefix, &w, n, err);
    return n ? 0 : no_such(c, prefix, err);
}

int catalog_resolve(const struct catalog *c, const char *name, const struct catalog_item **ret,
                    struct bk_error *err)
{
    const struct catalog_item *found = NULL;
    const char *at = strrchr(name, '@'); /* a name may hold one itself */
    const char *what = at ? at + 1 : name;
    size_t len = at ? (size_t)(at - name) : 0;
    int r = strcmp(what, "latest") == 0 ? resolve_latest(c, at ? name : NULL, len, &found, err)
                                        : resolve_prefix(c, what, at ? name : NULL, len, &found, err);
    if (r == 0)
        *ret = found;
    return r;
}
