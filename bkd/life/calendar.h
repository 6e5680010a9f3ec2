/* Days, weeks and months without the C library's hidden state: the proleptic Gregorian calendar on seconds of
 * local time (Unix seconds plus the zone's offset), and durations as people write them. Pure; any thread.
 * Times are those that fit nanoseconds in 64 bits, years 1677 to 2262. */
#ifndef BKD_LIFE_CALENDAR_H
#define BKD_LIFE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/base/error.h"

enum { CALENDAR_HOUR = 3600, CALENDAR_DAY = 86400 };

struct calendar_date {
    int64_t days;               /* since 1970-01-01 */
    int year, month, day, hour; /* month and day from 1 */
    int week_year, week;        /* ISO 8601: weeks start on Monday, week 1 holds January 4th */
};
void calendar_date(int64_t local_s, struct calendar_date *ret);
/* Midnight of that day. */
int64_t calendar_seconds(int year, int month, int day);

/* "1y6m", "2w", "7d12h": years, months, weeks, days, hours, each at most once and in this order. */
struct calendar_span {
    unsigned years, months, days, hours; /* weeks are seven days */
};
/* USAGE: malformed, or nothing but zeroes; LIMIT: a number above CALENDAR_SPAN_MAX. */
enum { CALENDAR_SPAN_MAX = 100000 };
int calendar_span_parse(const char *text, struct calendar_span *ret, struct bk_error *err) BK_MUST_CHECK;
bool calendar_span_is_zero(const struct calendar_span *s);
/* That long before, by the calendar: a month before the 31st is the last day of a shorter month. */
int64_t calendar_before(int64_t local_s, const struct calendar_span *s);
/* At least that long, whichever months it falls on: a year counts 366 days and a month 31. */
uint64_t calendar_span_seconds(const struct calendar_span *s);

#endif
