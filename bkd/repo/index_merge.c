#include "bkd/repo/index_merge.h"

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_superseded.h"

/* Bytes of working memory per entry: the entry, its place in the object, the filter's scratch. */
enum { FAN_IN = 4, TIERS = 12, TIER_FIRST = 1024, BYTES_PER_ENTRY = 128, ENTRIES_MIN = 65536 };

struct merge {
    struct index *x;
    struct job *job;
    size_t cap;    /* entries of a merged segment */
    unsigned tier; /* those below have nothing left to merge */
    struct index_segment *from[SEGMENT_SUPERSEDED_MAX];
    size_t n_from;
};

/* What is written. */
struct merged {
    struct segment_entry *entries;
    struct segment_frame *frames;
    struct segment_pack *packs;
    size_t n_entries, n_frames, n_packs;
    segment_name superseded[SEGMENT_SUPERSEDED_MAX];
};
static void merged_clear(struct merged *m)
{
    free(m->entries);
    free(m->frames);
    free(m->packs);
    *m = (struct merged){ 0 };
}
BK_AUTO_CLEAR(struct merged, merged_clear)

static unsigned tier_of(uint64_t n_entries)
{
    unsigned t = 0;
    for (n_entries /= TIER_FIRST; n_entries && t < TIERS - 1; n_entries /= FAN_IN)
        t++;
    return t;
}

