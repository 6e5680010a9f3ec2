#include "bkd/repo/uploader.h"

#include <stdatomic.h>

#include "bkd/repo/segment_draft.h"

enum mode { RUN, FINISH, STOP };

struct uploader {
    struct uploader_opts o;
    struct repo *repo;
    struct job_rate rate;
    pthread_t *threads; /* owned */
    unsigned n_started;

    pthread_mutex_t draft_lock; /* guards draft; taken before lock */
    struct segment_draft draft;

    atomic_int failed;
    atomic_uint_fast64_t packs, stored_bytes;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* work for a thread */
    pthread_cond_t room;  /* for those who adopt */
    struct packed *first, **last;
    size_t waiting_bytes; /* packs at work included */
    enum mode mode;
    struct bk_error error;
};

static int pack_name_of(struct uploader *u, const struct packed *p, pack_name *ret, struct bk_error *err)
{
    return suite_hash(repo_keyring(u->repo)->suite, p->bytes.data, p->bytes.len, ret->b, err);
}

/* The name is the hash of sealed content: what stands there is the same pack, or half of it from a put that
 * broke off, in a store that shows such things. */
static int put_pack(struct uploader *u, const struct packed *p, const char *path, struct bk_error *err)
{
    enum { TRIES = 3 };
    struct store *s = repo_store(u->repo);
    for (int i = 1;; i++) {
        struct bk_error why = { 0 };
        uint64_t size;
        job_rate_take(&u->rate, p->bytes.len);
        int r = store_put(s, path, p->bytes.data, p->bytes.len, err);
        if (r != BK_E_EXISTS && r != BK_E_IO)
            return r;
        int there = store_stat(s, path, &size, &why);
        if (there == 0 && size == p->bytes.len)
            return 0;
        if (there == 0)
            there = store_remove(s, path, &why);
        if (there < 0 || i == TRIES)
            return r;
    }
}

static void count(struct uploader *u, uint64_t bytes)
{
    atomic_fetch_add_explicit(&u->stored_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&u->o.job->stored_bytes, bytes, memory_order_relaxed);
}

static int put_segment(struct uploader *u, struct bk_error *err)
{
    uint64_t bytes;
    size_t n = u->draft.n_entries;
    int r = segment_draft_put(&u->draft, u->o.index, &bytes, err);
    if (r < 0)
        return r;
    count(u, bytes);
    /* The draft's entries are still there, though spent. */
    for (size_t i = 0; i < n; i++)
        pending_drop(u->o.pending, &u->draft.entries[i].id);
    return 0;
}

static int upload(struct uploader *u, struct packed *p, struct bk_error *err)
{
    char path[REPO_PATH];
    struct segment_pack line = { .bytes = (uint32_t)p->bytes.len, .kind = (uint8_t)p->kind };
    int r = pack_name_of(u, p, &line.name, err);
    if (r < 0)
        return r;
    repo_pack_path(p->kind, &line.name, path);
    r = put_pack(u, p, path, err);
    if (r < 0)
        return bk_context(err, "put pack %s", path);
    count(u, p->bytes.len);
    atomic_fetch_add_explicit(&u->packs, 1, memory_order_relaxed);
    /* Under the lock, so that a segment names nothing that is still under way. */
    pthread_mutex_lock(&u->draft_lock);
    r = segment_draft_add(&u->draft, &line, &p->dir, err);
    if (r == 0 && u->draft.n_entries >= u->o.index_every)
        r = put_segment(u, err);
    pthread_mutex_unlock(&u->draft_lock);
    return r;
}

static void fail(struct uploader *u, const struct bk_error *err)
{
    pthread_mutex_lock(&u->lock);
    if (!u->error.code)
        u->error = *err;
    atomic_store(&u->failed, u->error.code);
    pthread_mutex_unlock(&u->lock);
}

/* The next pack, or NULL when the thread that asks may end. */
static struct packed *next(struct uploader *u)
{
    pthread_mutex_lock(&u->lock);
    while (!u->first && u->mode == RUN)
        pthread_cond_wait(&u->wake, &u->lock);
    struct packed *p = u->mode == STOP ? NULL : u->first;
    if (p) {
        u->first = p->next;
        if (!u->first)
            u->last = &u->first;
    }
    pthread_mutex_unlock(&u->lock);
    return p;
}

