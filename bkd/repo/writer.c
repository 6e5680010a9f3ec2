#include "bkd/repo/writer.h"

#include <assert.h>
#include <stdatomic.h>

#include "bkd/repo/lane.h"

enum { INDEX_EVERY = 262144, META_LEVEL = 3 };
#define PACK_MIN ((size_t)4 << 20)
#define META_PACK_MAX ((size_t)16 << 20)
/* What a pack may grow past its target by: the last frame and the directory. */
#define PACK_SLACK ((size_t)2 * (FRAME_HEADER + FRAME_MAX_STORED) + PACK_TRAILER)

struct writer {
    struct repo *repo;
    struct index *index;
    struct job *job;
    struct pending *pending;
    struct pending *distrusted; /* names of packs: as long as ids, and as evenly spread */
    atomic_bool distrusts;
    struct packed_pool pool;
    struct uploader *uploader;
    struct lane **lanes;
    unsigned n_lanes;
    pthread_mutex_t meta_lock; /* guards meta; taken before error_lock */
    struct lane *meta;
    bool ended;

    atomic_bool warned;
    atomic_uint_fast64_t chunks, new_chunks, new_bytes;

    atomic_int failed;
    pthread_mutex_t error_lock; /* guards error */
    struct bk_error error;
};

/* Half of the memory is for packs under construction, half for those that wait for the store. A store that
 * wants several puts at once gets packs of which that many fit twice into the latter half: few large ones
 * would follow each other instead. */
static size_t pack_target(const struct repo *r, const struct writer_opts *o)
{
    size_t share = o->memory_bytes / 2 / (o->n_lanes + 1);
    size_t target = repo_config(r)->pack_bytes;
    uint64_t most = repo_store(r)->max_object_bytes;
    if (repo_store(r)->parallel > 1 && share > o->memory_bytes / 4 / repo_store(r)->parallel)
        share = o->memory_bytes / 4 / repo_store(r)->parallel;
    if (share < PACK_MIN)
        share = PACK_MIN;
    if (target > share)
        target = share;
    if (most && target + PACK_SLACK > most)
        target = most > 2 * PACK_SLACK ? (size_t)(most - PACK_SLACK) : (size_t)(most / 2);
    return target;
}

/* A pack that is put is in memory twice: ours, and what a store across a network copies it to. */
static unsigned puts_at_once(const struct repo *r, const struct writer_opts *o)
{
    size_t fit = o->memory_bytes / 4 / pack_target(r, o);
    size_t n = repo_store(r)->parallel;
    n = n < fit ? n : fit;
    return n ? (unsigned)n : 1;
}

static int make_uploader(struct writer *w, const struct writer_opts *o, struct bk_error *err)
{
    uint32_t every = o->index_every ? o->index_every : INDEX_EVERY;
    struct uploader_opts u = { .index = w->index,
                               .job = w->job,
                               .pending = w->pending,
                               .pool = &w->pool,
                               .queue_bytes = o->memory_bytes / 2,
                               .n_threads = puts_at_once(w->repo, o),
                               .index_every = every < SEGMENT_MAX / 2 ? every : SEGMENT_MAX / 2 };
    return uploader_new(&u, &w->uploader, err);
}

static int make_lanes(struct writer *w, const struct writer_opts *o, struct bk_error *err)
{
    struct lane_opts l = { .kind = CHUNK_DATA,
                           .level = o->level,
                           .frame_bytes = repo_config(w->repo)->frame_bytes,
                           .pack_bytes = pack_target(w->repo, o),
                           .pool = &w->pool,
                           .uploader = w->uploader };
    w->lanes = calloc(o->n_lanes, sizeof *w->lanes);
    if (!w->lanes)
        return bk_fail(err, BK_E_NOMEM, "no memory for %u lanes", o->n_lanes);
    for (; w->n_lanes < o->n_lanes; w->n_lanes++) {
        int r = lane_new(w->repo, &l, &w->lanes[w->n_lanes], err);
        if (r < 0)
            return r;
    }
    /* Metadata is little and read often: a better ratio is worth its time. */
    l.kind = CHUNK_META;
    l.level = o->level > META_LEVEL ? o->level : META_LEVEL;
    if (l.pack_bytes > META_PACK_MAX)
        l.pack_bytes = META_PACK_MAX;
    return lane_new(w->repo, &l, &w->meta, err);
}

