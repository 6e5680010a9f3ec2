#include "bkd/repo/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_pages.h"
#include "bkd/repo/index_superseded.h"
#include "bkd/repo/names.h"

#define PAGE_CACHE_BYTES ((size_t)24 << 20)
enum { LIST_FIRST = 32, LOOK_AHEAD = 8 };
/* Entry pages, of all segments, from which on they are read past the cache. */
#define UNCACHED_FROM (16 * PAGE_CACHE_BYTES / SEGMENT_PAGE)

/* The segments in the order they came. Readers take no lock: n grows after its element is there, and a list
 * that was outgrown stays until the index goes, because a reader may still walk it (all of them together are
 * as long as the last). */
struct list {
    struct list *older;
    size_t cap;
    atomic_size_t n;
    struct index_segment *v[];
};

struct index {
    struct repo *repo;
    struct index_pages *pages;
    struct index_recovery recovery;
    struct index_superseded superseded;
    uint32_t next_number;    /* under the lock */
    unsigned n_damaged;      /* left out on opening */
    atomic_uint n_recovered; /* segments in the list */
    atomic_size_t n_entry_pages;
    struct index_guard_state *guard; /* owned, or NULL */
    pthread_mutex_t refresh;         /* who looks for segments that came in the place of others */
    pthread_mutex_t lock;            /* who adds */
    _Atomic(struct list *) list;
};

static struct list *list_new(size_t cap, struct list *older)
{
    struct list *l = calloc(1, sizeof *l + cap * sizeof *l->v);
    if (!l)
        return NULL;
    l->cap = cap;
    l->older = older;
    size_t n = older ? atomic_load(&older->n) : 0;
    for (size_t i = 0; i < n; i++)
        l->v[i] = older->v[i];
    atomic_store(&l->n, n);
    return l;
}

/* Under the lock; takes s on success. */
static int list_append(struct index *x, struct index_segment *s, struct bk_error *err)
{
    struct list *l = atomic_load(&x->list);
    size_t n = atomic_load(&l->n);
    if (n == l->cap) {
        l = list_new(l->cap * 2, l);
        if (!l)
            return bk_fail(err, BK_E_NOMEM, "no memory for the index");
        atomic_store(&x->list, l);
    }
    s->number = x->next_number++;
    atomic_fetch_add_explicit(&x->n_entry_pages, s->seg.n_entry_pages, memory_order_relaxed);
    l->v[n] = s;
    atomic_store_explicit(&l->n, n + 1, memory_order_release);
    return 0;
}

static bool list_has(struct index *x, const char *object)
{
    struct list *l = atomic_load(&x->list);
    for (size_t i = 0; i < atomic_load(&l->n); i++)
        if (strcmp(l->v[i]->object, object) == 0 && !atomic_load(&l->v[i]->damaged))
            return true;
    return false;
}

int index_join(struct index *x, struct index_segment *s, struct bk_error *err)
{
    bool there = false;
    int r = 0;
    pthread_mutex_lock(&x->lock);
    if (!s->recovered)
        there = list_has(x, s->object);
    if (!there)
        r = list_append(x, s, err);
    if (r == 0 && s->recovered)
        atomic_fetch_add(&x->n_recovered, 1);
    pthread_mutex_unlock(&x->lock);
    if (there)
        index_segment_free(s);
    return r;
}

int index_add_segment(struct index *x, const char *object, struct bk_error *err)
{
    bk_auto(index_segment_free) struct index_segment *s = NULL;
    int r = index_segment_load(x->repo, object, &s, err);
    if (r == 0)
        r = index_join(x, s, err);
    if (r == 0)
        (void)bk_steal(s);
    return r;
}

struct index_segment *index_segment_at(struct index *x, size_t i)
{
    struct list *l = atomic_load(&x->list);
    return i < atomic_load_explicit(&l->n, memory_order_acquire) ? l->v[i] : NULL;
}

