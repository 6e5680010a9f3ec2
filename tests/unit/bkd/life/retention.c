/* Rules as people expect them, and against a model that knows no shortcuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "bkd/life/retention.h"

#define NS INT64_C(1000000000)
enum { MOST = 64, MINUTE = 60, HOUR = 3600, DAY = 86400 };

struct set {
    struct catalog_item v[MOST];
    struct retention_verdict verdict[MOST];
    size_t n, groups;
};

static char one_name[] = "home", other_name[] = "mail", one_host[] = "a", other_host[] = "b";

static int64_t at(int year, int month, int day, int hour)
{
    return calendar_seconds(year, month, day) + hour * HOUR;
}

static struct catalog_item *add(struct set *s, int64_t start_s)
{
    struct catalog_item *i = &s->v[s->n++];
    *i = (struct catalog_item){ 0 };
    i->snap.name = one_name;
    i->snap.host = one_host;
    i->snap.sequence = s->n;
    i->snap.state = STATE_COMPLETE;
    i->snap.start_ns = start_s * NS;
    i->snap.end_ns = (start_s + MINUTE) * NS;
    return i;
}

static struct retention_input input(const struct set *s)
{
    return (struct retention_input){ .v = s->v, .n = s->n, .now_ns = at(2030, 1, 1, 0) * NS };
}

static void decide(struct set *s, const struct retention_input *in)
{
    struct bk_error err = { 0 };
    assert_int_equal(retention_decide(in, s->verdict, &s->groups, &err), 0);
}

/* What stays, as a string of + and -. */
static void expect(const struct set *s, const char *want)
{
    char got[MOST + 1];
    for (size_t i = 0; i < s->n; i++)
        got[i] = s->verdict[i].keep ? '+' : '-';
    got[s->n] = '\0';
    assert_string_equal(got, want);
}

static void last_keeps_the_last(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    for (int i = 0; i < 5; i++)
        add(&s, at(2026, 1, 1, i));
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_LAST] = 2;
    decide(&s, &in);
    expect(&s, "---++");
    assert_int_equal(s.verdict[4].nth[RETENTION_LAST], 1);
    assert_int_equal(s.verdict[3].nth[RETENTION_LAST], 2);
    assert_int_equal(s.verdict[0].why, RETENTION_UNKEPT);
}

/* The example of docs/design/retention.md: two runs a day, at 6 and at 18 o'clock. */
static void grandfather_father_son(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    for (int day = 1; day <= 30; day++) {
        add(&s, at(2026, 11, day, 6));
        add(&s, at(2026, 11, day, 18));
    }
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_DAILY] = 3;
    in.rules.count[RETENTION_WEEKLY] = 2;
    in.rules.count[RETENTION_MONTHLY] = 12;
    decide(&s, &in);
    size_t kept = 0;
    for (size_t i = 0; i < s.n; i++)
        kept += s.verdict[i].keep;
    /* The evenings of 30, 29 and 28; Sunday 29 ends a week; the oldest of all, for monthly has room. */
    assert_int_equal(kept, 4);
    assert_true(s.verdict[59].why & 1 << RETENTION_MONTHLY && s.verdict[59].why & 1 << RETENTION_WEEKLY);
    assert_true(s.verdict[57].why & 1 << RETENTION_WEEKLY && s.verdict[57].nth[RETENTION_WEEKLY] == 2);
    assert_int_equal(s.verdict[55].why, 1 << RETENTION_DAILY);
    assert_int_equal(s.verdict[0].why, 1 << RETENTION_MONTHLY);
    char text[RETENTION_TEXT];
    assert_string_equal(retention_explain(&in, &s.v[57], &s.verdict[57], text),
                        "day 2026-11-29 (2 of 3), week 2026-W48 (2 of 2)");
}

static int64_t two_hours_east(void *ctx, int64_t s)
{
    (void)ctx, (void)s;
    return 2 * HOUR;
}

static void periods_are_those_of_the_zone(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    add(&s, at(2026, 1, 1, 12));
    add(&s, at(2026, 1, 1, 21)); /* in the east: still the 1st, 23:00 */
    add(&s, at(2026, 1, 1, 23)); /* in the east: the 2nd */
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_DAILY] = 1;
    decide(&s, &in);
    expect(&s, "--+");
    in.rules.count[RETENTION_DAILY] = 2;
    decide(&s, &in);
    expect(&s, "+-+"); /* one day only: the oldest is kept with it */
    in.zone.offset_s = two_hours_east;
    decide(&s, &in);
    expect(&s, "-++");
}

