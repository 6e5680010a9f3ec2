#include "bkd/life/retention.h"

#include <errno.h>
#include <string.h>

#define NS INT64_C(1000000000)
#define FUTURE_NS (600 * NS)                         /* clocks of honest hosts differ by less */
#define RUN_MAX_NS (31 * (int64_t)CALENDAR_DAY * NS) /* no honest run takes longer */
enum { KEEPS = RETENTION_UNKEPT - 1 };

/* One group at work: indexes into the input, in server order. */
struct group {
    const struct retention_input *in;
    struct retention_verdict *verdict;
    const size_t *member;
    size_t n;
    size_t *chain; /* of members that rules count, in server order */
    size_t n_chain;
    size_t *work; /* room for two times n */
};

static const struct snapshot *snap(const struct group *g, size_t i)
{
    return &g->in->v[i].snap;
}

static int64_t commit_by_client(const struct snapshot *s)
{
    return s->end_ns > s->start_ns ? s->end_ns : s->start_ns;
}

int64_t retention_commit_ns(const struct catalog_item *i)
{
    return i->received_ns ? i->received_ns : commit_by_client(&i->snap);
}

/* How long it ran its own clock can tell, even one that is wrong. */
int64_t retention_start_ns(const struct catalog_item *i)
{
    int64_t ran, start;
    if (!i->received_ns)
        return i->snap.start_ns;
    if (__builtin_sub_overflow(commit_by_client(&i->snap), i->snap.start_ns, &ran) ||
        __builtin_sub_overflow(i->received_ns, ran, &start))
        return i->received_ns;
    return start;
}

static int64_t start_of(const struct group *g, size_t i)
{
    return retention_start_ns(&g->in->v[i]);
}

static int64_t commit_of(const struct group *g, size_t i)
{
    return retention_commit_ns(&g->in->v[i]);
}

static bool contains(const struct snapshot_list *l, const char *tag)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], tag) == 0)
            return true;
    return false;
}

static bool in_scope(const struct retention_scope *s, const struct catalog_item *i)
{
    if ((s->name && strcmp(s->name, i->snap.name) != 0) || (s->host && strcmp(s->host, i->snap.host) != 0))
        return false;
    for (size_t t = 0; t < s->n_tags; t++)
        if (!contains(catalog_tags(i), s->tags[t]))
            return false;
    return true;
}

/* Unix seconds, rounded down, in the zone. */
static int64_t local_s(const struct retention_input *in, int64_t ns)
{
    int64_t s = ns / NS - (ns % NS < 0);
    return s + (in->zone.offset_s ? in->zone.offset_s(in->zone.ctx, s) : 0);
}

static bool dated_after_now(const struct group *g, size_t i)
{
    int64_t latest;
    return !__builtin_add_overflow(g->in->now_ns, FUTURE_NS, &latest) && commit_of(g, i) > latest;
}

static bool ran_too_long(const struct group *g, size_t i)
{
    int64_t ran;
    const struct snapshot *s = snap(g, i);
    return __builtin_sub_overflow(commit_by_client(s), s->start_ns, &ran) || ran > RUN_MAX_NS;
}

/* A longest run of dates that do not go back, by patience sorting: best[k] ends the run of length k+1 that
 * ends earliest. What is in `from` but not in the run contradicts the server's order. */
static void find_chain(struct group *g, const size_t *from, size_t n)
{
    size_t *best = g->work, *before = g->work + g->n, len = 0;
    for (size_t i = 0; i < n; i++) {
        size_t lo = 0, hi = len;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (commit_of(g, from[best[mid]]) <= commit_of(g, from[i]))
                lo = mid + 1;
            else
                hi = mid;
        }
        before[i] = lo ? best[lo - 1] : SIZE_MAX;
        best[lo] = i;
        len += lo == len;
    }
    g->n_chain = len;
    for (size_t k = len, at = len ? best[len - 1] : 0; k-- > 0; at = before[at])
        g->chain[k] = at;
    for (size_t i = 0, k = 0; i < n; i++)
        if (k < len && g->chain[k] == i)
            k++;
        else
            g->verdict[from[i]].why |= RETENTION_ORDER;
    for (size_t k = 0; k < len; k++)
        g->chain[k] = from[g->chain[k]];
}

