#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <time.h>

#include "bkd/life/calendar.h"

static uint64_t state = 7;
static uint64_t next(void)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return state >> 16;
}

/* The C library knows the same calendar. */
static void dates_are_those_of_the_c_library(void **ctx)
{
    (void)ctx;
    for (int i = 0; i < 200000; i++) {
        time_t t = (time_t)(next() % 18000000000U) - 9000000000;
        if (i < 20000)
            t = (time_t)(i - 10000) * CALENDAR_DAY;
        struct tm tm;
        struct calendar_date d;
        char want[64], got[64];
        assert_non_null(gmtime_r(&t, &tm));
        strftime(want, sizeof want, "%Y-%m-%d %H %G-W%V", &tm);
        calendar_date(t, &d);
        snprintf(got, sizeof got, "%04d-%02d-%02d %02d %04d-W%02d", d.year, d.month, d.day, d.hour,
                 d.week_year, d.week);
        assert_string_equal(got, want);
        assert_true(calendar_seconds(d.year, d.month, d.day) == d.days * CALENDAR_DAY);
    }
}

static void durations_read_as_people_write_them(void **ctx)
{
    (void)ctx;
    struct bk_error err = { 0 };
    struct calendar_span s = { 0 };
    assert_int_equal(calendar_span_parse("1y6m", &s, &err), 0);
    assert_true(s.years == 1 && s.months == 6 && s.days == 0 && s.hours == 0);
    assert_int_equal(calendar_span_parse("2w3d12h", &s, &err), 0);
    assert_true(s.years == 0 && s.days == 17 && s.hours == 12);
    assert_true(calendar_span_seconds(&s) == 17 * 86400 + 12 * 3600);
    static const char *const bad[] = { "",    "7",   "d",  "d7", "7d1y", "7d7d",
                                       "7 d", "-7d", "0d", "7x", "1y6",  "7D" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(calendar_span_parse(bad[i], &s, &err), BK_E_USAGE);
    assert_int_equal(calendar_span_parse("100001h", &s, &err), BK_E_LIMIT);
    assert_int_equal(calendar_span_parse("99999999999999999999h", &s, &err), BK_E_LIMIT);
}

static void going_back_follows_the_calendar(void **ctx)
{
    (void)ctx;
    static const struct {
        int from[3];
        struct calendar_span s;
        int want[3];
    } cases[] = {
        { { 2026, 3, 31 }, { .months = 1 }, { 2026, 2, 28 } },
        { { 2024, 2, 29 }, { .years = 1 }, { 2023, 2, 28 } },
        { { 2024, 3, 31 }, { .months = 1 }, { 2024, 2, 29 } },
        { { 2026, 1, 15 }, { .years = 1, .months = 6, .days = 7 }, { 2024, 7, 8 } },
        { { 2026, 1, 1 }, { .days = 1 }, { 2025, 12, 31 } },
        { { 1970, 1, 1 }, { .months = 25 }, { 1967, 12, 1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t from = calendar_seconds(cases[i].from[0], cases[i].from[1], cases[i].from[2]) + 3723;
        int64_t want = calendar_seconds(cases[i].want[0], cases[i].want[1], cases[i].want[2]) + 3723;
        assert_true(calendar_before(from, &cases[i].s) == want);
    }
    struct calendar_span hours = { .hours = 25 };
    assert_true(calendar_before(100 * 3600, &hours) == 75 * 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(durations_read_as_people_write_them),
        cmocka_unit_test(going_back_follows_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