static void done(struct uploader *u, struct packed *p)
{
    size_t bytes = p->bytes.len;
    packed_pool_give(u->o.pool, p);
    pthread_mutex_lock(&u->lock);
    u->waiting_bytes -= bytes;
    pthread_cond_broadcast(&u->room);
    pthread_mutex_unlock(&u->lock);
}

static void *run(void *arg)
{
    struct uploader *u = arg;
    struct packed *p;
    while ((p = next(u))) {
        struct bk_error err = { 0 };
        if (!atomic_load(&u->failed) && upload(u, p, &err) < 0)
            fail(u, &err);
        done(u, p);
    }
    return NULL;
}

static int start_threads(struct uploader *u, struct bk_error *err)
{
    unsigned n = u->o.n_threads ? u->o.n_threads : 1;
    u->threads = calloc(n, sizeof *u->threads);
    if (!u->threads)
        return bk_fail(err, BK_E_NOMEM, "no memory for the uploader");
    for (; u->n_started < n; u->n_started++) {
        int e = pthread_create(&u->threads[u->n_started], NULL, run, u);
        if (e && u->n_started == 0)
            return bk_fail_errno(err, e, "start the uploader");
        if (e) /* fewer do as well */
            break;
    }
    return 0;
}

int uploader_new(const struct uploader_opts *o, struct uploader **ret, struct bk_error *err)
{
    struct uploader *made = calloc(1, sizeof *made);
    if (!made)
        return bk_fail(err, BK_E_NOMEM, "no memory for the uploader");
    job_rate_init(&made->rate, o->job->limit_write);
    pthread_mutex_init(&made->draft_lock, NULL);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, NULL);
    pthread_cond_init(&made->room, NULL);
    bk_auto(uploader_free) struct uploader *u = made;
    u->o = *o;
    u->repo = index_repo(o->index);
    u->last = &u->first;
    int r = start_threads(u, err);
    if (r < 0)
        return r;
    *ret = bk_steal(u);
    return 0;
}

void uploader_adopt(struct uploader *u, struct packed *p)
{
    pthread_mutex_lock(&u->lock);
    while (u->waiting_bytes > 0 && u->waiting_bytes + p->bytes.len > u->o.queue_bytes)
        pthread_cond_wait(&u->room, &u->lock);
    p->next = NULL;
    *u->last = p;
    u->last = &p->next;
    u->waiting_bytes += p->bytes.len;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
}

int uploader_check(struct uploader *u, struct bk_error *err)
{
    if (!atomic_load_explicit(&u->failed, memory_order_relaxed))
        return 0;
    pthread_mutex_lock(&u->lock);
    int r = u->error.code;
    if (err)
        *err = u->error;
    pthread_mutex_unlock(&u->lock);
    return r;
}

static void end_threads(struct uploader *u, enum mode mode)
{
    pthread_mutex_lock(&u->lock);
    u->mode = mode;
    pthread_cond_broadcast(&u->wake);
    pthread_mutex_unlock(&u->lock);
    for (; u->n_started > 0; u->n_started--)
        pthread_join(u->threads[u->n_started - 1], NULL);
}

int uploader_finish(struct uploader *u, struct bk_error *err)
{
    struct bk_error why = { 0 };
    end_threads(u, FINISH);
    if (!u->error.code && put_segment(u, &why) < 0)
        fail(u, &why);
    return uploader_check(u, err);
}

void uploader_totals(const struct uploader *u, struct uploader_totals *ret)
{
    *ret = (struct uploader_totals){ .packs = atomic_load(&u->packs),
                                     .stored_bytes = atomic_load(&u->stored_bytes) };
}

void uploader_free(struct uploader *u)
{
    if (!u)
        return;
    end_threads(u, STOP);
    while (u->first) {
        struct packed *p = u->first;
        u->first = p->next;
        packed_free(p);
    }
    segment_draft_clear(&u->draft);
    pthread_mutex_destroy(&u->rate.lock);
    free(u->threads);
    pthread_mutex_destroy(&u->draft_lock);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->wake);
    pthread_cond_destroy(&u->room);
    free(u);
}
