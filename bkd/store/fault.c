#include "bkd/store/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAST_PUTS = 8, NAME = 256 };

struct fault {
    struct store store;
    struct store *below;
    enum store_fault_kind kind;
    uint64_t nth;
    atomic_uint_fast64_t calls;
    atomic_bool fired;
    pthread_mutex_t lock; /* guards the two below */
    char last[LAST_PUTS][NAME];
    unsigned n_put;
};

enum slot { SLOT_PUT, SLOT_GET, SLOT_REMOVE, SLOT_LIST, SLOT_OTHER };

static bool counts(enum store_fault_kind kind, enum slot slot)
{
    switch (kind) {
    case FAULT_SHORT_GET:
    case FAULT_FLIP_GET:
        return slot == SLOT_GET;
    case FAULT_NOSPACE:
    case FAULT_SHORT_PUT:
        return slot == SLOT_PUT;
    case FAULT_TWICE:
        return slot == SLOT_PUT || slot == SLOT_REMOVE;
    case FAULT_STALE_LIST:
        return slot == SLOT_LIST;
    case FAULT_ERROR:
    case FAULT_LOST_ACK:
    case FAULT_CUT:
    case FAULT_SILENT:
    case FAULT_SLOW:
        break;
    }
    return true;
}

/* Is this the call that goes wrong? */
static bool trip(struct fault *f, enum slot slot)
{
    if (!counts(f->kind, slot))
        return false;
    uint64_t n = atomic_fetch_add(&f->calls, 1) + 1;
    bool lasting = f->kind == FAULT_NOSPACE || f->kind == FAULT_CUT || f->kind == FAULT_SILENT;
    if (!f->nth || !(n == f->nth || (lasting && n > f->nth)))
        return false;
    atomic_store(&f->fired, true);
    if (f->kind == FAULT_SLOW)
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return f->kind != FAULT_SLOW;
}

static int injected(struct fault *f, const char *what, const char *name, struct bk_error *err)
{
    if (f->kind == FAULT_NOSPACE)
        return bk_fail(err, BK_E_NOSPACE, "%s %s: no space left (injected)", what, name);
    if (f->kind == FAULT_SILENT)
        return bk_fail(err, BK_E_UNREACHABLE, "%s %s: no answer (injected)", what, name);
    return bk_fail(err, BK_E_IO, "%s %s: input/output error (injected)", what, name);
}

static void note_put(struct fault *f, const char *name)
{
    pthread_mutex_lock(&f->lock);
    snprintf(f->last[f->n_put++ % LAST_PUTS], NAME, "%s", name);
    pthread_mutex_unlock(&f->lock);
}

static bool put_lately(struct fault *f, const char *name)
{
    bool lately = false;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < LAST_PUTS && !lately; i++)
        lately = strcmp(f->last[i], name) == 0;
    pthread_mutex_unlock(&f->lock);
    return lately;
}

static int fault_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    int r;
    note_put(f, name);
    if (!trip(f, SLOT_PUT))
        return store_put(f->below, name, data, len, err);
    switch (f->kind) {
    case FAULT_TWICE:
        r = store_put(f->below, name, data, len, err);
        return r < 0 ? r : store_put(f->below, name, data, len, err);
    case FAULT_LOST_ACK:
    case FAULT_SHORT_PUT:
        r = store_put(f->below, name, data, f->kind == FAULT_SHORT_PUT ? len / 2 : len, err);
        if (r < 0)
            return r;
        break;
    default:
        break;
    }
    return injected(f, "put", name, err);
}

static int fault_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    bool wrong = trip(f, SLOT_GET);
    if (wrong && f->kind != FAULT_SHORT_GET && f->kind != FAULT_FLIP_GET)
        return injected(f, "get", name, err);
    int r = f->below->ops->get(f->below, name, offset, out, len, ret_len, err);
    if (r < 0 || !wrong || *ret_len == 0)
        return r;
    if (f->kind == FAULT_SHORT_GET)
        *ret_len /= 2;
    else
        ((uint8_t *)out)[*ret_len / 2] ^= 0x10;
    return 0;
}

static int fault_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    return trip(f, SLOT_OTHER) ? injected(f, "stat", name, err) : store_stat(f->below, name, ret_size, err);
}

struct stale {
    struct fault *f;
    store_list_fn *fn;
    void *ctx;
};

static int list_older(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct stale *l = ctx;
    return put_lately(l->f, name) ? 0 : l->fn(l->ctx, name, size, err);
}

static int fault_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    struct stale stale = { .f = f, .fn = fn, .ctx = ctx };
    if (!trip(f, SLOT_LIST))
        return store_list(f->below, prefix, fn, ctx, err);
    if (f->kind == FAULT_STALE_LIST)
        return store_list(f->below, prefix, list_older, &stale, err);
    return injected(f, "list", prefix, err);
}

static int fault_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    if (!trip(f, SLOT_REMOVE))
        return store_remove(f->below, name, err);
    if (f->kind == FAULT_LOST_ACK || f->kind == FAULT_TWICE) {
        int r = store_remove(f->below, name, err);
        if (r < 0)
            return r;
    }
    return f->kind == FAULT_TWICE ? store_remove(f->below, name, err) : injected(f, "remove", name, err);
}

static int fault_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    return trip(f, SLOT_OTHER) ? injected(f, "retain", name, err)
                               : store_retain(f->below, name, until_ns, err);
}

static int fault_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    struct fault *f = (struct fault *)s;
    return trip(f, SLOT_OTHER) ? injected(f, "heal", name, err) : store_heal(f->below, name, how, err);
}

static void fault_free(struct store *s)
{
    struct fault *f = (struct fault *)s;
    store_free(f->below);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static const struct store_ops fault_ops = {
    .put = fault_put,
    .get = fault_get,
    .stat = fault_stat,
    .list = fault_list,
    .remove = fault_remove,
    .retain = fault_retain,
    .heal = fault_heal,
    .free = fault_free,
};

int store_fault_new(struct store *below, enum store_fault_kind kind, uint64_t nth, struct store **ret,
                    struct bk_error *err)
{
    struct fault *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail(err, BK_E_NOMEM, "no memory for a fault store");
    f->store = *below;
    f->store.ops = &fault_ops;
    f->below = below;
    f->kind = kind;
    f->nth = nth;
    pthread_mutex_init(&f->lock, NULL);
    *ret = &f->store;
    return 0;
}

bool store_fault_fired(const struct store *s)
{
    return atomic_load(&((const struct fault *)s)->fired);
}

uint64_t store_fault_calls(const struct store *s)
{
    return atomic_load(&((const struct fault *)s)->calls);
}
