#include "bkd/store/silence.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct silence {
    struct store store;
    struct store_ops ops; /* without the slots that the store below has not */
    struct store *below;
    atomic_int_fast64_t until_s; /* of the steady clock; 0: it answers */
    pthread_mutex_t lock;        /* guards why */
    struct bk_error why;
};

static int64_t steady_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec;
}

/* 0: ask it. */
static int ask(struct silence *s, struct bk_error *err)
{
    int_fast64_t until = atomic_load_explicit(&s->until_s, memory_order_relaxed);
    int64_t now = until ? steady_s() : 0;
    if (!until ||
        (now >= until && atomic_compare_exchange_strong(&s->until_s, &until, now + SILENCE_RETRY_S)))
        return 0;
    if (err) {
        pthread_mutex_lock(&s->lock);
        *err = s->why;
        pthread_mutex_unlock(&s->lock);
    }
    return BK_E_UNREACHABLE;
}

static int answered(struct silence *s, int r, struct bk_error *err, const struct bk_error *why)
{
    if (r == BK_E_UNREACHABLE) {
        pthread_mutex_lock(&s->lock);
        s->why = *why;
        pthread_mutex_unlock(&s->lock);
        atomic_store(&s->until_s, steady_s() + SILENCE_RETRY_S);
    } else if (atomic_load_explicit(&s->until_s, memory_order_relaxed)) {
        atomic_store(&s->until_s, 0);
    }
    if (r < 0 && err)
        *err = *why;
    return r;
}

/* call: of the store below, with its error in `why`. */
#define ASK(s, err, call)                    \
    do {                                     \
        struct silence *x = (void *)(s);     \
        struct store *b = x->below;          \
        struct bk_error why = { 0 };         \
        int ask_r = ask(x, err);             \
        if (ask_r < 0)                       \
            return ask_r;                    \
        return answered(x, call, err, &why); \
    } while (0)

static int silence_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    ASK(s, err, store_put(b, name, data, len, &why));
}

static int silence_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                       size_t *ret_len, struct bk_error *err)
{
    ASK(s, err, b->ops->get(b, name, offset, out, len, ret_len, &why));
}

static int silence_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    ASK(s, err, store_stat(b, name, ret_size, &why));
}

static int silence_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                        struct bk_error *err)
{
    ASK(s, err, store_list(b, prefix, fn, ctx, &why));
}

static int silence_remove(struct store *s, const char *name, struct bk_error *err)
{
    ASK(s, err, store_remove(b, name, &why));
}

static int silence_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    ASK(s, err, store_retain(b, name, until_ns, &why));
}

static int silence_clock(struct store *s, int64_t *ret_ns, struct bk_error *err)
{
    ASK(s, err, store_clock(b, ret_ns, &why));
}

/* Says itself which copies do not answer. */
static int silence_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    return store_heal(((struct silence *)s)->below, name, how, err);
}

static int silence_put_broken(struct store *s, const char *name, const void *data, size_t len,
                              struct bk_error *err)
{
    struct store *below = ((struct silence *)s)->below;
    return below->ops->put_broken(below, name, data, len, err);
}

static void silence_free(struct store *s)
{
    struct silence *x = (struct silence *)s;
    store_free(x->below);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

static const struct store_ops silence_ops = {
    .put = silence_put,
    .get = silence_get,
    .stat = silence_stat,
    .list = silence_list,
    .remove = silence_remove,
    .retain = silence_retain,
    .clock = silence_clock,
    .heal = silence_heal,
    .put_broken = silence_put_broken,
    .free = silence_free,
};

int store_silence_new(struct store *below, struct store **ret, struct bk_error *err)
{
    struct silence *x = calloc(1, sizeof *x);
    if (!x)
        return bk_fail(err, BK_E_NOMEM, "no memory for a store");
    x->store = *below;
    x->ops = silence_ops;
    if (!below->ops->retain)
        x->ops.retain = NULL;
    if (!below->ops->clock)
        x->ops.clock = NULL;
    if (!below->ops->heal)
        x->ops.heal = NULL;
    if (!below->ops->put_broken)
        x->ops.put_broken = NULL;
    x->store.ops = &x->ops;
    x->below = below;
    pthread_mutex_init(&x->lock, NULL);
    *ret = &x->store;
    return 0;
}