struct index_guard_state *index_guard_of(const struct index *x)
{
    return x->guard;
}

void index_set_guard(struct index *x, struct index_guard_state *g)
{
    index_guard_state_free(x->guard);
    x->guard = g;
}

/* A segment that somebody else put. */
static int add_foreign(struct index *x, const char *object, struct bk_error *err)
{
    bk_auto(index_segment_free) struct index_segment *s = NULL;
    int r = index_segment_load(x->repo, object, &s, err);
    if (r == 0 && x->guard)
        r = index_guard_segment(x->guard, s, err);
    if (r == 0)
        r = index_join(x, s, err);
    if (r == 0)
        (void)bk_steal(s);
    return r;
}

struct index_recovery *index_recovery(struct index *x)
{
    return &x->recovery;
}

unsigned index_n_damaged(const struct index *x)
{
    return x->n_damaged;
}

struct index_superseded *index_superseded(struct index *x)
{
    return &x->superseded;
}

static bool is_superseded(const struct list *l, const struct index_segment *s)
{
    segment_name name;
    for (size_t i = 0; i < atomic_load(&l->n); i++)
        for (uint32_t k = 0; k < l->v[i]->seg.n_superseded; k++) {
            segment_superseded(&l->v[i]->seg, k, &name);
            if (l->v[i] != s && memcmp(name.b, s->name.b, sizeof name.b) == 0)
                return true;
        }
    return false;
}

int index_leave_superseded(struct index *x, struct bk_error *err)
{
    struct list *l = atomic_load(&x->list);
    size_t n = atomic_load(&l->n), kept = 0;
    bk_auto(free) bool *leaves = calloc(n ? n : 1, sizeof *leaves);
    if (!leaves)
        return bk_fail(err, BK_E_NOMEM, "no memory for the index");
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        if (!l->v[i]->recovered && is_superseded(l, l->v[i])) { /* by one that may be superseded as well */
            r = index_superseded_add(&x->superseded, l->v[i], err);
            leaves[i] = r == 0;
        }
    for (size_t i = 0; i < n; i++)
        if (leaves[i]) {
            atomic_fetch_sub(&x->n_entry_pages, l->v[i]->seg.n_entry_pages);
            index_segment_free(l->v[i]);
        } else
            l->v[kept++] = l->v[i];
    atomic_store(&l->n, kept);
    return r;
}

/* 1 when a segment went between the listing and its opening: what came in its place may not be listed yet. */
static int load_listed(struct index *x, index_damage_fn *damaged, void *ctx, struct names *l,
                       struct bk_error *err)
{
    int r = names_list(repo_store(x->repo), "index/", SIZE_MAX, l, err);
    bool went = false, empty = !index_segment_at(x, 0);
    for (size_t i = 0; r == 0 && i < l->n; i++) {
        const char *name = l->v[i].name;
        if (strlen(name) >= REPO_PATH || (!empty && list_has(x, name)) ||
            index_superseded_has_object(&x->superseded, name)) /* none of ours, or there */
            continue;
        struct bk_error why = { 0 };
        r = add_foreign(x, name, &why);
        if (r == BK_E_ABSENT) {
            went = true;
            r = 0;
        }
        if (r < 0 && damaged && !bk_code_aborts(r)) {
            damaged(ctx, name, &why);
            x->n_damaged++;
            r = 0;
        }
        if (r < 0 && err)
            *err = why;
    }
    return r < 0 ? r : went;
}

static int load_all(struct index *x, index_damage_fn *damaged, void *ctx, struct bk_error *err)
{
    enum { TRIES = 100 };
    int r = 1;
    for (int i = 0; r == 1 && i < TRIES; i++) {
        bk_auto(names_clear) struct names l = { 0 };
        unsigned before = x->n_damaged;
        r = load_listed(x, damaged, ctx, &l, err);
        if (r == 1)
            x->n_damaged = before; /* they are looked at again */
    }
    return r < 0 ? r : index_leave_superseded(x, err);
}