static void within_counts_from_the_newest(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    add(&s, at(2026, 1, 1, 0));
    add(&s, at(2026, 1, 3, 0));
    add(&s, at(2026, 1, 9, 0));
    add(&s, at(2026, 1, 10, 0));
    struct retention_input in = input(&s);
    in.rules.within.days = 7;
    decide(&s, &in);
    expect(&s, "--++"); /* the 3rd is seven days before the 10th: not less */
    in.rules.within.hours = 1;
    decide(&s, &in);
    expect(&s, "-+++");
}

static void groups_do_not_mix(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    for (int i = 0; i < 8; i++) {
        struct catalog_item *c = add(&s, at(2026, 1, 1, i));
        c->snap.name = i & 1 ? other_name : one_name;
        c->snap.host = i & 2 ? other_host : one_host;
    }
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_LAST] = 1;
    decide(&s, &in);
    expect(&s, "----++++");
    assert_int_equal(s.groups, 4);
    in.by_name_only = true;
    decide(&s, &in);
    expect(&s, "------++");
    assert_int_equal(s.groups, 2);
    in.scope.name = one_name;
    decide(&s, &in);
    expect(&s, "-+-+-+++");
    assert_int_equal(s.verdict[1].why, RETENTION_NOT_ASKED);
}

static void tags_and_holds_keep(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    char release[] = "release", *tags[] = { release };
    const char *want[] = { "release" };
    add(&s, at(2026, 1, 1, 0))->snap.tags = (struct snapshot_list){ .v = tags, .n = 1 };
    struct catalog_item *untagged = add(&s, at(2026, 1, 2, 0));
    untagged->snap.tags = (struct snapshot_list){ .v = tags, .n = 1 };
    untagged->note.number = 1; /* the note has taken the tag away */
    struct catalog_item *held = add(&s, at(2026, 1, 3, 0));
    held->note.number = 1;
    held->note.hold = true;
    add(&s, at(2026, 1, 4, 0));
    struct retention_input in = input(&s);
    in.rules.tags = want;
    in.rules.n_tags = 1;
    decide(&s, &in);
    expect(&s, "+-++");
    assert_int_equal(s.verdict[0].why, RETENTION_TAG);
    assert_int_equal(s.verdict[2].why, RETENTION_HOLD);
    assert_int_equal(s.verdict[3].why, RETENTION_NEWEST);
}

static void incomplete_ones_stand_for_nothing(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    add(&s, at(2026, 1, 1, 0));
    add(&s, at(2026, 1, 2, 0))->snap.state = STATE_INCOMPLETE;
    add(&s, at(2026, 1, 3, 0))->snap.state = STATE_EXCEPTIONS;
    add(&s, at(2026, 1, 4, 0))->snap.state = STATE_INCOMPLETE;
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_LAST] = 2;
    decide(&s, &in);
    expect(&s, "+-++");
    assert_int_equal(s.verdict[1].why, RETENTION_SUPERSEDED);
    assert_int_equal(s.verdict[3].why, RETENTION_PENDING);
}

static void wrong_clocks_only_make_things_stay(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    add(&s, at(2026, 1, 1, 0));
    add(&s, at(2099, 1, 1, 0)); /* after now */
    add(&s, at(2026, 1, 2, 0));
    add(&s, at(2029, 1, 1, 0)); /* before now, but what follows is from before it */
    add(&s, at(2001, 1, 1, 0)); /* a dead battery */
    add(&s, at(2026, 1, 3, 0));
    add(&s, at(2026, 1, 4, 0))->snap.start_ns = at(2020, 1, 1, 0) * NS; /* six years long */
    add(&s, at(2026, 1, 5, 0));
    struct retention_input in = input(&s);
    in.rules.count[RETENTION_LAST] = 2;
    decide(&s, &in);
    expect(&s, "-+-+++++");
    assert_int_equal(s.verdict[1].why, RETENTION_FUTURE);
    assert_int_equal(s.verdict[3].why, RETENTION_ORDER);
    assert_int_equal(s.verdict[4].why, RETENTION_ORDER);
    assert_int_equal(s.verdict[6].why, RETENTION_ORDER);
    in.rules.count[RETENTION_LAST] = 0;
    in.rules.within.days = 1;
    decide(&s, &in);
    expect(&s, "-+-++-++"); /* nothing from 2099 moves the window */
}

