#include "bkctl/opt.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

void operands_clear(struct operands *o)
{
    free(o->v);
    *o = (struct operands){ 0 };
}

void opt_list_clear(struct opt_list *l)
{
    free(l->v);
    *l = (struct opt_list){ 0 };
}

int opt_list_add(struct opt_list *l, const char *s, struct bk_error *err)
{
    if (l->n >= OPT_LIST_MAX)
        return bk_fail(err, BK_E_LIMIT, N_("more than %d values"), OPT_LIST_MAX);
    if ((l->n & (l->n - 1)) == 0) { /* the room doubles at every power of two */
        const char **v = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, N_("grow a list"));
        l->v = v;
    }
    l->v[l->n++] = s;
    return 0;
}

int opt_size(const char *text, uint64_t *ret, struct bk_error *err)
{
    static const char units[] = "kmgtp";
    if (!isdigit((unsigned char)text[0]))
        return bk_fail(err, BK_E_USAGE, N_("'%s' is not a size"), text);
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = 0;
    const char *u = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    if (u && *u) {
        shift = 10 * (unsigned)(u - units + 1);
        end++;
        if (end[0] == 'i' && end[1] == 'B')
            end += 2;
    } else if (end[0] == 'B') {
        end++;
    }
    if (*end) {
        bk_fail(err, BK_E_USAGE, N_("'%s' is not a size"), text);
        return bk_hint(err, N_("a size is a whole number with KiB, MiB, GiB or TiB, for example 64MiB"));
    }
    if (errno == ERANGE || n > UINT64_MAX >> shift)
        return bk_fail(err, BK_E_USAGE, N_("size '%s' is too large"), text);
    *ret = (uint64_t)n << shift;
    return 0;
}

static int set_int(const struct opt *o, int *field, const char *text, struct bk_error *err)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end)
        return bk_fail(err, BK_E_USAGE, N_("'%s' is not a number"), text);
    if (errno || v < o->min || v > o->max)
        return bk_fail(err, BK_E_USAGE, N_("%s is out of range: %d to %d"), text, o->min, o->max);
    *field = (int)v;
    return 0;
}

static int set_percent(double *field, const char *text, struct bk_error *err)
{
    char *end;
    double v = strtod(text, &end);
    if (end != text && *end == '%')
        end++;
    if (end == text || *end)
        return bk_fail(err, BK_E_USAGE, N_("'%s' is not a percentage"), text);
    if (!(v > 0 && v <= 100))
        return bk_fail(err, BK_E_USAGE, N_("a percentage is above 0 and at most 100, not %s"), text);
    *field = v;
    return 0;
}

static int set_choice(const struct opt *o, int *field, const char *text, struct bk_error *err)
{
    size_t len = strlen(text);
    const char *p = o->choices;
    for (int i = 0;; i++) {
        size_t n = strcspn(p, "|");
        if (n == len && !memcmp(p, text, n)) {
            *field = i;
            return 0;
        }
        if (!p[n])
            break;
        p += n + 1;
    }
    bk_fail(err, BK_E_USAGE, N_("'%s' is not one of the choices"), text);
    return bk_hint(err, N_("choose one of: %s"), o->choices);
}

static int set_value(const struct opt *o, void *base, const char *text, struct bk_error *err)
{
    void *field = (char *)base + o->offset;
    switch (o->kind) {
    case OPT_KIND_FLAG:
        *(bool *)field = true;
        return 0;
    case OPT_KIND_COUNT:
        if (*(int *)field < INT_MAX)
            ++*(int *)field;
        return 0;
    case OPT_KIND_STR:
        *(const char **)field = text;
        return 0;
    case OPT_KIND_LIST:
        return opt_list_add(field, text, err);
    case OPT_KIND_SIZE:
        return opt_size(text, field, err);
    case OPT_KIND_INT:
        return set_int(o, field, text, err);
    case OPT_KIND_PERCENT:
        return set_percent(field, text, err);
    case OPT_KIND_CHOICE:
        return set_choice(o, field, text, err);
    case OPT_KIND_END:
        break;
    }
    return bk_fail(err, BK_E_FAILED, N_("option of unknown kind"));
}

static bool takes_value(const struct opt *o)
{
    return o->kind != OPT_KIND_FLAG && o->kind != OPT_KIND_COUNT;
}

int opt_defaults(const struct opt_set *sets, size_t n_sets, struct bk_error *err)
{
    for (size_t i = 0; i < n_sets; i++)
        for (const struct opt *o = sets[i].table; o && o->kind != OPT_KIND_END; o++) {
            const char *env = o->env ? getenv(o->env) : NULL;
            const char *v = env && *env ? env : o->def;
            if (v && set_value(o, sets[i].base, v, err) < 0)
                return env && *env ? bk_context(err, "%s", o->env) : bk_context(err, "--%s", o->name);
        }
    return 0;
}

static unsigned distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    size_t la = strlen(a), lb = strlen(b);
    if (la > MAX || lb > MAX)
        return MAX;
    unsigned row[MAX + 1];
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[lb];
}

const char *opt_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    unsigned least = 3;
    size_t len = strlen(word);
    for (; *candidates; candidates++) {
        unsigned d = distance(word, *candidates);
        if (len >= 3 && !strncmp(word, *candidates, len))
            d = 1; /* an abbreviation */
        if (d < least && d < strlen(*candidates)) {
            least = d;
            best = *candidates;
        }
    }
    return best;
}

