/* A lent store: what a repository adopts and frees while the objects live on below, to be looked at, damaged
 * and opened again. */
#ifndef TESTS_REPO_LENT_H
#define TESTS_REPO_LENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bkd/store/store.h"

#define OK(call)                                          \
    do {                                                  \
        int ok_r = (call);                                \
        if (ok_r != 0)                                    \
            fail_msg("%s: %d %s", #call, ok_r, err.text); \
    } while (0)

/* Hands everything to a store that it does not own. */
struct lent {
    struct store store;
    struct store *to;
};

static inline int lent_put(struct store *s, const char *name, const void *data, size_t len,
                           struct bk_error *err)
{
    return store_put(((struct lent *)s)->to, name, data, len, err);
}

static inline int lent_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                           size_t *ret_len, struct bk_error *err)
{
    struct store *to = ((struct lent *)s)->to;
    return to->ops->get(to, name, offset, out, len, ret_len, err);
}

static inline int lent_stat(struct store *s, const char *name, uint64_t *ret, struct bk_error *err)
{
    return store_stat(((struct lent *)s)->to, name, ret, err);
}

static inline int lent_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                            struct bk_error *err)
{
    return store_list(((struct lent *)s)->to, prefix, fn, ctx, err);
}

static inline int lent_remove(struct store *s, const char *name, struct bk_error *err)
{
    return store_remove(((struct lent *)s)->to, name, err);
}

static inline void lent_free(struct store *s)
{
    free(s);
}

static inline struct store *lend(struct store *to)
{
    static const struct store_ops ops = {
        .put = lent_put,
        .get = lent_get,
        .stat = lent_stat,
        .list = lent_list,
        .remove = lent_remove,
        .free = lent_free,
    };
    struct lent *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->store = *to;
    l->store.ops = &ops;
    l->to = to;
    return &l->store;
}

#endif
