/* Which snapshots stay and which may go: a pure decision over the catalogue, with every reason.
 *
 * Snapshots are taken in server order (sequence). Each group, the snapshots of one name and host, is decided
 * by itself. Only complete snapshots (with or without exceptions) are counted by rules:
 *
 *   last N       the last N in server order
 *   hourly .. yearly N   of each of the last N hours, days, ISO weeks, months or years that have a snapshot,
 * the last one; periods are those of the zone that is handed in, a snapshot belongs to the one it was started
 * in. While a rule has found fewer than N, it also keeps the oldest snapshot. within DUR   all that were
 * started less than DUR before the newest one of the group tags         all that have one of the tags
 *
 * A snapshot stays when any rule keeps it: rules do not use up each other's snapshots, so daily 7 and weekly
 * 4 together keep at most 11 and usually 10. What stays besides:
 *
 *   - the newest complete snapshot of each group
 *   - what is on hold, and what is younger than the repository's minimum retention
 *   - an incomplete snapshot, while no complete one of its group follows
 *   - clocks of clients are not believed: where a server has noted when it took a snapshot, that is its date
 *     and its place in the order (received.h). Elsewhere, a snapshot dated more than ten minutes after `now`,
 * one that claims to have run for more than 31 days, and one whose date contradicts the server's order is
 * neither counted nor removed. Which ones contradict it: all outside of a longest run of the group's
 * snapshots, in server order, whose dates do not go back. So a wrong clock can make snapshots stay, never go.
 *
 * docs/design/retention.md. Any thread. */
#ifndef BKD_LIFE_RETENTION_H
#define BKD_LIFE_RETENTION_H

#include "bkd/life/calendar.h"
#include "bkd/repo/catalog.h"

/* The rules that count; their numbers index retention_rules.count. */
enum retention_rule {
    RETENTION_LAST,
    RETENTION_HOURLY,
    RETENTION_DAILY,
    RETENTION_WEEKLY,
    RETENTION_MONTHLY,
    RETENTION_YEARLY,
    RETENTION_COUNTED, /* how many there are */
};
/* Bits of retention_verdict.why; 1 << enum retention_rule come first. */
enum retention_why {
    RETENTION_WITHIN = 1 << RETENTION_COUNTED,
    RETENTION_TAG = RETENTION_WITHIN << 1,
    RETENTION_NEWEST = RETENTION_WITHIN << 2,  /* complete one of its group */
    RETENTION_PENDING = RETENTION_WITHIN << 3, /* incomplete, and no complete one follows */
    RETENTION_HOLD = RETENTION_WITHIN << 4,
    RETENTION_MINIMUM = RETENTION_WITHIN << 5, /* too young to go; only when nothing else keeps it */
    RETENTION_FUTURE = RETENTION_WITHIN << 6,
    RETENTION_ORDER = RETENTION_WITHIN << 7,       /* its date contradicts the server's order */
    RETENTION_NOT_ASKED = RETENTION_WITHIN << 8,   /* outside of the scope */
    RETENTION_UNKEPT = RETENTION_WITHIN << 9,      /* goes: no rule keeps it */
    RETENTION_SUPERSEDED = RETENTION_WITHIN << 10, /* goes: incomplete, and a complete one follows */
    RETENTION_NAMED = RETENTION_WITHIN << 11,      /* goes: asked for by its id */
};

struct retention_rules {
    unsigned count[RETENTION_COUNTED]; /* 0: the rule is not used */
    struct calendar_span within;       /* zero: not used */
    const char *const *tags;
    size_t n_tags;
};
/* Who takes part; NULL and 0: everybody. */
struct retention_scope {
    const char *name, *host;
    const char *const *tags; /* with all of them */
    size_t n_tags;
};
struct retention_zone {
    /* Seconds east of UTC at that moment; NULL: UTC. */
    int64_t (*offset_s)(void *ctx, int64_t unix_s);
    void *ctx;
};
struct retention_input {
    const struct catalog_item *v; /* in server order: a catalogue's */
    size_t n;
    int64_t now_ns;
    struct retention_zone zone;
    struct retention_rules rules;
    struct retention_scope scope;
    bool by_name_only;  /* groups are of one name, whatever the host */
    uint64_t minimum_s; /* of the repository; 0: none */
};
struct retention_verdict {
    bool keep;
    unsigned why;                    /* not 0 */
    unsigned nth[RETENTION_COUNTED]; /* by which of a rule's N it stays, from 1; 0: not by that rule */
    int64_t free_s;                  /* MINIMUM: from then on it may go, Unix time */
    size_t group;                    /* from 0 */
};

/* Is any rule used? Without one everything but the newest would go. */
bool retention_rules_any(const struct retention_rules *r);
/* ret: in->n verdicts. *ret_groups: how many groups there are. NOMEM. */
int retention_decide(const struct retention_input *in, struct retention_verdict *ret, size_t *ret_groups,
                     struct bk_error *err) BK_MUST_CHECK;
/* From when on each of the n snapshots may go, Unix seconds: its commit plus the minimum, by the clock of the
 * server or of the client, whichever is later; and a snapshot counts as committed no earlier than any before
 * it in server order that is not dated after now. */
void retention_free_at(const struct catalog_item *v, size_t n, int64_t now_ns, uint64_t minimum_s,
                       int64_t *ret_s);
/* When it was committed and when it was started: by the clock of the server that took it where one did, and
 * how long it ran before by that of its client; else all by the client's. */
int64_t retention_commit_ns(const struct catalog_item *i);
int64_t retention_start_ns(const struct catalog_item *i);

enum { RETENTION_TEXT = 512 };
/* All reasons in words, translated: "last (1 of 3), day 2026-11-26 (1 of 7)". */
const char *retention_explain(const struct retention_input *in, const struct catalog_item *item,
                              const struct retention_verdict *v, char out[static RETENTION_TEXT]);
/* For programs: "last", "hourly" ... "minimum"; bit: one of why. */
const char *retention_why_name(unsigned bit);

#endif
