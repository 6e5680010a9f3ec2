#include "bkd/repo/frame_cache.h"

#include "formats/base/wire.h"

enum { BUCKETS_MIN = 64, BUCKETS_MAX = 65536, BYTES_PER_BUCKET = 128 << 10 };

struct frame_cache {
    size_t limit;
    size_t n_buckets; /* a power of two */
    pthread_mutex_t lock;
    struct frame_ref **buckets;
    struct frame_ref *newest, *oldest;
    size_t bytes;
};

int frame_cache_new(size_t bytes, struct frame_cache **ret, struct bk_error *err)
{
    struct frame_cache *c = calloc(1, sizeof *c);
    size_t n = BUCKETS_MIN;
    while (n < BUCKETS_MAX && n < bytes / BYTES_PER_BUCKET)
        n *= 2;
    struct frame_ref **buckets = calloc(n, sizeof(struct frame_ref *));
    if (!c || !buckets) {
        free(c);
        free(buckets);
        return bk_fail(err, BK_E_NOMEM, "no memory for the frame cache");
    }
    c->limit = bytes;
    c->n_buckets = n;
    c->buckets = buckets;
    pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return 0;
}

void frame_cache_free(struct frame_cache *c)
{
    if (!c)
        return;
    while (c->newest) {
        struct frame_ref *f = c->newest;
        c->newest = f->older;
        frame_ref_free(f);
    }
    free(c->buckets);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct frame_ref **bucket(struct frame_cache *c, const pack_name *pack, uint32_t offset)
{
    uint64_t h = bk_get_u64(pack->b) ^ offset * 0x9e3779b97f4a7c15u;
    return &c->buckets[(h ^ h >> 32) & (c->n_buckets - 1)];
}

static struct frame_ref *lookup(struct frame_cache *c, const pack_name *pack, uint32_t offset)
{
    struct frame_ref *f = *bucket(c, pack, offset);
    while (f && (f->offset != offset || memcmp(&f->pack, pack, sizeof *pack) != 0))
        f = f->chain;
    return f;
}

static void unlink_age(struct frame_cache *c, struct frame_ref *f)
{
    *(f->newer ? &f->newer->older : &c->newest) = f->older;
    *(f->older ? &f->older->newer : &c->oldest) = f->newer;
}

static void link_newest(struct frame_cache *c, struct frame_ref *f)
{
    f->newer = NULL;
    f->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = f;
    c->newest = f;
}

/* Take the oldest out; its reference passes to the caller. */
static struct frame_ref *evict(struct frame_cache *c)
{
    struct frame_ref *f = c->oldest;
    struct frame_ref **at = bucket(c, &f->pack, f->offset);
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
    unlink_age(c, f);
    c->bytes -= f->memory_bytes;
    return f;
}

struct frame_ref *frame_cache_get(struct frame_cache *c, const pack_name *pack, uint32_t offset)
{
    pthread_mutex_lock(&c->lock);
    struct frame_ref *f = lookup(c, pack, offset);
    if (f) {
        unlink_age(c, f);
        link_newest(c, f);
        frame_ref_share(f);
    }
    pthread_mutex_unlock(&c->lock);
    return f;
}

void frame_cache_put(struct frame_cache *c, struct frame_ref *f)
{
    struct frame_ref *gone = NULL;
    pthread_mutex_lock(&c->lock);
    if (f->memory_bytes <= c->limit && !lookup(c, &f->pack, f->offset)) {
        while (c->bytes + f->memory_bytes > c->limit) {
            struct frame_ref *old = evict(c);
            old->chain = gone;
            gone = old;
        }
        struct frame_ref **at = bucket(c, &f->pack, f->offset);
        f->chain = *at;
        *at = frame_ref_share(f);
        link_newest(c, f);
        c->bytes += f->memory_bytes;
    }
    pthread_mutex_unlock(&c->lock);
    while (gone) {
        struct frame_ref *old = gone;
        gone = old->chain;
        frame_ref_free(old);
    }
}

size_t frame_cache_bytes(struct frame_cache *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return n;
}
