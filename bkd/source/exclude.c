#include "bkd/source/exclude.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "bkd/source/glob.h"

struct part { /* one component of a pattern */
    const char *p;
    size_t len;
    bool any;   /* "**" */
    bool plain; /* no meta bytes */
};
struct rule {
    char *text;         /* owned */
    struct part *parts; /* owned */
    size_t n_parts;
    bool negated, dirs_only, anchored;
};
struct exclude {
    struct rule *rules;
    size_t n;
    bool wants_path, wants_type;
};

void exclude_free(struct exclude *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++) {
        free(x->rules[i].text);
        free(x->rules[i].parts);
    }
    free(x->rules);
    free(x);
}

static int add_part(struct rule *r, const char *p, size_t len, struct bk_error *err)
{
    if (r->n_parts == EXCLUDE_SEGMENTS_MAX)
        return bk_fail(err, BK_E_USAGE, "exclude pattern '%s' has more than %d components", r->text,
                       EXCLUDE_SEGMENTS_MAX);
    bool any = len == 2 && p[0] == '*' && p[1] == '*';
    if (any && r->n_parts && r->parts[r->n_parts - 1].any)
        return 0; /* "**" twice in a row says no more than once */
    struct part *v = reallocarray(r->parts, r->n_parts + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "exclude pattern '%s'", r->text);
    r->parts = v;
    v[r->n_parts++] = (struct part){ .p = p, .len = len, .any = any, .plain = glob_is_plain(p, len) };
    return 0;
}

static int parse(struct rule *r, const char *pattern, struct bk_error *err)
{
    size_t len = strlen(pattern);
    if (len > EXCLUDE_PATTERN_MAX)
        return bk_fail(err, BK_E_USAGE, "exclude pattern of %zu bytes: at most %d are possible", len,
                       EXCLUDE_PATTERN_MAX);
    r->text = strdup(pattern);
    if (!r->text)
        return bk_fail_errno(err, ENOMEM, "exclude pattern '%s'", pattern);
    const char *p = r->text, *end = p + len;
    if (*p == '!') {
        r->negated = true;
        p++;
    }
    while (end > p && end[-1] == '/') {
        r->dirs_only = true;
        end--;
    }
    r->anchored = *p == '/';
    while (p < end) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        if (n) {
            int e = add_part(r, p, n, err);
            if (e < 0)
                return e;
        }
        p += n + (slash ? 1 : 0);
    }
    if (!r->n_parts)
        return bk_fail(err, BK_E_USAGE, "exclude pattern '%s' names nothing", pattern);
    return 0;
}

int exclude_new(const char *const *patterns, size_t n, struct exclude **ret, struct bk_error *err)
{
    bk_auto(exclude_free) struct exclude *x = calloc(1, sizeof *x);
    if (!x)
        return bk_fail_errno(err, ENOMEM, "exclude patterns");
    x->rules = calloc(n ? n : 1, sizeof *x->rules);
    if (!x->rules)
        return bk_fail_errno(err, ENOMEM, "exclude patterns");
    for (size_t i = 0; i < n; i++) {
        struct rule *r = &x->rules[x->n++];
        int e = parse(r, patterns[i], err);
        if (e < 0)
            return e;
        x->wants_path |= r->anchored || r->n_parts > 1;
        x->wants_type |= r->dirs_only;
    }
    *ret = bk_steal(x);
    return 0;
}

bool exclude_wants_path(const struct exclude *x)
{
    return x->wants_path;
}

bool exclude_wants_type(const struct exclude *x)
{
    return x->wants_type;
}

bool exclude_is_empty(const struct exclude *x)
{
    return x->n == 0;
}

static bool part_match(const struct part *p, const char *t, size_t len)
{
    if (p->plain)
        return p->len == len && !memcmp(p->p, t, len);
    return glob_match(p->p, p->len, t, len);
}

/* The component of `path` that ends before *end (exclusive), moving *end to before it. False at the root. */
static bool component_before(const char *path, size_t *end, const char **ret, size_t *ret_len)
{
    size_t e = *end;
    while (e && path[e - 1] == '/')
        e--;
    if (!e)
        return false;
    size_t b = e;
    while (b && path[b - 1] != '/')
        b--;
    *ret = path + b;
    *ret_len = e - b;
    *end = b;
    return true;
}

/* Match parts[0..n) against the components of path[0..end), from the last one up. Like a star in a glob, only
 * the "**" met last ever needs to be tried again. A rule that is not anchored has an implied "**" in front.
 */
static bool parts_match(const struct rule *r, size_t n, const char *path, size_t end)
{
    bool starred = false;
    size_t star_n = 0, star_end = 0;
    for (;;) {
        if (!n && !r->anchored)
            return true;
        if (n && r->parts[n - 1].any) {
            starred = true;
            star_n = --n;
            star_end = end;
            continue;
        }
        size_t before = end;
        const char *t;
        size_t len;
        bool more = component_before(path, &before, &t, &len);
        if (!more && !n)
            return true;
        if (more && n && part_match(&r->parts[n - 1], t, len)) {
            n--;
            end = before;
            continue;
        }
        if (!starred || !component_before(path, &star_end, &t, &len))
            return false;
        n = star_n;
        end = star_end;
    }
}

static bool rule_match(const struct rule *r, const char *dir, size_t dir_len, const char *name,
                       size_t name_len)
{
    size_t n = r->n_parts;
    if (!r->parts[n - 1].any) {
        if (!part_match(&r->parts[n - 1], name, name_len))
            return false;
        if (n == 1 && !r->anchored)
            return true;
        return parts_match(r, n - 1, dir, dir_len);
    }
    /* "a" and "**": everything inside, at any depth, but not a itself: so the last component is taken by the
     * "**". */
    return parts_match(r, n, dir, dir_len);
}

bool exclude_match(const struct exclude *x, const char *dir, size_t dir_len, const char *name,
                   size_t name_len, bool is_dir)
{
    for (size_t i = x->n; i-- > 0;) {
        const struct rule *r = &x->rules[i];
        if (r->dirs_only && !is_dir)
            continue;
        if (rule_match(r, dir, dir_len, name, name_len))
            return !r->negated;
    }
    return false;
}