void index_ignore_damage(void *ctx, const char *object, const struct bk_error *why)
{
    (void)ctx;
    (void)object;
    (void)why;
}

/* A segment that we have opened is not there any more: a collector put others first, and then removed it. */
static int refresh(struct index *x, struct bk_error *err)
{
    bk_auto(names_clear) struct names l = { 0 };
    struct index_segment *s;
    unsigned damaged = x->n_damaged;
    pthread_mutex_lock(&x->refresh);
    int r = load_listed(x, index_ignore_damage, NULL, &l, err);
    x->n_damaged = damaged;
    for (size_t i = 0; r >= 0 && (s = index_segment_at(x, i)) != NULL; i++)
        if (!s->recovered && atomic_load(&s->damaged) && !names_find(&l, s->object))
            atomic_store(&s->gone, true);
    pthread_mutex_unlock(&x->refresh);
    return r < 0 ? r : 0;
}

int index_open(struct repo *r, index_damage_fn *damaged, void *ctx, struct index **ret, struct bk_error *err)
{
    bk_auto(index_free) struct index *x = calloc(1, sizeof *x);
    if (!x)
        return bk_fail(err, BK_E_NOMEM, "no memory for the index");
    x->repo = r;
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&x->refresh, NULL);
    index_recovery_init(&x->recovery);
    struct list *l = list_new(LIST_FIRST, NULL);
    if (!l)
        return bk_fail(err, BK_E_NOMEM, "no memory for the index");
    atomic_store(&x->list, l);
    int e = index_pages_new(PAGE_CACHE_BYTES, &x->pages, err);
    if (e == 0)
        e = load_all(x, damaged, ctx, err);
    if (e < 0)
        return bk_context(err, "open the index");
    *ret = bk_steal(x);
    return 0;
}

