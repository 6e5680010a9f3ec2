#include "bkd/store/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct object {
    char *name;
    uint8_t *data;
    size_t len;
};

struct mem {
    struct store store;
    pthread_mutex_t lock; /* guards the array, sorted by name */
    struct object *v;
    size_t n, cap;
};

/* Where name is or would be. */
static size_t place(const struct mem *m, const char *name, bool *found)
{
    size_t lo = 0, hi = m->n;
    *found = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(m->v[mid].name, name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int insert(struct mem *m, size_t at, const char *name, const void *data, size_t len)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;
        struct object *v = realloc(m->v, cap * sizeof *v);
        if (!v)
            return -1;
        m->v = v;
        m->cap = cap;
    }
    struct object o = { .name = strdup(name), .data = malloc(len ? len : 1), .len = len };
    if (!o.name || !o.data) {
        free(o.name);
        free(o.data);
        return -1;
    }
    if (len)
        memcpy(o.data, data, len);
    memmove(m->v + at + 1, m->v + at, (m->n - at) * sizeof *m->v);
    m->v[at] = o;
    m->n++;
    return 0;
}

static int mem_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct mem *m = (struct mem *)s;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = place(m, name, &found);
    int r = 0;
    if (found)
        r = bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
    else if (insert(m, at, name, data, len) < 0)
        r = bk_fail(err, BK_E_NOMEM, "no memory for object %s", name);
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int mem_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret_len,
                   struct bk_error *err)
{
    struct mem *m = (struct mem *)s;
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = place(m, name, &found);
    int r = 0;
    if (!found) {
        r = bk_fail(err, BK_E_ABSENT, "object %s does not exist", name);
    } else {
        const struct object *o = &m->v[at];
        size_t n = offset >= o->len ? 0 : o->len - (size_t)offset;
        n = n < len ? n : len;
        if (n)
            memcpy(out, o->data + offset, n);
        *ret_len = n;
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int mem_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct mem *m = (struct mem *)s;
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = place(m, name, &found);
    int r = 0;
    if (found)
        *ret_size = m->v[at].len;
    else
        r = bk_fail(err, BK_E_ABSENT, "object %s does not exist", name);
    pthread_mutex_unlock(&m->lock);
    return r;
}

/* The callback may call the store, so it runs without the lock, on names that are looked up again. */
static int mem_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct mem *m = (struct mem *)s;
    char last[STORE_NAME_MAX + 1] = "";
    bool first = true;
    for (;;) {
        char name[STORE_NAME_MAX + 1];
        size_t size;
        pthread_mutex_lock(&m->lock);
        bool found;
        size_t at = place(m, first ? prefix : last, &found);
        if (!first && found)
            at++;
        bool more = at < m->n && strncmp(m->v[at].name, prefix, strlen(prefix)) == 0;
        if (more) {
            strcpy(name, m->v[at].name);
            size = m->v[at].len;
        }
        pthread_mutex_unlock(&m->lock);
        if (!more)
            return 0;
        int r = fn(ctx, name, size, err);
        if (r != 0)
            return r;
        strcpy(last, name);
        first = false;
    }
}

static int mem_remove(struct store *s, const char *name, struct bk_error *err)
{
    (void)err;
    struct mem *m = (struct mem *)s;
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = place(m, name, &found);
    if (found) {
        free(m->v[at].name);
        free(m->v[at].data);
        memmove(m->v + at, m->v + at + 1, (m->n - at - 1) * sizeof *m->v);
        m->n--;
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static void mem_free(struct store *s)
{
    struct mem *m = (struct mem *)s;
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].name);
        free(m->v[i].data);
    }
    free(m->v);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops mem_ops = {
    .put = mem_put,
    .get = mem_get,
    .stat = mem_stat,
    .list = mem_list,
    .remove = mem_remove,
    .free = mem_free,
};

int store_mem_new(struct store **ret, struct bk_error *err)
{
    struct mem *m = calloc(1, sizeof *m);
    if (!m)
        return bk_fail(err, BK_E_NOMEM, "no memory for a memory store");
    m->store = (struct store){ .ops = &mem_ops,
                               .can = STORE_CAN_LIST | STORE_CAN_REMOVE | STORE_CAN_PUT_IF_ABSENT,
                               .max_object_bytes = UINT64_MAX,
                               .parallel = 1,
                               .url = "mem:" };
    pthread_mutex_init(&m->lock, NULL);
    *ret = &m->store;
    return 0;
}