int writer_new(struct repo *r, struct index *x, struct job *j, const struct writer_opts *o,
               struct writer **ret, struct bk_error *err)
{
    assert(o->n_lanes > 0);
    struct writer *made = calloc(1, sizeof *made);
    if (!made)
        return bk_fail(err, BK_E_NOMEM, "no memory for a writer");
    pthread_mutex_init(&made->meta_lock, NULL);
    pthread_mutex_init(&made->error_lock, NULL);
    packed_pool_init(&made->pool);
    bk_auto(writer_free) struct writer *w = made;
    w->repo = r;
    w->index = x;
    w->job = j;
    int e = pending_new(&w->pending, err);
    if (e == 0)
        e = pending_new(&w->distrusted, err);
    if (e == 0)
        e = make_uploader(w, o, err);
    if (e == 0)
        e = make_lanes(w, o, err);
    if (e < 0)
        return bk_context(err, "start writing");
    *ret = bk_steal(w);
    return 0;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    uploader_free(w->uploader);
    for (unsigned i = 0; i < w->n_lanes; i++)
        lane_free(w->lanes[i]);
    free(w->lanes);
    lane_free(w->meta);
    packed_pool_clear(&w->pool);
    pending_free(w->pending);
    pending_free(w->distrusted);
    pthread_mutex_destroy(&w->meta_lock);
    pthread_mutex_destroy(&w->error_lock);
    free(w);
}

/* Keep the first error; err gets it too. */
static int fail(struct writer *w, const struct bk_error *why, struct bk_error *err)
{
    pthread_mutex_lock(&w->error_lock);
    if (!w->error.code)
        w->error = *why;
    int r = w->error.code;
    atomic_store(&w->failed, r);
    if (err)
        *err = w->error;
    pthread_mutex_unlock(&w->error_lock);
    return r;
}

static int check(struct writer *w, struct bk_error *err)
{
    struct bk_error why;
    if (atomic_load_explicit(&w->failed, memory_order_relaxed))
        return fail(w, &(struct bk_error){ 0 }, err);
    int r = uploader_check(w->uploader, &why);
    return r < 0 ? fail(w, &why, err) : 0;
}

static bool is_trusted(struct writer *w, const pack_name *pack)
{
    chunk_id name;
    static_assert(sizeof name == sizeof *pack, "the set holds both");
    memcpy(&name, pack, sizeof name);
    return !pending_has(w->distrusted, &name, NULL);
}

/* index_has, without the packs that are damaged. */
static int trusted(struct writer *w, const chunk_id *id, struct bk_error *err)
{
    struct chunk_loc loc;
    int r = index_find(w->index, id, &loc, err);
    if (r <= 0 || loc.recovered || loc.shunned || is_trusted(w, &loc.pack))
        return r > 0 ? !loc.recovered && !loc.shunned : r;
    pack_name bad = loc.pack;
    r = index_find_elsewhere(w->index, id, &bad, &loc, err);
    return r > 0 ? !loc.recovered && !loc.shunned && is_trusted(w, &loc.pack) : r;
}

/* 1: the index has it, from an earlier run or from this one. */
static int indexed(struct writer *w, const chunk_id *id, struct bk_error *err)
{
    int r = atomic_load(&w->distrusts) ? trusted(w, id, err) : index_has(w->index, id, err);
    if (r != BK_E_CORRUPT)
        return r;
    if (!atomic_exchange(&w->warned, true))
        job_log(w->job, JOB_WARN, "the index is damaged, what it held is stored again: %s", err->text);
    return 0;
}

static int add(struct writer *w, unsigned lane, enum chunk_kind kind, const chunk_id *id, const void *data,
               size_t len, struct bk_error *err)
{
    if (kind == CHUNK_DATA)
        return lane_add(w->lanes[lane], id, data, len, err);
    pthread_mutex_lock(&w->meta_lock);
    int r = lane_add(w->meta, id, data, len, err);
    pthread_mutex_unlock(&w->meta_lock);
    return r;
}

/* 1: nobody has it, and it is this lane's to store. What another lane stores goes from pending to the index,
 * perhaps between our two questions: then the index is asked again. */
