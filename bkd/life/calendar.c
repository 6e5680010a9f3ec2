#include "bkd/life/calendar.h"

#include <string.h>

enum { EPOCH_WEEKDAY = 3 /* 1970-01-01 was a Thursday, Monday being 0 */ };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return month == 2 && leap(year) ? 29 : days[month - 1];
}

/* Days before January 1st of that year, since 1970. */
static int64_t year_start(int64_t year)
{
    int64_t y = year - 1;
    int64_t leaps = floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
    int64_t leaps_1969 = 1969 / 4 - 1969 / 100 + 1969 / 400;
    return (year - 1970) * 365 + leaps - leaps_1969;
}

int64_t calendar_seconds(int year, int month, int day)
{
    int64_t days = year_start(year) + day - 1;
    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    return days * CALENDAR_DAY;
}

/* The Monday that ISO week 1 of the year starts with. */
static int64_t week_one(int64_t year)
{
    int64_t fourth = year_start(year) + 3;
    return fourth - (fourth + EPOCH_WEEKDAY - 7 * floor_div(fourth + EPOCH_WEEKDAY, 7));
}

void calendar_date(int64_t local_s, struct calendar_date *ret)
{
    struct calendar_date d = { .days = floor_div(local_s, CALENDAR_DAY) };
    d.hour = (int)((local_s - d.days * CALENDAR_DAY) / CALENDAR_HOUR);
    int64_t year = 1970 + floor_div(d.days * 400, 146097); /* at most one off */
    while (year_start(year) > d.days)
        year--;
    while (year_start(year + 1) <= d.days)
        year++;
    int64_t rest = d.days - year_start(year);
    for (d.month = 1; rest >= month_days(year, d.month); d.month++)
        rest -= month_days(year, d.month);
    d.year = (int)year;
    d.day = (int)rest + 1;
    int64_t week_year = year + 1;
    while (week_one(week_year) > d.days)
        week_year--;
    d.week_year = (int)week_year;
    d.week = (int)((d.days - week_one(week_year)) / 7) + 1;
    *ret = d;
}

static int malformed(const char *text, struct bk_error *err)
{
    bk_fail(err, BK_E_USAGE, "'%s' is not a duration", text);
    return bk_hint(err, "a duration is years, months, weeks, days and hours, for example 7d, 1y6m or 2w12h");
}

int calendar_span_parse(const char *text, struct calendar_span *ret, struct bk_error *err)
{
    static const char units[] = "ymwdh";
    unsigned v[5] = { 0 };
    size_t next = 0;
    for (const char *p = text; *p; p++) {
        unsigned n = 0;
        const char *digits = p;
        for (; *p >= '0' && *p <= '9'; p++) {
            n = n * 10 + (unsigned)(*p - '0');
            if (n > CALENDAR_SPAN_MAX)
                return bk_fail(err, BK_E_LIMIT, "the duration '%s' is too long", text);
        }
        const char *unit = *p ? strchr(units + next, *p) : NULL;
        if (p == digits || !unit)
            return malformed(text, err);
        v[unit - units] = n;
        next = (size_t)(unit - units) + 1;
    }
    struct calendar_span s = { .years = v[0], .months = v[1], .days = 7 * v[2] + v[3], .hours = v[4] };
    if (calendar_span_is_zero(&s))
        return malformed(text, err);
    *ret = s;
    return 0;
}

bool calendar_span_is_zero(const struct calendar_span *s)
{
    return !s->years && !s->months && !s->days && !s->hours;
}

int64_t calendar_before(int64_t local_s, const struct calendar_span *s)
{
    struct calendar_date d;
    calendar_date(local_s, &d);
    int64_t months = (int64_t)d.year * 12 + d.month - 1 - (int64_t)s->years * 12 - s->months;
    int64_t year = floor_div(months, 12);
    int month = (int)(months - year * 12) + 1;
    int last = month_days(year, month);
    int64_t day = calendar_seconds((int)year, month, d.day < last ? d.day : last);
    return day + (local_s - d.days * CALENDAR_DAY) - (int64_t)s->days * CALENDAR_DAY -
           (int64_t)s->hours * CALENDAR_HOUR;
}

uint64_t calendar_span_seconds(const struct calendar_span *s)
{
    return ((uint64_t)s->years * 366 + (uint64_t)s->months * 31 + s->days) * CALENDAR_DAY +
           (uint64_t)s->hours * CALENDAR_HOUR;
}