/* Whose dates are believed, and whose are not. */
static void sift(struct group *g, size_t *from)
{
    size_t n = 0;
    for (size_t k = 0; k < g->n; k++) {
        size_t i = g->member[k];
        if (dated_after_now(g, i))
            g->verdict[i].why |= RETENTION_FUTURE;
        else if (ran_too_long(g, i))
            g->verdict[i].why |= RETENTION_ORDER;
        else if (snap(g, i)->state != STATE_INCOMPLETE)
            from[n++] = i;
    }
    find_chain(g, from, n);
}

static void by_last(struct group *g)
{
    for (size_t k = 0; k < g->n_chain && k < g->in->rules.count[RETENTION_LAST]; k++) {
        struct retention_verdict *v = &g->verdict[g->chain[g->n_chain - 1 - k]];
        v->why |= 1 << RETENTION_LAST;
        v->nth[RETENTION_LAST] = (unsigned)k + 1;
    }
}

static int64_t period_of(const struct group *g, enum retention_rule rule, size_t i)
{
    int64_t s = local_s(g->in, start_of(g, i));
    struct calendar_date d;
    calendar_date(s, &d);
    switch (rule) {
    case RETENTION_HOURLY:
        return d.days * 24 + d.hour;
    case RETENTION_DAILY:
        return d.days;
    case RETENTION_WEEKLY:
        return (int64_t)d.week_year * 64 + d.week;
    case RETENTION_MONTHLY:
        return (int64_t)d.year * 12 + d.month;
    default:
        return d.year;
    }
}

/* By start, the later one in server order last. qsort has no context, so the key is carried along. */
struct dated {
    int64_t start_ns;
    size_t place, item;
};

static int by_start(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static void by_period(struct group *g, enum retention_rule rule, const struct dated *d)
{
    unsigned left = g->in->rules.count[rule], used = 0;
    int64_t last = 0;
    for (size_t k = g->n_chain; k-- > 0 && left;) {
        int64_t period = period_of(g, rule, d[k].item);
        if (used && period == last && k)
            continue;
        struct retention_verdict *v = &g->verdict[d[k].item];
        v->why |= 1U << rule;
        v->nth[rule] = ++used;
        last = period;
        left--;
    }
}

static int by_periods(struct group *g, struct bk_error *err)
{
    bk_auto(free) struct dated *d = calloc(g->n_chain + 1, sizeof *d);
    if (!d)
        return bk_fail_errno(err, ENOMEM, "decide what to keep");
    for (size_t k = 0; k < g->n_chain; k++)
        d[k] = (struct dated){ start_of(g, g->chain[k]), k, g->chain[k] };
    qsort(d, g->n_chain, sizeof *d, by_start);
    for (int rule = RETENTION_HOURLY; rule < RETENTION_COUNTED; rule++)
        by_period(g, (enum retention_rule)rule, d);
    return 0;
}

static void by_within(struct group *g)
{
    int64_t newest = INT64_MIN;
    if (calendar_span_is_zero(&g->in->rules.within) || !g->n_chain)
        return;
    for (size_t k = 0; k < g->n_chain; k++)
        if (start_of(g, g->chain[k]) > newest)
            newest = start_of(g, g->chain[k]);
    int64_t edge = calendar_before(local_s(g->in, newest), &g->in->rules.within);
    for (size_t k = 0; k < g->n; k++)
        if (local_s(g->in, start_of(g, g->member[k])) > edge)
            g->verdict[g->member[k]].why |= RETENTION_WITHIN;
}

/* What is no matter of dates. */
static void by_nature(struct group *g)
{
    const struct retention_rules *r = &g->in->rules;
    size_t newest = g->n_chain ? g->chain[g->n_chain - 1] : 0;
    if (g->n_chain)
        g->verdict[newest].why |= RETENTION_NEWEST;
    for (size_t k = 0; k < g->n; k++) {
        size_t i = g->member[k];
        const struct catalog_item *item = &g->in->v[i];
        struct retention_verdict *v = &g->verdict[i];
        if (item->snap.state == STATE_INCOMPLETE && (!g->n_chain || i > newest))
            v->why |= RETENTION_PENDING;
        if (item->note.number && item->note.hold)
            v->why |= RETENTION_HOLD;
        for (size_t t = 0; t < r->n_tags; t++)
            if (contains(catalog_tags(item), r->tags[t]))
                v->why |= RETENTION_TAG;
    }
}

static int decide_group(struct group *g, struct bk_error *err)
{
    bk_auto(free) size_t *room = calloc(4 * g->n, sizeof *room);
    if (!room)
        return bk_fail_errno(err, ENOMEM, "decide what to keep");
    g->chain = room;
    g->work = room + g->n;
    sift(g, room + 3 * g->n);
    by_last(g);
    int r = by_periods(g, err);
    if (r < 0)
        return r;
    by_within(g);
    by_nature(g);
    return 0;
}

/* A member with its group's name, to be sorted into groups. */
struct member {
    const char *name, *host;
    size_t item;
};

static int same_group(const struct member *x, const struct member *y)
{
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->host, y->host);
}

