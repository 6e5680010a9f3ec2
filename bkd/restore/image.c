#include "bkd/restore/image.h"

#include "bkd/restore/image_ahead.h"

#define WORKER_BYTES ((size_t)12 << 20)
#define PAGES_MAX ((size_t)32 << 20)
enum { CALLERS_MAX = 16 };

void images_suit(const struct repo *repo, const struct job *j, struct images_opts *ret)
{
    const struct store *s = repo_store(repo);
    size_t fit = j->memory_bytes / 4 / WORKER_BYTES, n = j->n_threads;
    if (s->parallel > n)
        n = s->parallel < fit ? s->parallel : n > fit ? n : fit;
    size_t pages = j->memory_bytes / 16;
    /* a request to a store across a network has to pay for its way, and its answer is long in coming */
    uint64_t far = j->memory_bytes / 16 > ((size_t)32 << 20) ? (uint64_t)32 << 20 : j->memory_bytes / 16;
    uint64_t near = j->memory_bytes / 32 > ((size_t)8 << 20) ? (uint64_t)8 << 20 : j->memory_bytes / 32;
    *ret = (struct images_opts){
        .n_workers = n ? (unsigned)n : 1,
        .n_callers = n < 2                 ? 4
                     : n * 2 > CALLERS_MAX ? CALLERS_MAX
                                           : (unsigned)n * 2,
        .page_bytes = pages > PAGES_MAX ? PAGES_MAX : pages,
        .ahead = s->remote ? far : near,
        .ahead_unit = s->remote ? (uint64_t)4 << 20 : (uint64_t)1 << 20,
    };
}

int images_new(struct reader *r, struct job *j, const struct images_opts *o, struct images **ret,
               struct bk_error *err)
{
    bk_auto(images_free) struct images *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail(err, BK_E_NOMEM, "no memory to read images");
    s->reader = r;
    s->job = j;
    s->o = *o;
    flights_init(&s->flights);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->free_lane, NULL);
    s->lanes = calloc(o->n_callers, sizeof *s->lanes);
    if (!s->lanes)
        return bk_fail(err, BK_E_NOMEM, "no memory to read images");
    while (s->n_lanes < o->n_callers) {
        s->lanes[s->n_lanes] = o->n_workers + s->n_lanes;
        s->n_lanes++;
    }
    int e = pages_new(r, o->page_bytes, &s->pages, err);
    if (e == 0)
        e = pool_new(o->n_workers, &s->pool, err);
    if (e < 0)
        return e;
    *ret = bk_steal(s);
    return 0;
}

void images_free(struct images *s)
{
    if (!s)
        return;
    atomic_store(&s->ending, true);
    pool_free(s->pool);
    while (s->first) {
        struct image *m = s->first;
        s->first = m->sibling;
        page_free(m->inline_);
        pthread_mutex_destroy(&m->lock);
        free(m->name);
        free(m);
    }
    pages_free(s->pages);
    flights_clear(&s->flights);
    pthread_cond_destroy(&s->free_lane);
    pthread_mutex_destroy(&s->lock);
    free(s->lanes);
    free(s);
}

static int page_of_inline(const struct content *c, struct page **ret, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 };
    if (c->n_inline > CONTENT_INLINE_MAX)
        return bk_fail(err, BK_E_CORRUPT, "the content has more extents than it can hold");
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->n_inline; i++)
        r = extents_add(&x, &c->inline_[i], err);
    return r < 0 ? r : page_of_extents(&x, ret, err);
}

int image_new(struct images *s, const struct content *c, const char *name, struct image **ret,
              struct bk_error *err)
{
    bk_auto(page_free) struct page *inline_ = NULL;
    if (c->depth > CONTENT_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "the extent pages of a file are nested %u deep", c->depth);
    int r = c->depth ? 0 : page_of_inline(c, &inline_, err);
    if (r < 0)
        return r;
    bk_auto(free) struct image *m = calloc(1, sizeof *m);
    char *copy = strdup(name);
    if (!m || !copy) {
        free(copy);
        return bk_fail(err, BK_E_NOMEM, "no memory to read images");
    }
    m->set = s;
    m->name = copy;
    m->content = *c;
    m->inline_ = bk_steal(inline_);
    pthread_mutex_init(&m->lock, NULL);
    m->sibling = s->first;
    s->first = m;
    *ret = bk_steal(m);
    return 0;
}

uint64_t image_size(const struct image *m)
{
    return m->content.size;
}

/* ---- lanes ---- */

static unsigned take_lane(struct images *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->n_lanes)
        pthread_cond_wait(&s->free_lane, &s->lock);
    unsigned lane = s->lanes[--s->n_lanes];
    pthread_mutex_unlock(&s->lock);
    return lane;
}

static void give_lane(struct images *s, unsigned lane)
{
    pthread_mutex_lock(&s->lock);
    s->lanes[s->n_lanes++] = lane;
    pthread_cond_signal(&s->free_lane);
    pthread_mutex_unlock(&s->lock);
}

/* ---- extents ---- */

/* The leaf that byte `at` is in, and where that leaf starts. */
static int leaf_of(struct image *m, unsigned lane, uint64_t at, struct page **ret, uint64_t *ret_start,
                   struct bk_error *err)
{
    uint64_t start = 0, len = m->content.size;
    bk_auto(page_free) struct page *p = NULL;
    int r = 0;
    if (!m->content.depth) {
        p = m->inline_;
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    } else {
        r = pages_get(m->set->pages, lane, m->content.depth, &m->content.root, &p, err);
    }
    for (;;) {
        if (r < 0)
            return r;
        if (page_bytes(p) != len)
            return bk_fail(err, BK_E_CORRUPT, "an extent page holds other than the length its parent says");
        if (p->depth == 1)
            break;
        size_t i = page_find(p, at - start);
        struct page *below = NULL;
        start += i ? p->ends[i - 1] : 0;
        len = p->children[i].len;
        r = pages_get(m->set->pages, lane, p->depth - 1, &p->children[i].id, &below, err);
        page_free(p);
        p = below;
    }
    *ret = bk_steal(p);
    *ret_start = start;
    return 0;
}