void index_free(struct index *x)
{
    if (!x)
        return;
    struct list *l = atomic_load(&x->list);
    for (size_t i = 0; l && i < atomic_load(&l->n); i++)
        index_segment_free(l->v[i]);
    while (l) {
        struct list *older = l->older;
        free(l);
        l = older;
    }
    index_superseded_clear(&x->superseded);
    index_pages_free(x->pages);
    index_recovery_clear(&x->recovery);
    index_guard_state_free(x->guard);
    pthread_mutex_destroy(&x->refresh);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

/* Ids are hashes: entry pages are asked for at random. Where there are many more of them than the cache
 * holds, a page is hardly ever there, and what it would push out are lines of frames and packs, which are
 * near each other. */
static int find_uncached(struct index_segment *s, const chunk_id *id, uint32_t at, struct segment_entry *ret,
                         struct bk_error *err)
{
    uint8_t page[SEGMENT_PAGE];
    int r = index_segment_page(s, at, page, err);
    return r < 0 ? r : segment_page_find(&s->seg, at, page, id, ret);
}

/* 1 and the entry, 0, or an error. */
static int find_in(struct index *x, struct index_segment *s, const chunk_id *id, const struct fuse_aim *a,
                   struct segment_entry *ret, struct bk_error *err)
{
    struct index_page page;
    int64_t at = segment_page_aimed(&s->seg, id, a);
    if (at < 0)
        return 0;
    if (atomic_load_explicit(&x->n_entry_pages, memory_order_relaxed) > UNCACHED_FROM)
        return find_uncached(s, id, (uint32_t)at, ret, err);
    int r = index_pages_hold(x->pages, s, (uint32_t)at, &page, err);
    if (r < 0)
        return r;
    r = segment_page_find(&s->seg, (uint32_t)at, page.data, id, ret);
    index_pages_release(&page);
    return r;
}

static int frame_line(struct index *x, struct index_segment *s, uint32_t i, struct segment_frame *ret,
                      struct bk_error *err)
{
    struct index_page page;
    uint32_t at;
    int r = segment_frame_page(&s->seg, i, &at, err);
    if (r == 0)
        r = index_pages_hold(x->pages, s, at, &page, err);
    if (r < 0)
        return r;
    segment_frame_line(page.data, i, ret);
    index_pages_release(&page);
    return 0;
}

static int pack_line(struct index *x, struct index_segment *s, uint32_t i, struct segment_pack *ret,
                     struct bk_error *err)
{
    struct index_page page;
    uint32_t at;
    int r = segment_pack_page(&s->seg, i, &at, err);
    if (r == 0)
        r = index_pages_hold(x->pages, s, at, &page, err);
    if (r < 0)
        return r;
    segment_pack_line(page.data, i, ret);
    index_pages_release(&page);
    return 0;
}

/* What the read path will size buffers by. */
static bool plausible(const struct segment_frame *f, const struct segment_pack *p)
{
    return p->kind < CHUNK_KINDS && f->offset >= PACK_HEADER && f->stored_len > FRAME_HEADER &&
           f->stored_len <= FRAME_HEADER + FRAME_MAX_STORED && f->raw_len <= FRAME_MAX_RAW &&
           (uint64_t)f->offset + f->stored_len <= p->bytes;
}

/* Where an entry's chunk lies: 1, or an error. */
static int place(struct index *x, struct index_segment *s, const struct segment_entry *e,
                 struct chunk_loc *ret, struct bk_error *err)
{
    struct segment_frame f;
    struct segment_pack p;
    int r = frame_line(x, s, e->frame, &f, err);
    if (r == 0)
        r = pack_line(x, s, f.pack, &p, err);
    if (r < 0)
        return bk_context(err, "index segment %s", s->object);
    if (!plausible(&f, &p))
        return bk_fail(err, BK_E_CORRUPT, "index segment %s: frame %u is out of range", s->object, e->frame);
    *ret = (struct chunk_loc){ .pack = p.name,
                               .kind = p.kind,
                               .offset = f.offset,
                               .stored_len = f.stored_len,
                               .raw_len = f.raw_len,
                               .slot = e->slot,
                               .recovered = s->recovered };
    return 1;
}

/* Is the place that the entry names one that may not be relied on? 1, 0 or an error. */
static int is_shunned(struct index *x, struct index_segment *s, const struct segment_entry *e,
                      struct bk_error *err)
{
    struct segment_frame f;
    if (!s->shunned)
        return 0;
    int r = frame_line(x, s, e->frame, &f, err);
    if (r < 0)
        return bk_context(err, "index segment %s", s->object);
    if (f.pack >= s->seg.n_packs)
        return bk_fail(err, BK_E_CORRUPT, "index segment %s: frame %u is out of range", s->object, e->frame);
    return s->shunned[f.pack / 8] >> (f.pack % 8) & 1;
}

/* Which places a look-up wants. */
struct want {
    bool recovered, shunned;
    const pack_name *not_in; /* NULL: any */
};

/* 1 when the segment has the chunk at such a place. ret NULL: only whether. */
static int look_in(struct index *x, struct index_segment *s, const chunk_id *id, const struct want *w,
                   const struct fuse_aim *a, struct chunk_loc *ret, struct bk_error *err)
{
    struct segment_entry e;
    if (s->recovered != w->recovered || (w->shunned && !s->shunned) || atomic_load(&s->gone))
        return 0;
    int r = find_in(x, s, id, a, &e, err);
    if (r <= 0)
        return r;
    int shunned = is_shunned(x, s, &e, err);
    if (shunned < 0 || shunned != w->shunned)
        return shunned < 0 ? shunned : 0;
    if (!ret)
        return 1;
    struct chunk_loc loc = { 0 };
    r = place(x, s, &e, &loc, err);
    if (r < 0 || (w->not_in && memcmp(loc.pack.b, w->not_in->b, PACK_NAME) == 0))
        return r < 0 ? r : 0;
    loc.shunned = shunned;
    *ret = loc;
    return 1;
}

/* A page that cannot be read must not hide the same chunk in another segment: its error counts only when no
 * other has it. */
static int look_once(struct index *x, const chunk_id *id, const struct want *w, struct chunk_loc *ret,
                     struct bk_error *err)
{
    struct fuse_aim aims[LOOK_AHEAD] = { 0 };
    struct list *l = atomic_load(&x->list);
    int bad = 0;
    size_t n = atomic_load_explicit(&l->n, memory_order_acquire);
    /* With many segments the filters' cache misses are what a look-up waits for: have several under way. */
    for (size_t i = n; i-- > 0 && n - i <= LOOK_AHEAD;)
        segment_aim(&l->v[i]->seg, id, &aims[i % LOOK_AHEAD]);
    for (size_t i = n; i-- > 0;) {
        struct fuse_aim a = aims[i % LOOK_AHEAD];
        if (i >= LOOK_AHEAD)
            segment_aim(&l->v[i - LOOK_AHEAD]->seg, id, &aims[i % LOOK_AHEAD]);
        int r = look_in(x, l->v[i], id, w, &a, ret, err);
        if (r > 0)
            return 1;
        if (r < 0)
            bad = r;
    }
    return bad;
}

static int look(struct index *x, const chunk_id *id, const struct want *w, struct chunk_loc *ret,
                struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = look_once(x, id, w, ret, &why);
    if (r == BK_E_ABSENT) {
        why = (struct bk_error){ 0 };
        r = refresh(x, &why);
        if (r == 0)
            r = look_once(x, id, w, ret, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

/* What the repository's own segments say goes first: a chunk is recovered only when none of them has it; and
 * a place that is about to go is named only when there is no other. */
static int find(struct index *x, const chunk_id *id, const pack_name *not_in, struct chunk_loc *ret,
                struct bk_error *err)
{
    const struct want wants[] = { { .not_in = not_in },
                                  { .not_in = not_in, .recovered = true },
                                  { .not_in = not_in, .shunned = true },
                                  { .not_in = not_in, .recovered = true, .shunned = true } };
    int bad = 0;
    for (size_t i = 0; i < BK_COUNT(wants); i++) {
        struct bk_error why = { 0 };
        if (wants[i].recovered && atomic_load_explicit(&x->n_recovered, memory_order_acquire) == 0)
            continue;
        if (wants[i].shunned && !x->guard)
            continue;
        int r = look(x, id, &wants[i], ret, &why);
        if (r > 0)
            return 1;
        if (r < 0) {
            bad = r;
            if (err)
                *err = why;
        }
    }
    return bad;
}

int index_find(struct index *x, const chunk_id *id, struct chunk_loc *ret, struct bk_error *err)
{
    return find(x, id, NULL, ret, err);
}

int index_find_elsewhere(struct index *x, const chunk_id *id, const pack_name *not_in, struct chunk_loc *ret,
                         struct bk_error *err)
{
    return find(x, id, not_in, ret, err);
}

int index_has(struct index *x, const chunk_id *id, struct bk_error *err)
{
    return look(x, id, &(struct want){ 0 }, NULL, err);
}

uint64_t index_entries(const struct index *x)
{
    const struct list *l = atomic_load(&x->list);
    uint64_t n = 0;
    for (size_t i = 0; i < atomic_load(&l->n); i++)
        n += l->v[i]->seg.n_entries;
    return n;
}

size_t index_resident_bytes(const struct index *x)
{
    const struct list *l = atomic_load(&x->list);
    size_t n = sizeof *x + index_pages_bytes(x->pages);
    for (size_t i = 0; i < atomic_load(&l->n); i++)
        n += l->v[i]->resident_bytes;
    return n;
}

struct repo *index_repo(const struct index *x)
{
    return x->repo;
}