static int by_group(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = same_group(x, y);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

static size_t gather(const struct retention_input *in, struct retention_verdict *verdict, struct member *m)
{
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        const struct snapshot *s = &in->v[i].snap;
        verdict[i] = (struct retention_verdict){ 0 };
        if (in_scope(&in->scope, &in->v[i]))
            m[n++] = (struct member){ s->name, in->by_name_only ? "" : s->host, i };
        else
            verdict[i].why = RETENTION_NOT_ASKED;
    }
    qsort(m, n, sizeof *m, by_group);
    return n;
}

/* Reasons to keep, or else the reason to go; the minimum has the last word. */
static void conclude(const struct retention_input *in, const int64_t *free_at, struct retention_verdict *v)
{
    int64_t now_s = in->now_ns / NS;
    for (size_t i = 0; i < in->n; i++) {
        if (!v[i].why && in->minimum_s && free_at[i] > now_s) {
            v[i].why = RETENTION_MINIMUM;
            v[i].free_s = free_at[i];
        }
        v[i].keep = v[i].why & KEEPS;
        if (!v[i].keep)
            v[i].why = in->v[i].snap.state == STATE_INCOMPLETE ? RETENTION_SUPERSEDED : RETENTION_UNKEPT;
    }
}

int retention_decide(const struct retention_input *in, struct retention_verdict *ret, size_t *ret_groups,
                     struct bk_error *err)
{
    bk_auto(free) struct member *m = calloc(in->n + 1, sizeof *m);
    bk_auto(free) size_t *members = calloc(in->n + 1, sizeof *members);
    bk_auto(free) int64_t *free_at = calloc(in->n + 1, sizeof *free_at);
    if (!m || !members || !free_at)
        return bk_fail_errno(err, ENOMEM, "decide what to keep");
    size_t n = gather(in, ret, m), groups = 0;
    for (size_t i = 0; i < n; i++)
        members[i] = m[i].item;
    for (size_t at = 0, end; at < n; at = end) {
        for (end = at; end < n && same_group(&m[at], &m[end]) == 0; end++)
            ret[members[end]].group = groups;
        struct group g = { .in = in, .verdict = ret, .member = members + at, .n = end - at };
        int r = decide_group(&g, err);
        if (r < 0)
            return r;
        groups++;
    }
    retention_free_at(in->v, in->n, in->now_ns, in->minimum_s, free_at);
    conclude(in, free_at, ret);
    *ret_groups = groups;
    return 0;
}

void retention_free_at(const struct catalog_item *v, size_t n, int64_t now_ns, uint64_t minimum_s,
                       int64_t *ret_s)
{
    int64_t latest = INT64_MIN;
    int64_t minimum = minimum_s > INT64_MAX ? INT64_MAX : (int64_t)minimum_s;
    for (size_t i = 0; i < n; i++) {
        int64_t received = retention_commit_ns(&v[i]), dated = commit_by_client(&v[i].snap);
        if (received <= now_ns && received > latest)
            latest = received;
        int64_t from = received > latest ? received : latest;
        from = dated > from ? dated : from;
        if (__builtin_add_overflow(from / NS, minimum, &ret_s[i]))
            ret_s[i] = INT64_MAX;
    }
}

bool retention_rules_any(const struct retention_rules *r)
{
    bool any = r->n_tags || !calendar_span_is_zero(&r->within);
    for (int i = 0; i < RETENTION_COUNTED; i++)
        any = any || r->count[i];
    return any;
}
