#include "bkctl/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkctl/command.h"

static int64_t offset(void *ctx, int64_t unix_s)
{
    const struct zone *z = ctx;
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (z->fixed)
        return z->offset_s;
    return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

/* "+08:00", "-3", "+0530" */
static bool fixed(const char *text, int64_t *ret)
{
    int h, m = 0, used = 0;
    if ((text[0] != '+' && text[0] != '-') || !isdigit((unsigned char)text[1]))
        return false;
    size_t digits = strspn(text + 1, "0123456789");
    if (digits == 4)
        sscanf(text + 1, "%2d%2d%n", &h, &m, &used);
    else if (digits > 2 || sscanf(text + 1, "%2d:%2d%n", &h, &m, &used) != 2)
        used = digits <= 2 && sscanf(text + 1, "%2d%n", &h, &used) == 1 ? used : 0;
    if (!used || text[1 + used] || h > 14 || m < 0 || m > 59)
        return false;
    *ret = (text[0] == '-' ? -1 : 1) * (h * (int64_t)CALENDAR_HOUR + m * 60);
    return true;
}

/* The C library takes any nonsense for UTC, so look whether the zone's file is there. */
static bool known(const char *text)
{
    char path[256];
    const char *dir = getenv("TZDIR");
    if (!isalpha((unsigned char)text[0]) || strstr(text, ".."))
        return false;
    int n = snprintf(path, sizeof path, "%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", text);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

int zone_find(const char *text, struct zone *ret, struct bk_error *err)
{
    struct zone z = { 0 };
    if (strlen(text) >= sizeof z.name - 16)
        return bk_fail(err, BK_E_USAGE, "there is no time zone '%s' here", text);
    snprintf(z.name, sizeof z.name, "%s", text);
    if (!strcmp(text, "UTC")) {
        z.fixed = true;
    } else if (!strcmp(text, "local")) {
        time_t now = time(NULL);
        struct tm tm;
        tzset();
        snprintf(z.name, sizeof z.name, "%s", localtime_r(&now, &tm) && tm.tm_zone ? tm.tm_zone : text);
    } else if (fixed(text, &z.offset_s)) {
        z.fixed = true;
    } else if (known(text)) {
        setenv("TZ", text, 1);
        tzset();
    } else {
        bk_fail(err, BK_E_USAGE, "there is no time zone '%s' here", text);
        return bk_hint(
            err, "a time zone is local, UTC, an offset such as +08:00, or a name such as Asia/Shanghai");
    }
    *ret = z;
    return 0;
}

struct retention_zone zone_for_rules(struct zone *z)
{
    return (struct retention_zone){ .offset_s = offset, .ctx = z };
}
