/* The minimum retention of a repository: how long every snapshot stays at least. Payload of the records
 * retention/<n>, kind 12, numbered fields as in snapshots. Records are only ever added: the longest that
 * stands is in force, so that nobody, the owner included, can shorten it. docs/formats/snapshot.md. Pure; any
 * thread. */
#ifndef FORMATS_SNAPSHOT_MINIMUM_H
#define FORMATS_SNAPSHOT_MINIMUM_H

#include "formats/snapshot/snapshot.h"

/* A hundred years: what is set by mistake cannot be taken back. */
#define MINIMUM_SECONDS_MAX ((uint64_t)36600 * 86400)

struct minimum {
    uint32_t number;  /* 1.. as in the name */
    uint64_t seconds; /* 1 .. MINIMUM_SECONDS_MAX */
    int64_t when_ns;  /* Unix time */
    char *who;        /* owned: "user@host" */
};
void minimum_clear(struct minimum *m);
BK_AUTO_CLEAR(struct minimum, minimum_clear)
/* as snapshot_encode and snapshot_decode */
int minimum_encode(const struct minimum *m, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int minimum_decode(const void *data, size_t len, struct minimum *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
