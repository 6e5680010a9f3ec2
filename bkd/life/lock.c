#include "bkd/life/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/names.h"

enum { LOCKS_MAX = 65536, TRIES = 64 };
static const char prefix[] = "retention/";

uint32_t lock_number(const char *name)
{
    uint32_t n = 0;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return 0;
    const char *p = name + sizeof prefix - 1;
    if (*p == '0')
        return 0;
    for (; *p; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, 10U, &n) ||
            __builtin_add_overflow(n, (uint32_t)(*p - '0'), &n))
            return 0;
    return n;
}

static int read_one(struct repo *r, uint32_t number, struct minimum *ret, struct bk_error *err)
{
    char name[REPO_PATH];
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    snprintf(name, sizeof name, "%s%u", prefix, number);
    int rc = copies_get_record(r, OBJECT_RETENTION, name, &payload, NULL, err);
    bk_auto(minimum_clear) struct minimum m = { 0 };
    if (rc == 0)
        rc = minimum_decode(payload.data, payload.len, &m, err);
    if (rc == 0 && m.number != number)
        rc = bk_fail(err, BK_E_CORRUPT, "it holds the record of another number");
    if (rc < 0)
        return bk_context(err, "%s", name);
    *ret = m;
    m = (struct minimum){ 0 };
    return 0;
}

static int highest_below(struct store *s, const char *where, uint32_t *ret, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(s, where, LOCKS_MAX, &list, err);
    size_t skip = strlen(where) - (sizeof prefix - 1);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        uint32_t n = lock_number(list.v[i].name + skip);
        if (n > *ret)
            *ret = n;
    }
    return r;
}

/* damaged: of the newest record; 0 with *ret when it is sound. */
static int read_all(struct repo *r, struct lock *ret, struct bk_error *damaged, struct bk_error *err)
{
    struct lock l = { 0 };
    /* A record whose original is lost still stands by its copy. */
    int rc = highest_below(repo_store(r), prefix, &l.highest, err);
    if (rc == 0)
        rc = highest_below(repo_store(r), COPIES_PREFIX "retention/", &l.highest, err);
    for (uint32_t n = l.highest; rc == 0 && n > 0 && l.highest - n < LOCKS_MAX; n--) {
        struct bk_error why = { 0 };
        struct minimum m = { 0 };
        int one = read_one(r, n, &m, &why);
        if (bk_code_aborts(one) || one == BK_E_VERSION || one == BK_E_IO) {
            if (err)
                *err = why;
            return one;
        }
        if (one < 0 && n == l.highest)
            *damaged = why;
        if (m.seconds > l.seconds)
            l.seconds = m.seconds;
        minimum_clear(&m);
    }
    if (rc == 0)
        *ret = l;
    return rc;
}

int lock_read(struct repo *r, struct lock *ret, struct bk_error *err)
{
    struct bk_error damaged = { 0 };
    int rc = read_all(r, ret, &damaged, err);
    if (rc < 0)
        return bk_context(err, "read the minimum retention");
    if (!damaged.code)
        return 0;
    if (err)
        *err = damaged;
    bk_context(err, "read the minimum retention");
    bk_hint(err, "how long snapshots are to stay is not known; state it anew with: bkctl retention set");
    return BK_E_CORRUPT;
}

static int put_next(struct repo *r, const struct lock *now, uint64_t seconds, const char *who,
                    struct bk_error *err)
{
    const struct world *w = repo_world(r);
    char name[REPO_PATH];
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(minimum_clear) struct minimum m = {
        .number = now->highest + 1, .seconds = seconds, .when_ns = w->now_ns(w->ctx), .who = strdup(who)
    };
    if (!m.who)
        return bk_fail_errno(err, ENOMEM, "set the minimum retention");
    int rc = minimum_encode(&m, &payload, err);
    if (rc < 0)
        return rc;
    snprintf(name, sizeof name, "%s%u", prefix, m.number);
    return copies_put_record(r, OBJECT_RETENTION, name, payload.data, payload.len, err);
}

int lock_set(struct repo *r, uint64_t seconds, const char *who, struct bk_error *err)
{
    if (!seconds || seconds > MINIMUM_SECONDS_MAX)
        return bk_fail(err, BK_E_LIMIT, "a minimum retention is at most a hundred years");
    for (int i = 0; i < TRIES; i++) {
        struct lock now = { 0 };
        struct bk_error damaged = { 0 };
        int rc = read_all(r, &now, &damaged, err);
        if (rc < 0)
            return bk_context(err, "set the minimum retention");
        if (now.seconds == seconds && !damaged.code)
            return 0;
        if (now.seconds > seconds)
            return bk_fail(err, BK_E_USAGE,
                           "the minimum retention is longer already, and nobody can shorten it");
        rc = put_next(r, &now, seconds, who, err);
        if (rc != BK_E_EXISTS)
            return rc < 0 ? bk_context(err, "set the minimum retention") : 0;
    }
    return bk_fail(err, BK_E_BUSY, "others keep changing the minimum retention");
}
