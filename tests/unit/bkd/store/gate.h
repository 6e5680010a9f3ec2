/* A store between a test and one that it borrows: it can be shut (nothing answers, as with a cable pulled),
 * refuse puts, be read-only, lose acknowledgements, and let something happen right after a put. */
#ifndef TESTS_STORE_GATE_H
#define TESTS_STORE_GATE_H

#include <stdatomic.h>
#include <string.h>

#include "bkd/store/store.h"

struct gate {
    struct store store;
    struct store *to; /* borrowed */
    atomic_bool shut, full, fixed, deaf;
    int code; /* what a shut one says; IO when it is 0 */
    atomic_uint puts, gets, refused;
    void (*after_put)(void *ctx, const char *name); /* or NULL */
    void *ctx;
};

static inline int gate_closed(struct gate *g, struct bk_error *err)
{
    if (!atomic_load(&g->shut))
        return 0;
    g->refused++;
    return bk_fail(err, g->code ? g->code : BK_E_IO, "no answer (shut by the test)");
}

static inline int gate_put(struct store *s, const char *name, const void *data, size_t len,
                           struct bk_error *err)
{
    struct gate *g = (struct gate *)s;
    int r = gate_closed(g, err);
    if (r < 0)
        return r;
    g->puts++;
    if (atomic_load(&g->fixed))
        return bk_fail(err, BK_E_PERM, "read-only (the test)");
    if (atomic_load(&g->full))
        return bk_fail(err, BK_E_NOSPACE, "no space (the test)");
    r = store_put(g->to, name, data, len, err);
    if (r == 0 && g->after_put)
        g->after_put(g->ctx, name);
    return r == 0 && atomic_load(&g->deaf) ? bk_fail(err, BK_E_IO, "lost acknowledgement (the test)") : r;
}

static inline int gate_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                           size_t *ret_len, struct bk_error *err)
{
    struct gate *g = (struct gate *)s;
    int r = gate_closed(g, err);
    g->gets++;
    return r < 0 ? r : g->to->ops->get(g->to, name, offset, out, len, ret_len, err);
}

static inline int gate_stat(struct store *s, const char *name, uint64_t *ret, struct bk_error *err)
{
    struct gate *g = (struct gate *)s;
    int r = gate_closed(g, err);
    return r < 0 ? r : store_stat(g->to, name, ret, err);
}

static inline int gate_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                            struct bk_error *err)
{
    int r = gate_closed((struct gate *)s, err);
    return r < 0 ? r : store_list(((struct gate *)s)->to, prefix, fn, ctx, err);
}

static inline int gate_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct gate *g = (struct gate *)s;
    int r = gate_closed(g, err);
    if (r == 0 && atomic_load(&g->fixed))
        r = bk_fail(err, BK_E_PERM, "read-only (the test)");
    return r < 0 ? r : store_remove(g->to, name, err);
}

static inline void gate_free(struct store *s)
{
    (void)s; /* the test's own */
}

static const struct store_ops gate_ops = { .put = gate_put,
                                           .get = gate_get,
                                           .stat = gate_stat,
                                           .list = gate_list,
                                           .remove = gate_remove,
                                           .free = gate_free };

static inline void gate_init(struct gate *g, struct store *to)
{
    memset(g, 0, sizeof *g);
    g->store = *to;
    g->store.ops = &gate_ops;
    g->to = to;
}

#endif
