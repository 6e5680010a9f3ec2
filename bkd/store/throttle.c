#include "bkd/store/throttle.h"

#include <stdlib.h>

#include "bkd/job/job.h"

struct throttle {
    struct store store;
    struct store *below;
    struct job_rate up, down;
};

static int throttle_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct throttle *t = (struct throttle *)s;
    job_rate_take(&t->up, len);
    return store_put(t->below, name, data, len, err);
}

static int throttle_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                        size_t *ret_len, struct bk_error *err)
{
    struct throttle *t = (struct throttle *)s;
    int r = t->below->ops->get(t->below, name, offset, out, len, ret_len, err);
    if (r == 0)
        job_rate_take(&t->down, *ret_len);
    return r;
}

static int throttle_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    return store_stat(((struct throttle *)s)->below, name, ret_size, err);
}

static int throttle_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                         struct bk_error *err)
{
    return store_list(((struct throttle *)s)->below, prefix, fn, ctx, err);
}

static int throttle_remove(struct store *s, const char *name, struct bk_error *err)
{
    return store_remove(((struct throttle *)s)->below, name, err);
}

static int throttle_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err)
{
    return store_clock(((struct throttle *)s)->below, ret_ahead_ns, err);
}

static int throttle_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    return store_retain(((struct throttle *)s)->below, name, until_ns, err);
}

/* How much healing reads is known afterwards. */
struct counted {
    const struct store_heal *how;
    uint64_t bytes;
};

static void count_copy(void *ctx, const struct store_copy *copy)
{
    struct counted *c = ctx;
    c->bytes += copy->bytes;
    if (c->how->copy)
        c->how->copy(c->how->ctx, copy);
}

static int throttle_heal(struct store *s, const char *name, const struct store_heal *how,
                         struct bk_error *err)
{
    struct throttle *t = (struct throttle *)s;
    struct counted c = { .how = how };
    struct store_heal counting = { .copy = count_copy, .ctx = &c, .fill = how->fill };
    int r = store_heal(t->below, name, &counting, err);
    job_rate_take(&t->down, c.bytes);
    return r;
}

/* A descriptor would go around the limit. */
static int throttle_fd(struct store *s, const char *name, int *ret_fd, struct bk_error *err)
{
    struct throttle *t = (struct throttle *)s;
    if (t->down.limit || !t->below->ops->fd)
        return bk_fail(err, BK_E_UNSUPPORTED, "%s has no descriptors to give", s->url);
    return t->below->ops->fd(t->below, name, ret_fd, err);
}

static void throttle_free(struct store *s)
{
    struct throttle *t = (struct throttle *)s;
    store_free(t->below);
    pthread_mutex_destroy(&t->up.lock);
    pthread_mutex_destroy(&t->down.lock);
    free(t);
}

static const struct store_ops throttle_ops = {
    .put = throttle_put,
    .get = throttle_get,
    .stat = throttle_stat,
    .list = throttle_list,
    .remove = throttle_remove,
    .fd = throttle_fd,
    .retain = throttle_retain,
    .clock = throttle_clock,
    .heal = throttle_heal,
    .free = throttle_free,
};

int store_throttle_new(struct store *below, const struct throttle_opts *o, struct store **ret,
                       struct bk_error *err)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (!t)
        return bk_fail(err, BK_E_NOMEM, "no memory for a throttle store");
    t->store = *below;
    t->store.ops = &throttle_ops;
    t->below = below;
    job_rate_init(&t->up, o->up);
    job_rate_init(&t->down, o->down);
    *ret = &t->store;
    return 0;
}