static int claim(struct writer *w, const chunk_id *id, struct bk_error *err)
{
    uint64_t before, after;
    if (pending_has(w->pending, id, &before))
        return 0;
    int r = indexed(w, id, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = pending_add(w->pending, id, &after, err);
    if (r != 1 || after == before)
        return r;
    r = indexed(w, id, err);
    if (r == 0)
        return 1;
    pending_drop(w->pending, id);
    return r < 0 ? r : 0;
}

static int store_claimed(struct writer *w, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                         const struct suite_piece *chunk, struct bk_error *err)
{
    atomic_fetch_add_explicit(&w->new_chunks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->new_bytes, chunk->len, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->job->new_bytes, chunk->len, memory_order_relaxed);
    return add(w, lane, kind, id, chunk->data, chunk->len, err);
}

/* The chunk has its name: store it unless it is known. */
static int put_named(struct writer *w, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                     const struct suite_piece *chunk, struct bk_error *err)
{
    int r = claim(w, id, err);
    return r == 1 ? store_claimed(w, lane, kind, id, chunk, err) : r;
}

int writer_put_many(struct writer *w, unsigned lane, enum chunk_kind kind, const struct suite_piece *chunks,
                    size_t n, chunk_id *ret, struct bk_error *err)
{
    assert(lane < w->n_lanes && !w->ended);
    struct bk_error why = { 0 };
    int r = check(w, err);
    if (r < 0)
        return r;
    r = chunk_name_many(repo_namer(w->repo), kind, chunks, n, ret, &why);
    for (size_t i = 0; i < n && r == 0; i++)
        r = put_named(w, lane, kind, &ret[i], &chunks[i], &why);
    atomic_fetch_add_explicit(&w->chunks, n, memory_order_relaxed);
    return r < 0 ? fail(w, &why, err) : 0;
}

int writer_put(struct writer *w, unsigned lane, enum chunk_kind kind, const void *data, size_t len,
               chunk_id *ret, struct bk_error *err)
{
    chunk_id id;
    int r = writer_put_many(w, lane, kind, &(struct suite_piece){ data, len }, 1, &id, err);
    if (r == 0)
        *ret = id;
    return r;
}

int writer_put_moved(struct writer *w, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                     const void *data, size_t len, struct bk_error *err)
{
    assert(lane < w->n_lanes && !w->ended);
    struct bk_error why = { 0 };
    int r = check(w, err);
    if (r < 0)
        return r;
    r = pending_add(w->pending, id, NULL, &why);
    if (r == 1)
        r = store_claimed(w, lane, kind, id, &(struct suite_piece){ data, len }, &why);
    atomic_fetch_add_explicit(&w->chunks, 1, memory_order_relaxed);
    return r < 0 ? fail(w, &why, err) : 0;
}

int writer_distrust(struct writer *w, const pack_name *pack, struct bk_error *err)
{
    chunk_id name;
    memcpy(&name, pack, sizeof name);
    int r = pending_add(w->distrusted, &name, NULL, err);
    if (r < 0)
        return r;
    atomic_store(&w->distrusts, true);
    return 0;
}

static int finish_lane(struct lane *l, bool complete_only, struct bk_error *err)
{
    int r = complete_only ? 0 : lane_flush(l, err);
    return r < 0 ? r : lane_send(l, err);
}

/* complete_only: leave frames under construction out. */
static int finish_lanes(struct writer *w, bool complete_only, struct bk_error *err)
{
    int r = finish_lane(w->meta, complete_only, err);
    for (unsigned i = 0; r == 0 && i < w->n_lanes; i++)
        r = finish_lane(w->lanes[i], complete_only, err);
    return r;
}

int writer_finish(struct writer *w, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = check(w, err);
    if (r < 0)
        return r;
    w->ended = true;
    r = finish_lanes(w, false, &why);
    if (r == 0)
        r = uploader_finish(w->uploader, &why);
    return r < 0 ? fail(w, &why, err) : 0;
}

int writer_abandon(struct writer *w, struct bk_error *err)
{
    struct bk_error why = { 0 }, first = { 0 };
    int r = check(w, &first);
    w->ended = true;
    if (r == 0) {
        r = finish_lanes(w, true, &why);
        if (r < 0)
            r = fail(w, &why, &first);
    }
    int e = uploader_finish(w->uploader, &why);
    if (e < 0 && r == 0)
        r = fail(w, &why, &first);
    if (r < 0 && err)
        *err = first;
    return r;
}

void writer_totals(const struct writer *w, struct writer_totals *ret)
{
    struct uploader_totals u;
    uploader_totals(w->uploader, &u);
    *ret = (struct writer_totals){ .chunks = atomic_load(&w->chunks),
                                   .new_chunks = atomic_load(&w->new_chunks),
                                   .new_bytes = atomic_load(&w->new_bytes),
                                   .stored_bytes = u.stored_bytes,
                                   .packs = u.packs };
}
