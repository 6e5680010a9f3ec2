#include "bkd/store/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/job/folder.h"
#include "bkd/store/cache_file.h"

enum { LOCKS = 16, CHECKED = 4096 };

struct cache {
    struct store store;
    struct store *below;
    int dir;
    uint64_t most;                   /* bytes */
    atomic_uint_fast64_t bytes;      /* there, as far as this process knows */
    pthread_mutex_t fetching[LOCKS]; /* by the name's hash: one thread fetches, the others wait and find it */
    pthread_mutex_t lock;            /* guards checked */
    uint64_t checked[CHECKED];       /* hashes of the names whose copies this process has checked or made */
};

static bool kept(const char *name)
{
    static const char *const kinds[] = { "meta/", "index/", "snapshots/", "keys/" };
    for (size_t i = 0; i < BK_COUNT(kinds); i++)
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0)
            return store_name_valid(name);
    return false;
}

/* FNV-1a; never 0 */
static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h ? h : 1;
}

static bool is_checked(struct cache *c, uint64_t h)
{
    pthread_mutex_lock(&c->lock);
    bool yes = c->checked[h % CHECKED] == h;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

static void set_checked(struct cache *c, uint64_t h)
{
    pthread_mutex_lock(&c->lock);
    c->checked[h % CHECKED] = h;
    pthread_mutex_unlock(&c->lock);
}

static void keep(struct cache *c, const char *name, const void *data, size_t len)
{
    if (len > CACHE_OBJECT_MAX || len > c->most / 4 || !cache_file_fits(name, data, len))
        return;
    uint64_t n = cache_file_keep(c->dir, name, data, len);
    if (!n)
        return;
    set_checked(c, hash_of(name));
    if (atomic_fetch_add(&c->bytes, n) + n > c->most)
        atomic_store(&c->bytes, cache_file_trim(c->dir, c->most));
}

static int open_copy(struct cache *c, const char *name, uint64_t *ret_size)
{
    uint64_t h = hash_of(name);
    bool known = is_checked(c, h);
    int fd = cache_file_open(c->dir, name, !known, ret_size);
    if (fd >= 0 && !known)
        set_checked(c, h);
    return fd;
}

/* A descriptor on the copy, fetched when there is none; -1 when it cannot be had this way (the call goes
 * below then), or a code. */
static int want(struct cache *c, const char *name, int *ret_fd, uint64_t *ret_size, struct bk_error *err)
{
    *ret_fd = open_copy(c, name, ret_size);
    if (*ret_fd >= 0)
        return 0;
    pthread_mutex_t *m = &c->fetching[hash_of(name) % LOCKS];
    pthread_mutex_lock(m);
    int r = 0;
    *ret_fd = open_copy(c, name, ret_size);
    if (*ret_fd < 0) {
        bk_auto(bk_buf_clear) struct bk_buf all = BK_BUF(0);
        struct bk_error why = { 0 };
        r = store_get_all(c->below, name, CACHE_OBJECT_MAX, &all, &why);
        if (r == 0)
            keep(c, name, all.data, all.len);
        else if (r == BK_E_LIMIT || r == BK_E_NOMEM)
            r = 0;
        else if (err)
            *err = why;
        if (r == 0)
            *ret_fd = open_copy(c, name, ret_size);
    }
    pthread_mutex_unlock(m);
    return r;
}

static int cache_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    uint64_t size = 0;
    bk_auto(close) int fd = -1;
    if (kept(name)) {
        int got, r = want(c, name, &got, &size, err);
        fd = got;
        if (r < 0)
            return r;
    }
    if (fd < 0)
        return c->below->ops->get(c->below, name, offset, out, len, ret_len, err);
    uint64_t left = offset < size ? size - offset : 0;
    size_t n = left < len ? (size_t)left : len;
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, (uint8_t *)out + done, n - done, (off_t)(offset + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return c->below->ops->get(c->below, name, offset, out, len, ret_len, err);
        done += (size_t)k;
    }
    *ret_len = n;
    return 0;
}

static int cache_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    uint64_t size;
    bk_auto(close) int fd = kept(name) ? open_copy(c, name, &size) : -1;
    if (fd < 0)
        return store_stat(c->below, name, ret_size, err);
    *ret_size = size;
    return 0;
}

static void drop(struct cache *c, const char *name)
{
    char file[CACHE_FILE_NAME];
    cache_file_name(name, file);
    unlinkat(c->dir, file, 0);
}

static int cache_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    int r = store_put(c->below, name, data, len, err);
    if (r == 0 && kept(name))
        keep(c, name, data, len);
    /* whoever looks now at what stands there wants to see the store */
    if (r == BK_E_EXISTS && kept(name))
        drop(c, name);
    return r;
}

static int cache_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    int r = store_remove(c->below, name, err);
    if (kept(name))
        drop(c, name);
    return r;
}

/* The one name that is put a second time: a void record takes the place of a snapshot that was forgotten,
 * when its session is found dead after that. The two differ in size, always. */
struct listing {
    struct cache *cache;
    store_list_fn *fn;
    void *ctx;
};

static int drop_replaced(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct listing *l = ctx;
    uint64_t have;
    if (strncmp(name, "snapshots/", 10) == 0 && cache_file_size(l->cache->dir, name, &have) && have != size)
        drop(l->cache, name);
    return l->fn(l->ctx, name, size, err);
}

static int cache_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct listing l = { .cache = (struct cache *)s, .fn = fn, .ctx = ctx };
    return store_list(l.cache->below, prefix, drop_replaced, &l, err);
}

static int cache_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err)
{
    return store_clock(((struct cache *)s)->below, ret_ahead_ns, err);
}

static int cache_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    return store_retain(((struct cache *)s)->below, name, until_ns, err);
}

/* Our own copy may be what was found bad. */
static int cache_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    if (kept(name))
        drop(c, name);
    return store_heal(c->below, name, how, err);
}

static int cache_fd(struct store *s, const char *name, int *ret_fd, struct bk_error *err)
{
    struct cache *c = (struct cache *)s;
    uint64_t size;
    int fd = -1;
    int r = kept(name) ? want(c, name, &fd, &size, err) : 0;
    if (r < 0)
        return r;
    if (fd < 0 && c->below->ops->fd)
        return c->below->ops->fd(c->below, name, ret_fd, err);
    if (fd < 0)
        return bk_fail(err, BK_E_UNSUPPORTED, "%s has no descriptors to give", s->url);
    *ret_fd = fd;
    return 0;
}

static void cache_free(struct store *s)
{
    struct cache *c = (struct cache *)s;
    store_free(c->below);
    if (c->dir >= 0)
        close(c->dir);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&c->fetching[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static const struct store_ops cache_ops = {
    .put = cache_put,
    .get = cache_get,
    .stat = cache_stat,
    .list = cache_list,
    .remove = cache_remove,
    .fd = cache_fd,
    .retain = cache_retain,
    .clock = cache_clock,
    .heal = cache_heal,
    .free = cache_free,
};

int store_cache_new(struct store *below, const char *dir, uint64_t bytes, struct store **ret,
                    struct bk_error *err)
{
    int r = folder_make(dir, err);
    if (r < 0)
        return r;
    bk_auto(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open directory %s", dir);
    struct cache *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for a cache");
    c->store = *below;
    c->store.ops = &cache_ops;
    c->below = below;
    c->most = bytes;
    c->dir = bk_steal_fd(&fd);
    pthread_mutex_init(&c->lock, NULL);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&c->fetching[i], NULL);
    atomic_store(&c->bytes, cache_file_trim(c->dir, c->most));
    *ret = &c->store;
    return 0;
}
