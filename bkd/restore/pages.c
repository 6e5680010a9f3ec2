#include "bkd/restore/pages.h"

#include <pthread.h>

enum { BUCKETS = 1024 };

struct pages {
    struct reader *reader;
    size_t limit;
    pthread_mutex_t lock; /* guards what follows */
    struct page *buckets[BUCKETS];
    struct page *newest, *oldest;
    size_t bytes;
};

static struct page *page_new(size_t n)
{
    struct page *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->n = n;
    p->ends = calloc(n ? n : 1, sizeof *p->ends);
    p->memory_bytes = sizeof *p + n * sizeof *p->ends;
    if (p->ends)
        return p;
    free(p);
    return NULL;
}

static struct page *page_ref(struct page *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void page_free(struct page *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(p->ends);
    free(p->extents);
    free(p->children);
    free(p);
}

int page_of_extents(struct extents *x, struct page **ret, struct bk_error *err)
{
    struct page *p = page_new(x->n);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for an extent page");
    uint64_t at = 0; /* extents_add has made sure that they add up */
    for (size_t i = 0; i < x->n; i++)
        p->ends[i] = at += x->v[i].len;
    p->depth = 1;
    p->memory_bytes += x->cap * sizeof *x->v;
    p->extents = bk_steal(x->v);
    *x = (struct extents){ 0 };
    *ret = p;
    return 0;
}

static int page_of_children(struct content_child **v, size_t n, struct page **ret, struct bk_error *err)
{
    bk_auto(page_free) struct page *p = page_new(n);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for an extent page");
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_add_overflow(at, (*v)[i].len, &at))
            return bk_fail(err, BK_E_CORRUPT, "the extents of a file add up to more than a file can hold");
        p->ends[i] = at;
    }
    p->memory_bytes += n * sizeof **v;
    p->children = bk_steal(*v);
    *ret = bk_steal(p);
    return 0;
}

size_t page_find(const struct page *p, uint64_t at)
{
    size_t lo = 0, hi = p->n - 1; /* the first that ends behind it */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->ends[mid] > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

int pages_new(struct reader *r, size_t limit_bytes, struct pages **ret, struct bk_error *err)
{
    struct pages *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for extent pages");
    p->reader = r;
    p->limit = limit_bytes;
    pthread_mutex_init(&p->lock, NULL);
    *ret = p;
    return 0;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    while (p->newest) {
        struct page *e = p->newest;
        p->newest = e->older;
        page_free(e);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct page **bucket(struct pages *p, const chunk_id *id)
{
    return &p->buckets[bk_get_u16(id->b) % BUCKETS];
}

static struct page *lookup(struct pages *p, unsigned depth, const chunk_id *id)
{
    struct page *e = *bucket(p, id);
    while (e && (e->depth != depth || chunk_id_cmp(&e->id, id) != 0))
        e = e->chain;
    return e;
}

static void unlink_age(struct pages *p, struct page *e)
{
    *(e->newer ? &e->newer->older : &p->newest) = e->older;
    *(e->older ? &e->older->newer : &p->oldest) = e->newer;
}

static void link_newest(struct pages *p, struct page *e)
{
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = e;
    p->newest = e;
}

static struct page *evict(struct pages *p)
{
    struct page *e = p->oldest, **at = bucket(p, &e->id);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    unlink_age(p, e);
    p->bytes -= e->memory_bytes;
    return e;
}

static void keep(struct pages *p, struct page *e)
{
    struct page *gone = NULL;
    pthread_mutex_lock(&p->lock);
    if (e->memory_bytes <= p->limit && !lookup(p, e->depth, &e->id)) {
        while (p->bytes + e->memory_bytes > p->limit) {
            struct page *old = evict(p);
            old->chain = gone;
            gone = old;
        }
        struct page **at = bucket(p, &e->id);
        e->chain = *at;
        *at = page_ref(e);
        link_newest(p, e);
        p->bytes += e->memory_bytes;
    }
    pthread_mutex_unlock(&p->lock);
    while (gone) {
        struct page *old = gone;
        gone = old->chain;
        page_free(old);
    }
}

static int load(struct pages *p, unsigned lane, unsigned depth, const chunk_id *id, struct page **ret,
                struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf data = BK_BUF(CHUNK_MAX);
    int r = reader_chunk(p->reader, lane, CHUNK_META, id, &data, err);
    if (r < 0)
        return bk_context(err, "read an extent page");
    struct page *e = NULL;
    if (depth == 1) {
        bk_auto(extents_clear) struct extents x = { 0 };
        r = content_leaf_decode(data.data, data.len, &x, err);
        if (r == 0)
            r = page_of_extents(&x, &e, err);
    } else {
        bk_auto(free) struct content_child *v = NULL;
        size_t n;
        r = content_inner_decode(data.data, data.len, depth, &v, &n, err);
        if (r == 0)
            r = page_of_children(&v, n, &e, err);
    }
    if (r < 0)
        return r;
    e->depth = depth;
    e->id = *id;
    *ret = e;
    return 0;
}

int pages_get(struct pages *p, unsigned lane, unsigned depth, const chunk_id *id, struct page **ret,
              struct bk_error *err)
{
    pthread_mutex_lock(&p->lock);
    struct page *e = lookup(p, depth, id);
    if (e) {
        unlink_age(p, e);
        link_newest(p, e);
        page_ref(e);
    }
    pthread_mutex_unlock(&p->lock);
    if (!e) {
        int r = load(p, lane, depth, id, &e, err);
        if (r < 0)
            return r;
        keep(p, e);
    }
    *ret = e;
    return 0;
}