static void the_minimum_has_the_last_word(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    add(&s, at(2026, 1, 1, 0));
    add(&s, at(2026, 1, 20, 0));
    add(&s, at(2001, 1, 1, 0))->snap.host = other_host; /* as young as what was committed before it */
    add(&s, at(2026, 1, 21, 0));
    struct retention_input in = input(&s);
    in.now_ns = at(2026, 1, 31, 0) * NS;
    in.minimum_s = 14 * DAY;
    in.by_name_only = true;
    in.rules.count[RETENTION_LAST] = 1;
    decide(&s, &in);
    expect(&s, "-+++");
    assert_int_equal(s.verdict[1].why, RETENTION_MINIMUM);
    assert_true(s.verdict[1].free_s == at(2026, 2, 3, 0) + MINUTE);
    int64_t free_at[4];
    retention_free_at(s.v, s.n, in.now_ns, in.minimum_s, free_at);
    assert_true(free_at[2] == at(2026, 2, 3, 0) + MINUTE);
    retention_free_at(s.v, s.n, in.now_ns, UINT64_MAX, free_at);
    assert_true(free_at[0] == INT64_MAX);
}

/* A client whose clock is wrong by years, and one that lies, beside a server that noted when they came. */
static void received_times_count_where_there_are_any(void **ctx)
{
    (void)ctx;
    struct set s = { 0 };
    int64_t free_at[MOST];
    for (int day = 1; day <= 4; day++) {
        struct catalog_item *i = add(&s, at(2001, 1, day, 0)); /* 25 years slow */
        i->received_ns = (at(2026, 1, 10 + day, 0) + MINUTE) * NS;
    }
    add(&s, at(2026, 1, 14, 12))->received_ns = at(2026, 1, 14, 13) * NS;
    struct retention_input in = input(&s);
    in.now_ns = at(2026, 1, 15, 0) * NS;
    in.rules.count[RETENTION_DAILY] = 2;
    decide(&s, &in);
    expect(&s, "--+-+"); /* the day of the server */
    assert_true(retention_start_ns(&s.v[0]) == at(2026, 1, 11, 0) * NS);
    in.minimum_s = 3 * DAY;
    decide(&s, &in);
    expect(&s, "-++++");
    retention_free_at(s.v, s.n, in.now_ns, in.minimum_s, free_at);
    assert_true(free_at[0] == at(2026, 1, 14, 0) + MINUTE);
    /* dated ahead by its client: the later of both */
    s.v[4].snap.start_ns = s.v[4].snap.end_ns = at(2026, 2, 1, 0) * NS;
    retention_free_at(s.v, s.n, in.now_ns, in.minimum_s, free_at);
    assert_true(free_at[4] == at(2026, 2, 4, 0));
    /* how long it claims to have run moves it by no more than any client may claim */
    s.v[0].snap.start_ns = INT64_MIN;
    assert_true(retention_start_ns(&s.v[0]) == s.v[0].received_ns);
    decide(&s, &in);
    assert_int_equal(s.verdict[0].why, RETENTION_ORDER);
}

/* --- the model --- */

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % n;
}

static const char *key(enum retention_rule rule, int64_t s, char out[static 32])
{
    time_t t = (time_t)s;
    struct tm tm;
    gmtime_r(&t, &tm);
    if (rule == RETENTION_HOURLY)
        strftime(out, 32, "%Y-%m-%d %H", &tm);
    else if (rule == RETENTION_DAILY)
        strftime(out, 32, "%Y-%m-%d", &tm);
    else if (rule == RETENTION_WEEKLY)
        strftime(out, 32, "%G-%V", &tm);
    else
        strftime(out, 32, rule == RETENTION_MONTHLY ? "%Y-%m" : "%Y", &tm);
    return out;
}