static int each_pack(struct index_segment *s, index_pack_fn *fn, void *ctx, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    struct segment_pack p;
    for (uint64_t i = 0; i < s->seg.n_packs; i++) {
        int r = 0;
        if (i % SEGMENT_PACKS_PER_PAGE == 0)
            r = index_segment_page(s, s->seg.packs_page + (uint32_t)(i / SEGMENT_PACKS_PER_PAGE), data, err);
        if (r == 0) {
            segment_pack_line(data, i, &p);
            r = fn(ctx, &p, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_candidate(const struct merge *m, const struct index_segment *s)
{
    return !s->recovered && !s->shunned && !atomic_load(&s->damaged) && s->seg.n_entries <= m->cap / 2;
}

/* Smallest first; then by name, so that two who merge the same make the same object. */
static int by_size(const void *a, const void *b)
{
    const struct index_segment *x = *(struct index_segment *const *)a;
    const struct index_segment *y = *(struct index_segment *const *)b;
    if (x->seg.n_entries != y->seg.n_entries)
        return x->seg.n_entries < y->seg.n_entries ? -1 : 1;
    return memcmp(x->name.b, y->name.b, sizeof x->name.b);
}

/* Of a tier's segments those that fit one together. */
static void take(struct merge *m, struct index_segment **v, size_t n)
{
    uint64_t entries = 0, frames = 0, packs = 0;
    m->n_from = 0;
    qsort(v, n, sizeof *v, by_size);
    for (size_t i = 0; i < n && m->n_from < SEGMENT_SUPERSEDED_MAX; i++) {
        const struct segment *s = &v[i]->seg;
        if (entries + s->n_entries > m->cap || frames + s->n_frames > SEGMENT_MAX ||
            packs + s->n_packs > SEGMENT_MAX)
            break;
        entries += s->n_entries;
        frames += s->n_frames;
        packs += s->n_packs;
        m->from[m->n_from++] = v[i];
    }
}

/* The next group to merge; n_from < 2 when there is none. */
static int choose(struct merge *m, struct bk_error *err)
{
    struct index_segment *s;
    size_t n = 0;
    m->n_from = 0;
    while (index_segment_at(m->x, n))
        n++;
    bk_auto(free) struct index_segment **v = calloc(n ? n : 1, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory for the list of index segments");
    for (; m->tier < TIERS; m->tier++) {
        size_t here = 0;
        for (size_t i = 0; (s = index_segment_at(m->x, i)) != NULL; i++)
            if (tier_of(s->seg.n_entries) == m->tier && is_candidate(m, s))
                v[here++] = s;
        if (here >= FAN_IN)
            take(m, v, here);
        if (m->n_from >= 2)
            break;
    }
    return 0;
}

static int more_than_said(const struct index_segment *s, struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "index segment %s holds more than it says", s->object);
}

static int add_entries(struct merged *o, struct index_segment *s, struct job *j, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    uint64_t left = s->seg.n_entries;
    for (uint32_t p = 0; p < s->seg.n_entry_pages; p++) {
        int r = p % 1024 == 0 ? job_check(j, err) : 0;
        if (r == 0)
            r = index_segment_page(s, s->seg.entries_page + p, data, err);
        if (r < 0)
            return r;
        unsigned n = segment_page_count(data);
        if (n > left)
            return more_than_said(s, err);
        left -= n;
        for (unsigned i = 0; i < n; i++) {
            struct segment_entry *e = &o->entries[o->n_entries];
            segment_page_entry(data, i, e);
            if (e->frame >= s->seg.n_frames)
                return more_than_said(s, err);
            e->frame += (uint32_t)o->n_frames;
            o->n_entries++;
        }
    }
    return left ? bk_fail(err, BK_E_CORRUPT, "index segment %s holds less than it says", s->object) : 0;
}

static int add_frames(struct merged *o, struct index_segment *s, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    for (uint64_t i = 0; i < s->seg.n_frames; i++) {
        int r = 0;
        if (i % SEGMENT_FRAMES_PER_PAGE == 0)
            r = index_segment_page(s, s->seg.frames_page + (uint32_t)(i / SEGMENT_FRAMES_PER_PAGE), data,
                                   err);
        if (r < 0)
            return r;
        struct segment_frame *f = &o->frames[o->n_frames + i];
        segment_frame_line(data, i, f);
        if (f->pack >= s->seg.n_packs)
            return more_than_said(s, err);
        f->pack += (uint32_t)o->n_packs;
    }
    return 0;
}

static int add_pack(void *ctx, const struct segment_pack *p, struct bk_error *err)
{
    struct merged *o = ctx;
    (void)err;
    o->packs[o->n_packs++] = *p;
    return 0;
}

/* Entries, then frames, then packs: each refers to the lines that come after those that are there. */
static int add_segment(struct merged *o, struct index_segment *s, struct job *j, struct bk_error *err)
{
    int r = add_entries(o, s, j, err);
    if (r == 0)
        r = add_frames(o, s, err);
    if (r < 0)
        return r;
    o->n_frames += s->seg.n_frames;
    return each_pack(s, add_pack, o, err);
}

static int gather(const struct merge *m, struct merged *o, struct bk_error *err)
{
    size_t entries = 0, frames = 0, packs = 0;
    for (size_t i = 0; i < m->n_from; i++) {
        entries += m->from[i]->seg.n_entries;
        frames += m->from[i]->seg.n_frames;
        packs += m->from[i]->seg.n_packs;
        o->superseded[i] = m->from[i]->name;
    }
    o->entries = calloc(entries ? entries : 1, sizeof *o->entries);
    o->frames = calloc(frames ? frames : 1, sizeof *o->frames);
    o->packs = calloc(packs ? packs : 1, sizeof *o->packs);
    if (!o->entries || !o->frames || !o->packs)
        return bk_fail(err, BK_E_NOMEM, "no memory to merge %zu index entries", entries);
    for (size_t i = 0; i < m->n_from; i++) {
        int r = add_segment(o, m->from[i], m->job, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool same_pack(const struct merged *o, const struct segment_entry *a, const struct segment_entry *b)
{
    const struct segment_pack *x = &o->packs[o->frames[a->frame].pack];
    const struct segment_pack *y = &o->packs[o->frames[b->frame].pack];
    return memcmp(x->name.b, y->name.b, sizeof x->name.b) == 0;
}

/* The segment of the group that an entry came from: frames lie in the group's order. */
static size_t origin(const struct merge *m, const struct segment_entry *e)
{
    size_t i = 0;
    for (uint64_t end = m->from[0]->seg.n_frames; e->frame >= end; end += m->from[i]->seg.n_frames)
        i++;
    return i;
}

/* Which segments of the group have a chunk in different packs: bit k of disagrees[i]. Sorts the entries. */
static void compare_places(const struct merge *m, struct merged *o,
                           uint64_t disagrees[static SEGMENT_SUPERSEDED_MAX])
{
    const struct segment_entry *e = o->entries;
    segment_sort(o->entries, o->n_entries);
    for (size_t first = 0, end; first < o->n_entries; first = end)
        for (end = first + 1; end < o->n_entries && chunk_id_cmp(&e[first].id, &e[end].id) == 0; end++)
            for (size_t i = first; i < end; i++) {
                if (same_pack(o, &e[i], &e[end]))
                    continue;
                size_t one = origin(m, &e[i]), other = origin(m, &e[end]);
                disagrees[one] |= UINT64_C(1) << other;
                disagrees[other] |= UINT64_C(1) << one;
            }
}

/* Taken in turn from `first` on, each that agrees with those taken before. */
static uint64_t agreeing(size_t n, size_t first, const uint64_t disagrees[static SEGMENT_SUPERSEDED_MAX])
{
    uint64_t taken = 0;
    for (size_t k = 0; k < n; k++) {
        size_t i = (first + k) % n;
        if (!(disagrees[i] & taken))
            taken |= UINT64_C(1) << i;
    }
    return taken;
}

/* A segment holds one place of a chunk. Of two places in one the other would be forgotten, and just that one
 * may be what a collector counts on that is deleting the first: so only segments are merged that have no
 * chunk at two places. true when the group is smaller than it was. */
static bool part(struct merge *m, struct merged *o)
{
    uint64_t disagrees[SEGMENT_SUPERSEDED_MAX] = { 0 }, most = 0;
    _Static_assert(SEGMENT_SUPERSEDED_MAX <= 64, "a bit for each of a group");
    compare_places(m, o, disagrees);
    for (size_t i = 0; i < m->n_from; i++) {
        uint64_t taken = agreeing(m->n_from, i, disagrees);
        if (__builtin_popcountll(taken) > __builtin_popcountll(most))
            most = taken;
    }
    size_t n = 0, all = m->n_from;
    for (size_t i = 0; i < all; i++)
        if (most >> i & 1)
            m->from[n++] = m->from[i];
    m->n_from = n;
    return n < all;
}

/* How many segments fewer there are: 0 when no two of the group may be merged. */
static int merge_group(struct merge *m, uint64_t *ret_fewer, struct bk_error *err)
{
    bk_auto(merged_clear) struct merged o = { 0 };
    uint64_t bytes;
    *ret_fewer = 0;
    int r = gather(m, &o, err);
    if (r == 0 && part(m, &o) && m->n_from > 1) {
        merged_clear(&o);
        r = gather(m, &o, err);
    }
    if (r < 0 || m->n_from < 2)
        return r;
    const struct segment_input in = { .entries = o.entries,
                                      .n_entries = o.n_entries,
                                      .frames = o.frames,
                                      .n_frames = o.n_frames,
                                      .packs = o.packs,
                                      .n_packs = o.n_packs,
                                      .superseded = o.superseded,
                                      .n_superseded = m->n_from };
    r = index_put_segment(m->x, &in, &bytes, err);
    if (r < 0)
        return r;
    *ret_fewer = m->n_from - 1;
    return index_leave_superseded(m->x, err);
}

/* Where look-ups hold a descriptor, whoever opened the index before us goes on reading what has lost its
 * name. Elsewhere what is superseded waits for the collector, who knows that nobody reads any more. */
static void sweep(struct merge *m)
{
    struct bk_error why = { 0 };
    struct store *s = repo_store(index_repo(m->x));
    if (s->ops->fd && (s->can & STORE_CAN_REMOVE) &&
        index_superseded_sweep(index_superseded(m->x), s, &why) < 0)
        job_log(m->job, JOB_DEBUG, "superseded index segments stay: %s", why.text);
}

int index_merge(struct index *x, struct job *j, uint64_t *ret_fewer, struct bk_error *err)
{
    struct merge m = { .x = x, .job = j };
    struct bk_error why = { 0 };
    uint64_t fewer = 0;
    m.cap = j->memory_bytes / 2 / BYTES_PER_ENTRY;
    m.cap = m.cap < ENTRIES_MIN ? (size_t)ENTRIES_MIN : m.cap > SEGMENT_MAX ? (size_t)SEGMENT_MAX : m.cap;
    sweep(&m);
    int r = choose(&m, &why);
    while (r == 0 && m.n_from >= 2) {
        uint64_t n;
        r = merge_group(&m, &n, &why);
        if (r == 0) {
            fewer += n;
            m.tier += n == 0;
            sweep(&m);
            r = choose(&m, &why);
        }
    }
    *ret_fewer = fewer;
    if (bk_code_aborts(r))
        return bk_fail(err, r, "%s", why.text);
    if (r < 0)
        job_log(j, JOB_WARN, "index segments stay small: %s", why.text);
    return 0;
}