static int unknown(const struct opt_set *sets, size_t n_sets, const char *arg, const char *name,
                   struct bk_error *err)
{
    const char *names[OPT_SETS_MAX * OPT_TABLE_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < n_sets; i++)
        for (const struct opt *o = sets[i].table; o && o->kind != OPT_KIND_END && n < BK_COUNT(names) - 1;
             o++)
            if (!o->hidden)
                names[n++] = o->name;
    names[n] = NULL;
    bk_fail(err, BK_E_USAGE, N_("unknown option %s"), arg);
    const char *near = name ? opt_nearest(name, names) : NULL;
    return near ? bk_hint(err, N_("did you mean --%s?"), near) : BK_E_USAGE;
}

struct found {
    struct opt_set *set;
    const struct opt *opt;
};

static bool find(struct opt_set *sets, size_t n_sets, const char *name, size_t len, char ch,
                 struct found *ret)
{
    for (size_t i = 0; i < n_sets; i++)
        for (const struct opt *o = sets[i].table; o && o->kind != OPT_KIND_END; o++)
            if (name ? strlen(o->name) == len && !memcmp(o->name, name, len) : o->ch == ch) {
                *ret = (struct found){ &sets[i], o };
                return true;
            }
    return false;
}

bool opt_seen(const struct opt_set *set, const char *name)
{
    for (size_t i = 0; set->table && set->table[i].kind != OPT_KIND_END; i++)
        if (!strcmp(set->table[i].name, name))
            return set->seen >> i & 1;
    return false;
}

static int take(const struct found *f, const char *value, struct bk_error *err)
{
    size_t at = (size_t)(f->opt - f->set->table);
    f->set->seen |= (uint64_t)1 << at;
    if (set_value(f->opt, f->set->base, value, err) < 0)
        return bk_context(err, "--%s", f->opt->name);
    return 0;
}

/* "--name", "--name=value", "--name value" */
static int take_long(struct opt_set *sets, size_t n_sets, int argc, char **argv, int *i, struct bk_error *err)
{
    const char *name = argv[*i] + 2;
    size_t len = strcspn(name, "=");
    struct found f;
    if (!find(sets, n_sets, name, len, 0, &f)) {
        char word[48] = "";
        if (len < sizeof word)
            memcpy(word, name, len);
        return unknown(sets, n_sets, argv[*i], word, err);
    }
    if (!takes_value(f.opt)) {
        if (name[len])
            return bk_fail(err, BK_E_USAGE, N_("--%s takes no value"), f.opt->name);
        return take(&f, NULL, err);
    }
    if (name[len])
        return take(&f, name + len + 1, err);
    if (*i + 1 >= argc)
        return bk_fail(err, BK_E_USAGE, N_("--%s needs a value"), f.opt->name);
    return take(&f, argv[++*i], err);
}

/* "-xvf FILE", "-fFILE" */
static int take_short(struct opt_set *sets, size_t n_sets, int argc, char **argv, int *i,
                      struct bk_error *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        struct found f;
        if (!find(sets, n_sets, NULL, 0, *p, &f))
            return unknown(sets, n_sets, argv[*i], NULL, err);
        if (!takes_value(f.opt)) {
            if (take(&f, NULL, err) < 0)
                return err ? err->code : BK_E_USAGE;
            continue;
        }
        if (p[1])
            return take(&f, p + 1, err);
        if (*i + 1 >= argc)
            return bk_fail(err, BK_E_USAGE, N_("-%c needs a value"), *p);
        return take(&f, argv[++*i], err);
    }
    return 0;
}

static int check_conflicts(const struct opt_set *sets, size_t n_sets, struct bk_error *err)
{
    for (size_t i = 0; i < n_sets; i++)
        for (size_t k = 0; sets[i].table && sets[i].table[k].kind != OPT_KIND_END; k++) {
            const struct opt *o = &sets[i].table[k];
            if (!(sets[i].seen >> k & 1) || !o->conflicts)
                continue;
            char other[48];
            for (const char *p = o->conflicts; *p;) {
                size_t n = strcspn(p, " ");
                if (n < sizeof other) {
                    memcpy(other, p, n);
                    other[n] = '\0';
                    for (size_t s = 0; s < n_sets; s++)
                        if (opt_seen(&sets[s], other))
                            return bk_fail(err, BK_E_USAGE, N_("--%s and --%s contradict each other"),
                                           o->name, other);
                }
                p += n + (p[n] == ' ');
            }
        }
    return 0;
}

int opt_parse(struct opt_set *sets, size_t n_sets, int argc, char **argv, bool stop_at_operand,
              struct operands *ret, int *ret_used, struct bk_error *err)
{
    bk_auto(operands_clear) struct operands ops = { 0 };
    ops.v = calloc((size_t)argc + 1, sizeof *ops.v);
    if (!ops.v)
        return bk_fail_errno(err, ENOMEM, N_("read the arguments"));
    int i = 0;
    for (; i < argc; i++) {
        char *a = argv[i];
        int r = 0;
        if (ops.dashes || a[0] != '-' || !a[1]) {
            if (stop_at_operand)
                break;
            ops.v[ops.n++] = a;
        } else if (!strcmp(a, "--")) {
            ops.dashes = true;
            ops.n_before = ops.n;
        } else if (a[1] == '-') {
            r = take_long(sets, n_sets, argc, argv, &i, err);
        } else {
            r = take_short(sets, n_sets, argc, argv, &i, err);
        }
        if (r < 0)
            return r;
    }
    if (!ops.dashes)
        ops.n_before = ops.n;
    int r = check_conflicts(sets, n_sets, err);
    if (r < 0)
        return r;
    if (ret_used)
        *ret_used = i;
    *ret = ops;
    ops = (struct operands){ 0 };
    return 0;
}

void opt_clear(const struct opt_set *set)
{
    for (const struct opt *o = set->table; o && o->kind != OPT_KIND_END; o++)
        if (o->kind == OPT_KIND_LIST)
            opt_list_clear((struct opt_list *)(void *)((char *)set->base + o->offset));
}
