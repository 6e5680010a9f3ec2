/* A store with object lock between a test and one that it borrows, with a clock that the test sets. What is
 * put is locked for put_lock_ns from then on, or only as store_retain asks. */
#ifndef TESTS_LIFE_LOCKS_H
#define TESTS_LIFE_LOCKS_H

#include <pthread.h>

#include "bkd/store/store.h"

enum { LOCKS_MAX = 4096 };

struct locks {
    int64_t now_ns, put_lock_ns; /* of this machine */
    int64_t ahead_ns;            /* by which the store's clock is ahead */
    bool refuses;                /* to retain */
    unsigned n_retains;          /* that were asked for */
    size_t n;
    struct {
        char name[STORE_NAME_MAX + 1];
        int64_t until_ns;
    } v[LOCKS_MAX];
    pthread_mutex_t mutex;
};
static struct locks locks = { .mutex = PTHREAD_MUTEX_INITIALIZER };

struct locking {
    struct store store;
    struct store *to;
};

/* Until when; 0: it is not locked. */
static inline int64_t locks_until(const char *name)
{
    for (size_t i = 0; i < locks.n; i++)
        if (strcmp(locks.v[i].name, name) == 0)
            return locks.v[i].until_ns;
    return 0;
}

static inline void locks_set(const char *name, int64_t until_ns)
{
    size_t i = 0;
    while (i < locks.n && strcmp(locks.v[i].name, name) != 0)
        i++;
    assert_true(i < LOCKS_MAX);
    if (i == locks.n) {
        snprintf(locks.v[locks.n++].name, STORE_NAME_MAX + 1, "%s", name);
        locks.v[i].until_ns = 0;
    }
    if (until_ns > locks.v[i].until_ns)
        locks.v[i].until_ns = until_ns;
}

/* As with S3: what comes and goes lies in a bucket without locks. */
static inline bool locks_are_for(const char *name)
{
    return strncmp(name, "data/", 5) == 0 || strncmp(name, "meta/", 5) == 0 ||
           strncmp(name, "index/", 6) == 0;
}

static inline int locking_put(struct store *s, const char *name, const void *data, size_t len,
                              struct bk_error *err)
{
    int r = store_put(((struct locking *)s)->to, name, data, len, err);
    pthread_mutex_lock(&locks.mutex);
    if (r == 0 && locks.put_lock_ns && locks_are_for(name))
        locks_set(name, locks.now_ns + locks.ahead_ns + locks.put_lock_ns);
    pthread_mutex_unlock(&locks.mutex);
    return r;
}
static inline int locking_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                              size_t *ret, struct bk_error *err)
{
    struct store *to = ((struct locking *)s)->to;
    return to->ops->get(to, name, offset, out, len, ret, err);
}
static inline int locking_stat(struct store *s, const char *name, uint64_t *ret, struct bk_error *err)
{
    return store_stat(((struct locking *)s)->to, name, ret, err);
}
static inline int locking_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                               struct bk_error *err)
{
    return store_list(((struct locking *)s)->to, prefix, fn, ctx, err);
}
static inline int locking_remove(struct store *s, const char *name, struct bk_error *err)
{
    pthread_mutex_lock(&locks.mutex);
    bool kept = locks_until(name) > locks.now_ns + locks.ahead_ns;
    pthread_mutex_unlock(&locks.mutex);
    return kept ? bk_fail(err, BK_E_PERM, "%s is locked (the test)", name)
                : store_remove(((struct locking *)s)->to, name, err);
}
static inline int locking_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    uint64_t size;
    int r = store_stat(((struct locking *)s)->to, name, &size, err);
    pthread_mutex_lock(&locks.mutex);
    locks.n_retains++;
    if (r == 0 && locks.refuses)
        r = bk_fail(err, BK_E_PERM, "no lock for %s (the test)", name);
    if (r == 0)
        locks_set(name, until_ns);
    pthread_mutex_unlock(&locks.mutex);
    return r;
}
static inline int locking_clock(struct store *s, int64_t *ret, struct bk_error *err)
{
    (void)s;
    (void)err;
    *ret = locks.ahead_ns;
    return 0;
}
static inline void locking_free(struct store *s)
{
    free(s);
}

static inline struct store *locking_new(struct store *to)
{
    static const struct store_ops ops = { .put = locking_put,
                                          .get = locking_get,
                                          .stat = locking_stat,
                                          .list = locking_list,
                                          .remove = locking_remove,
                                          .retain = locking_retain,
                                          .clock = locking_clock,
                                          .free = locking_free };
    struct locking *l = calloc(1, sizeof *l);
    assert_non_null(l);
    *l = (struct locking){ .store = *to, .to = to };
    l->store.ops = &ops;
    l->store.can |= STORE_CAN_RETAIN;
    l->store.parallel = 4;
    return &l->store;
}

static inline int64_t locks_now(void *ctx)
{
    (void)ctx;
    return locks.now_ns;
}

#endif