/* Does that rule keep snapshot x? chain: in order of time. Written down as the page says it. */
static bool model_keeps(const struct retention_input *in, const size_t *chain, size_t n, size_t x,
                        enum retention_rule rule)
{
    unsigned count = in->rules.count[rule], periods = 0;
    char mine[32], other[32], before[32] = "";
    if (!count)
        return false;
    if (rule == RETENTION_LAST)
        return n - x <= count;
    key(rule, in->v[chain[x]].snap.start_ns / NS, mine);
    bool last_of_period =
        x + 1 == n || strcmp(key(rule, in->v[chain[x + 1]].snap.start_ns / NS, other), mine);
    for (size_t k = n; k-- > x;) { /* how many periods are there from this one on? */
        key(rule, in->v[chain[k]].snap.start_ns / NS, other);
        periods += strcmp(other, before) != 0;
        strcpy(before, other);
    }
    return last_of_period ? periods <= count : x == 0 && periods < count;
}

static size_t longest_run(const struct set *s, const size_t *v, size_t n)
{
    size_t best[MOST], longest = 0;
    for (size_t i = 0; i < n; i++) {
        best[i] = 1;
        for (size_t k = 0; k < i; k++)
            if (s->v[v[k]].snap.end_ns <= s->v[v[i]].snap.end_ns && best[k] + 1 > best[i])
                best[i] = best[k] + 1;
        longest = best[i] > longest ? best[i] : longest;
    }
    return longest;
}

static void random_set(struct set *s)
{
    static const int steps[] = { MINUTE, 20 * MINUTE, HOUR, 7 * HOUR, DAY, 9 * DAY, 40 * DAY };
    int64_t t = at(2020, 1, 1, 0) + roll(400) * DAY;
    size_t n = roll(MOST);
    *s = (struct set){ 0 };
    while (s->n < n) {
        t += 1 + roll((unsigned)steps[roll(BK_COUNT(steps))]);
        int64_t shown = roll(12) ? t : t + (int64_t)roll(80 * DAY) - 40 * DAY;
        struct catalog_item *i = add(s, shown);
        if (!roll(8))
            i->snap.state = STATE_INCOMPLETE;
        if (!roll(3))
            i->snap.name = other_name;
    }
}

static void check_group(struct set *s, const struct retention_input *in, const char *name)
{
    size_t chain[MOST], candidates[MOST], n = 0, n_candidates = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].snap.name != name || s->v[i].snap.state == STATE_INCOMPLETE)
            continue;
        candidates[n_candidates++] = i;
        if (s->verdict[i].why & RETENTION_ORDER)
            assert_true(s->verdict[i].keep);
        else
            chain[n++] = i;
    }
    assert_int_equal(n, longest_run(s, candidates, n_candidates));
    for (size_t k = 1; k < n; k++)
        assert_true(s->v[chain[k - 1]].snap.end_ns <= s->v[chain[k]].snap.end_ns);
    for (size_t k = 0; k < n; k++) {
        unsigned why = 0;
        for (int rule = 0; rule < RETENTION_COUNTED; rule++)
            if (model_keeps(in, chain, n, k, (enum retention_rule)rule))
                why |= 1U << rule;
        if (k + 1 == n)
            why |= RETENTION_NEWEST;
        assert_int_equal(s->verdict[chain[k]].why, why ? why : RETENTION_UNKEPT);
        assert_int_equal(s->verdict[chain[k]].keep, why != 0);
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].snap.name == name && s->v[i].snap.state == STATE_INCOMPLETE)
            assert_int_equal(s->verdict[i].keep, !n || i > chain[n - 1]);
}

static void the_model_agrees(void **ctx)
{
    (void)ctx;
    struct set s;
    for (int round = 0; round < 4000; round++) {
        random_set(&s);
        struct retention_input in = input(&s);
        for (int rule = 0; rule < RETENTION_COUNTED; rule++)
            in.rules.count[rule] = roll(2) ? roll(6) : 0;
        decide(&s, &in);
        check_group(&s, &in, one_name);
        check_group(&s, &in, other_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_keeps_the_last),
        cmocka_unit_test(grandfather_father_son),
        cmocka_unit_test(periods_are_those_of_the_zone),
        cmocka_unit_test(within_counts_from_the_newest),
        cmocka_unit_test(groups_do_not_mix),
        cmocka_unit_test(tags_and_holds_keep),
        cmocka_unit_test(incomplete_ones_stand_for_nothing),
        cmocka_unit_test(wrong_clocks_only_make_things_stay),
        cmocka_unit_test(the_minimum_has_the_last_word),
        cmocka_unit_test(received_times_count_where_there_are_any),
        cmocka_unit_test(the_model_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