int image_walk(struct image *m, unsigned lane, uint64_t from, uint64_t to, browse_extent_fn *fn, void *ctx,
               struct bk_error *err)
{
    while (from < to) {
        bk_auto(page_free) struct page *leaf = NULL;
        uint64_t start = 0;
        int r = job_check(m->set->job, err);
        if (r == 0)
            r = leaf_of(m, lane, from, &leaf, &start, err);
        if (r < 0)
            return r;
        for (size_t i = page_find(leaf, from - start); i < leaf->n && from < to; i++) {
            struct extent x = leaf->extents[i];
            if ((r = job_check(m->set->job, err)) < 0)
                return r;
            uint64_t at = start + (i ? leaf->ends[i - 1] : 0), cut = from - at;
            if (x.kind == EXTENT_DATA)
                x.off += (uint32_t)cut;
            x.len -= cut;
            if (x.len > to - from)
                x.len = to - from;
            if ((r = fn(ctx, from, &x, err)) < 0)
                return r;
            from += x.len;
        }
    }
    return 0;
}

int image_extents(struct image *m, uint64_t offset, uint64_t len, browse_extent_fn *fn, void *ctx,
                  struct bk_error *err)
{
    if (offset >= m->content.size)
        return 0;
    if (len > m->content.size - offset)
        len = m->content.size - offset;
    unsigned lane = take_lane(m->set);
    int r = image_walk(m, lane, offset, offset + len, fn, ctx, err);
    give_lane(m->set, lane);
    return r;
}

/* ---- bytes ---- */

int image_frame(struct images *s, unsigned lane, const struct chunk_loc *loc, const chunk_id *id,
                struct frame_ref **ret, struct bk_error *err)
{
    struct frame_ref *f = reader_peek(s->reader, loc);
    if (f) {
        *ret = f;
        return 0;
    }
    bool mine = flights_begin(&s->flights, loc, true);
    int r = reader_frame(s->reader, lane, loc, true, ret, err);
    if (r == 0 && mine) { /* its chunks are named here, once; what is wrong shows when they are asked for */
        const uint8_t *p;
        size_t len;
        struct bk_error ignored = { 0 };
        (void)!frame_ref_chunk(*ret, loc->slot, id, &p, &len, &ignored);
    }
    if (mine)
        flights_end(&s->flights, loc);
    return r;
}

struct copying {
    struct image *image;
    unsigned lane;
    uint8_t *out;
    struct frame_ref *frame; /* the last one: neighbours mostly share it */
    struct chunk_loc loc;    /* of that */
    uint64_t from, end;      /* the bytes that are wanted */
    uint64_t at, to;         /* those in hand: of the damage, after an error */
};

static int frame_for(void *ctx, const struct chunk_loc *loc, const chunk_id *id, struct frame_ref **ret,
                     struct bk_error *err)
{
    struct copying *c = ctx;
    int r = 0;
    if (!c->frame || c->loc.offset != loc->offset || memcmp(&c->loc.pack, &loc->pack, sizeof loc->pack)) {
        frame_ref_free(c->frame);
        c->frame = NULL;
        c->loc = *loc;
        r = image_frame(c->image->set, c->lane, loc, id, &c->frame, err);
    }
    *ret = c->frame;
    return r;
}

static int copy_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct copying *c = ctx;
    c->at = offset;
    c->to = offset + x->len;
    int r = browse_copy(c->image->set->reader, c->lane, x, frame_for, c, c->out + (offset - c->from), err);
    if (r < 0)
        return r;
    c->at = c->to; /* where the map of what follows cannot be read, all of the rest is in hand */
    c->to = c->end;
    return 0;
}

/* Clients try again, and ask for the same place in pieces: the log names it once. */
static bool told_before(struct image *m, uint64_t place)
{
    pthread_mutex_lock(&m->lock);
    bool told = false;
    for (size_t i = 0; i < IMAGE_TOLD; i++)
        told |= m->told[i] == place + 1;
    if (!told)
        m->told[m->n_told++ % IMAGE_TOLD] = place + 1;
    pthread_mutex_unlock(&m->lock);
    return told;
}

int image_read(struct image *m, uint64_t offset, void *out, size_t len, struct bk_error *err)
{
    struct images *s = m->set;
    struct bk_error why = { 0 };
    if (offset > m->content.size || len > m->content.size - offset)
        return bk_fail(err, BK_E_USAGE, "%zu bytes from %llu on are not all within '%s'", len,
                       (unsigned long long)offset, m->name);
    image_follow(m, offset, len);
    struct copying c = { .image = m, .out = out, .from = offset, .end = offset + len };
    c.at = c.from;
    c.to = c.end;
    c.lane = take_lane(s);
    int r = image_walk(m, c.lane, offset, offset + len, copy_extent, &c, &why);
    frame_ref_free(c.frame);
    give_lane(s, c.lane);
    if (r >= 0)
        return 0;
    bk_context(&why, "bytes %llu to %llu of '%s' cannot be read", (unsigned long long)c.at,
               (unsigned long long)c.to, m->name);
    if (r != BK_E_CANCELLED && !(reader_is_damage(r) && told_before(m, c.at / CHUNK_MAX)))
        job_log(s->job, JOB_WARN, "%s", why.text);
    if (err)
        *err = why;
    return r;
}
