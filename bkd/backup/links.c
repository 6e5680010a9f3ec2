#include "bkd/backup/links.h"

#include <errno.h>
#include <pthread.h>

struct slot {
    struct links_key key;
    uint8_t *content; /* owned, encoded; NULL: the slot is free */
    uint32_t len;
};
struct links {
    pthread_mutex_t lock;
    struct slot *v; /* owned; cap is a power of two, at most three quarters full */
    size_t n, cap;
};

int links_new(struct links **ret, struct bk_error *err)
{
    struct links *l = calloc(1, sizeof *l);
    if (!l)
        return bk_fail_errno(err, ENOMEM, "a table of hard links");
    pthread_mutex_init(&l->lock, NULL);
    *ret = l;
    return 0;
}

void links_free(struct links *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->cap; i++)
        free(l->v[i].content);
    free(l->v);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static size_t hash(const struct links_key *k)
{
    uint64_t h = (k->ino ^ (k->dev << 40)) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ (h >> 29));
}

static bool equal(const struct links_key *a, const struct links_key *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

/* The slot of k, or the free one where it belongs. */
static struct slot *place(struct slot *v, size_t cap, const struct links_key *k)
{
    size_t i = hash(k) & (cap - 1);
    while (v[i].content && !equal(&v[i].key, k))
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static bool grow(struct links *l)
{
    size_t cap = l->cap ? l->cap * 2 : 256;
    struct slot *v = calloc(cap, sizeof *v);
    if (!v)
        return false;
    for (size_t i = 0; i < l->cap; i++)
        if (l->v[i].content)
            *place(v, cap, &l->v[i].key) = l->v[i];
    free(l->v);
    l->v = v;
    l->cap = cap;
    return true;
}

bool links_find(struct links *l, const struct links_key *k, struct content *ret)
{
    bool found = false;
    pthread_mutex_lock(&l->lock);
    if (l->cap) {
        struct slot *s = place(l->v, l->cap, k);
        struct bk_reader r = bk_reader_of(s->content, s->content ? s->len : 0);
        found = s->content && content_decode(&r, ret, NULL) == 0;
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

void links_add(struct links *l, const struct links_key *k, const struct content *c)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(64 << 10);
    if (content_encode(c, &b, NULL) < 0)
        return;
    pthread_mutex_lock(&l->lock);
    if (l->n < LINKS_MAX && (l->n * 4 < l->cap * 3 || grow(l))) {
        struct slot *s = place(l->v, l->cap, k);
        if (!s->content) {
            *s = (struct slot){ .key = *k, .content = b.data, .len = (uint32_t)b.len };
            b.data = NULL;
            l->n++;
        }
    }
    pthread_mutex_unlock(&l->lock);
}
