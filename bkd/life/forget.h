/* Forgetting snapshots: by rules, or by name.
 *
 *     forget_by_rules | forget_by_names -> (look, ask) -> forget_carry_out -> forget_plan_clear
 *
 * A plan changes nothing. Carrying it out removes snapshots/<id> and then the notes, one snapshot after the
 * other: whenever it stops, each snapshot is there in full or gone, and a repeat goes on. What packs hold is
 * not touched: the collector finds what nobody needs any more. One thread. */
#ifndef BKD_LIFE_FORGET_H
#define BKD_LIFE_FORGET_H

#include "bkd/life/lock.h"
#include "bkd/life/retention.h"

struct forget_plan {
    struct catalog catalog;
    struct retention_input in;         /* borrows from the catalogue, and what the caller's did */
    struct retention_verdict *verdict; /* owned, one per snapshot of the catalogue */
    size_t n_groups, n_keep, n_remove; /* of what takes part */
    struct lock lock;
};
void forget_plan_clear(struct forget_plan *p);
BK_AUTO_CLEAR(struct forget_plan, forget_plan_clear)

/* what: rules, scope, zone and grouping; the rest is filled in. USAGE when it has no rule. */
int forget_by_rules(struct repo *r, const struct retention_input *what, catalog_damage_fn *damaged, void *ctx,
                    struct forget_plan *ret, struct bk_error *err) BK_MUST_CHECK;
/* names as catalog_resolve takes them. PERM: one is on hold or too young; nothing is planned then. */
int forget_by_names(struct repo *r, const struct retention_input *what, char *const *names, size_t n,
                    catalog_damage_fn *damaged, void *ctx, struct forget_plan *ret,
                    struct bk_error *err) BK_MUST_CHECK;

/* The shrink guard: does a group lose more than half, or more than ten and a fifth? true and the one that
 * loses most. */
struct forget_shrink {
    const struct snapshot *of; /* one of the group */
    size_t n, n_remove;
};
bool forget_shrinks(const struct forget_plan *p, struct forget_shrink *ret);

struct forget_report {
    size_t n_removed;
    size_t n_skipped; /* whose notes changed since it was planned */
    size_t n_locked;  /* which the store does not let go yet */
};
/* Each snapshot that is gone (why NULL) or is left (why). */
typedef void forget_fn(void *ctx, const struct catalog_item *i, const char *why);
/* CHANGED: the minimum retention was raised since. ret counts also what was done before an error. */
int forget_carry_out(struct repo *r, struct job *j, const struct forget_plan *p, forget_fn *fn, void *ctx,
                     struct forget_report *ret, struct bk_error *err) BK_MUST_CHECK;

/* A snapshot object that does not open, by its whole id in hex, so that collection can go on. A void record
 * takes its place: should it have been one, its session stays fenced. USAGE: not a whole id, or it is sound.
 */
int forget_damaged(struct repo *r, const char *hex, struct bk_error *err) BK_MUST_CHECK;

#endif
