/* The reasons of a verdict in words. */
#include <libintl.h>
#include <stdio.h>
#include <string.h>

#include "bkd/life/retention.h"

#define _(s) dgettext("bkctl", s)

static const char *const names[] = {
    "last",    "hourly", "daily",   "weekly", "monthly", "yearly",    "within", "tag",        "newest",
    "pending", "hold",   "minimum", "future", "order",   "not-asked", "unkept", "superseded", "named",
};

const char *retention_why_name(unsigned bit)
{
    for (size_t i = 0; i < BK_COUNT(names); i++)
        if (bit == 1U << i)
            return names[i];
    return "unknown";
}

static struct calendar_date date_of(const struct retention_input *in, int64_t s)
{
    struct calendar_date d;
    calendar_date(s + (in->zone.offset_s ? in->zone.offset_s(in->zone.ctx, s) : 0), &d);
    return d;
}

/* The period that a snapshot stands for: "2026-11-26", "2026-W48". */
static void period(enum retention_rule rule, const struct calendar_date *d, char out[static 48])
{
    switch (rule) {
    case RETENTION_HOURLY:
        snprintf(out, 48, "%04d-%02d-%02d %02d:00", d->year, d->month, d->day, d->hour);
        break;
    case RETENTION_DAILY:
        snprintf(out, 48, "%04d-%02d-%02d", d->year, d->month, d->day);
        break;
    case RETENTION_WEEKLY:
        snprintf(out, 48, "%04d-W%02d", d->week_year, d->week);
        break;
    case RETENTION_MONTHLY:
        snprintf(out, 48, "%04d-%02d", d->year, d->month);
        break;
    default:
        snprintf(out, 48, "%04d", d->year);
    }
}

static void counted(const struct retention_input *in, const struct catalog_item *item,
                    const struct retention_verdict *v, enum retention_rule rule, char out[static 128])
{
    char p[48] = "";
    unsigned nth = v->nth[rule], of = in->rules.count[rule];
    int64_t ns = retention_start_ns(item);
    struct calendar_date d = date_of(in, ns / 1000000000 - (ns % 1000000000 < 0));
    period(rule, &d, p);
    switch (rule) {
    case RETENTION_LAST:
        snprintf(out, 128, _("last (%u of %u)"), nth, of);
        break;
    case RETENTION_HOURLY:
        snprintf(out, 128, _("hour %s (%u of %u)"), p, nth, of);
        break;
    case RETENTION_DAILY:
        snprintf(out, 128, _("day %s (%u of %u)"), p, nth, of);
        break;
    case RETENTION_WEEKLY:
        snprintf(out, 128, _("week %s (%u of %u)"), p, nth, of);
        break;
    case RETENTION_MONTHLY:
        snprintf(out, 128, _("month %s (%u of %u)"), p, nth, of);
        break;
    default:
        snprintf(out, 128, _("year %s (%u of %u)"), p, nth, of);
    }
}

static const char *plain(unsigned bit)
{
    switch (bit) {
    case RETENTION_WITHIN:
        return _("within the duration");
    case RETENTION_TAG:
        return _("has a kept tag");
    case RETENTION_NEWEST:
        return _("the newest of its group");
    case RETENTION_PENDING:
        return _("incomplete, but no complete one follows");
    case RETENTION_HOLD:
        return _("on hold");
    case RETENTION_FUTURE:
        return _("dated in the future: not decided by rules");
    case RETENTION_ORDER:
        return _("its date contradicts the repository's order: not decided by rules");
    case RETENTION_NOT_ASKED:
        return _("not asked for");
    case RETENTION_SUPERSEDED:
        return _("incomplete, and a complete one follows");
    case RETENTION_NAMED:
        return _("named");
    default:
        return _("no rule keeps it");
    }
}

const char *retention_explain(const struct retention_input *in, const struct catalog_item *item,
                              const struct retention_verdict *v, char out[static RETENTION_TEXT])
{
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < BK_COUNT(names) && at < RETENTION_TEXT - 1; i++) {
        char text[128];
        if (!(v->why & 1U << i))
            continue;
        if (i < RETENTION_COUNTED) {
            counted(in, item, v, (enum retention_rule)i, text);
        } else if (1U << i == RETENTION_MINIMUM) {
            struct calendar_date d = date_of(in, v->free_s + CALENDAR_HOUR - 1); /* up to the full hour */
            snprintf(text, sizeof text, _("younger than the minimum retention, until %04d-%02d-%02d %02d:00"),
                     d.year, d.month, d.day, d.hour);
        } else {
            snprintf(text, sizeof text, "%s", plain(1U << i));
        }
        int n = snprintf(out + at, RETENTION_TEXT - at, "%s%s", at ? ", " : "", text);
        at += n > 0 ? (size_t)n : 0;
    }
    return out;
}
