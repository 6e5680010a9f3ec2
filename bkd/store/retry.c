#include "bkd/store/retry.h"

#include <stdlib.h>

struct retry {
    struct store store;
    struct store *below;
    struct backoff_opts o;
    const struct world *world;
};

/* May the same call end otherwise the next time? */
static bool again(struct backoff *b, int r)
{
    return (r == BK_E_IO || r == BK_E_BUSY) && backoff_wait(b, 0);
}

static struct retry *start(struct store *s, struct backoff *b)
{
    struct retry *t = (struct retry *)s;
    backoff_start(b, &t->o, t->world);
    return t;
}

/* Says how long was tried, when it was. */
static int end(const struct backoff *b, int r, struct bk_error *err)
{
    if (b->n && (r == BK_E_IO || r == BK_E_BUSY))
        return bk_context(err, "given up after %u seconds and %u attempts", backoff_elapsed_s(b), b->n);
    return r;
}

int retry_settle_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct bk_error why = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf there = BK_BUF(len);
    int r = store_get_all(s, name, len, &there, &why);
    if (r == 0 && there.len == len && (len == 0 || memcmp(there.data, data, len) == 0))
        return 0;
    if (r == 0 || r == BK_E_LIMIT)
        return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
    if (err)
        *err = why;
    return bk_context(err, "see whether object %s was put", name);
}

static int retry_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    int r;
    do
        r = store_put(t->below, name, data, len, err);
    while (again(&b, r));
    if (r == BK_E_EXISTS && b.n)
        r = retry_settle_put(s, name, data, len, err);
    return end(&b, r, err);
}

static int retry_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    int r;
    do
        r = t->below->ops->get(t->below, name, offset, out, len, ret_len, err);
    while (again(&b, r));
    return end(&b, r, err);
}

static int retry_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    int r;
    do
        r = store_stat(t->below, name, ret_size, err);
    while (again(&b, r));
    return end(&b, r, err);
}

static int retry_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    int r;
    do
        r = store_remove(t->below, name, err);
    while (again(&b, r));
    return end(&b, r, err);
}

static int retry_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    int r;
    do
        r = store_retain(t->below, name, until_ns, err);
    while (again(&b, r));
    return end(&b, r, err);
}

/* Healing says itself which store did not answer. */
static int retry_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    return store_heal(((struct retry *)s)->below, name, how, err);
}

static int retry_fd(struct store *s, const char *name, int *ret_fd, struct bk_error *err)
{
    struct store *below = ((struct retry *)s)->below;
    if (!below->ops->fd)
        return BK_E_UNSUPPORTED;
    return below->ops->fd(below, name, ret_fd, err);
}

/* A listing in memory: names as size, then text, then NUL. */
struct gathered {
    struct bk_buf names;
};

static int gather(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct gathered *g = ctx;
    int r = bk_buf_u64(&g->names, size, err);
    return r < 0 ? r : bk_buf_append(&g->names, name, strlen(name) + 1, err);
}

static int hand_on(const struct gathered *g, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    for (size_t at = 0; at < g->names.len;) {
        uint64_t size = 0;
        for (unsigned i = 8; i-- > 0;)
            size = size << 8 | g->names.data[at + i];
        const char *name = (const char *)g->names.data + at + 8;
        at += 8 + strlen(name) + 1;
        int r = fn(ctx, name, size, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int retry_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct backoff b;
    struct retry *t = start(s, &b);
    struct gathered g = { .names = BK_BUF(RETRY_LIST_MAX) };
    int r;
    do {
        bk_buf_clear(&g.names);
        r = store_list(t->below, prefix, gather, &g, err);
    } while (again(&b, r));
    r = r < 0 ? end(&b, r, err) : hand_on(&g, fn, ctx, err);
    bk_buf_clear(&g.names);
    return r;
}

static void retry_free(struct store *s)
{
    store_free(((struct retry *)s)->below);
    free(s);
}

static const struct store_ops retry_ops = {
    .put = retry_put,
    .get = retry_get,
    .stat = retry_stat,
    .list = retry_list,
    .remove = retry_remove,
    .fd = retry_fd,
    .retain = retry_retain,
    .heal = retry_heal,
    .free = retry_free,
};

int store_retry_new(struct store *below, const struct backoff_opts *o, const struct world *w,
                    struct store **ret, struct bk_error *err)
{
    struct retry *t = calloc(1, sizeof *t);
    if (!t)
        return bk_fail(err, BK_E_NOMEM, "no memory for a retry store");
    t->store = *below;
    t->store.ops = &retry_ops;
    t->below = below;
    t->o = *o;
    t->world = w;
    *ret = &t->store;
    return 0;
}
