/* A restore of the fixture's snapshot, and what it reports. */
#ifndef TESTS_RESTORE_FIXTURE_H
#define TESTS_RESTORE_FIXTURE_H

#include "snap_fixture.h"

#include "bkd/restore/restore.h"

struct seen {
    char paths[256][256];
    int codes[256];
    char texts[256][256];
    unsigned n;
};

static inline void see(void *ctx, const uint8_t *path, size_t len, const struct bk_error *why)
{
    struct seen *s = ctx;
    if (s->n == 256)
        return;
    snprintf(s->paths[s->n], 256, "%.*s", (int)len, (const char *)path);
    snprintf(s->texts[s->n], 256, "%.255s", why->text);
    s->codes[s->n++] = why->code;
}

static inline struct restore_report restore(struct snap *b, struct restore_opts o, struct seen *seen)
{
    struct bk_error err = { 0 };
    struct restore_report rep;
    o.on_problem = see;
    o.ctx = seen;
    o.sparse_zeroes = true;
    seen->n = 0;
    OK(restore_files(b->repo, &b->job, &b->s, &o, &rep, &err));
    assert_int_equal(rep.n_problems, seen->n);
    return rep;
}

static inline struct restore_report restore_clean(struct snap *b, struct restore_opts o)
{
    static struct seen seen;
    struct restore_report rep = restore(b, o, &seen);
    if (seen.n)
        fail_msg("'%s': %s", seen.paths[0], seen.texts[0]);
    return rep;
}

#endif
