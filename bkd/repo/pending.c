#include "bkd/repo/pending.h"

#include <pthread.h>
#include <stdbool.h>

#include "formats/base/wire.h"

enum { SHARDS = 64, SLOTS_FIRST = 256 };

/* Open addressing with linear probes. Ids are keyed hashes: their own bytes spread them, and nobody outside
 * can aim. */
struct shard {
    pthread_mutex_t lock;
    chunk_id *ids;
    uint8_t *used; /* a byte per slot: any id is a valid one */
    size_t cap;    /* a power of two */
    size_t n;
    uint64_t drops;
};

struct pending {
    struct shard shards[SHARDS];
};

int pending_new(struct pending **ret, struct bk_error *err)
{
    struct pending *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for the chunks of this run");
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&p->shards[i].lock, NULL);
    *ret = p;
    return 0;
}

void pending_free(struct pending *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        free(p->shards[i].ids);
        free(p->shards[i].used);
        pthread_mutex_destroy(&p->shards[i].lock);
    }
    free(p);
}

static struct shard *shard_of(struct pending *p, const chunk_id *id)
{
    return &p->shards[id->b[0] % SHARDS];
}

static size_t home(const chunk_id *id, size_t cap)
{
    return (size_t)bk_get_u64(id->b + 8) & (cap - 1);
}

/* The slot that holds id, or the free one where it would go. */
static size_t probe(const struct shard *s, const chunk_id *id)
{
    size_t i = home(id, s->cap);
    while (s->used[i] && chunk_id_cmp(&s->ids[i], id) != 0)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static int resize(struct shard *s, struct bk_error *err)
{
    struct shard big = { .cap = s->cap ? s->cap * 2 : SLOTS_FIRST };
    big.ids = calloc(big.cap, sizeof *big.ids);
    big.used = calloc(big.cap, 1);
    if (!big.ids || !big.used) {
        free(big.ids);
        free(big.used);
        return bk_fail(err, BK_E_NOMEM, "no memory for the chunks of this run");
    }
    for (size_t i = 0; i < s->cap; i++)
        if (s->used[i]) {
            size_t to = probe(&big, &s->ids[i]);
            big.ids[to] = s->ids[i];
            big.used[to] = 1;
        }
    free(s->ids);
    free(s->used);
    s->ids = big.ids;
    s->used = big.used;
    s->cap = big.cap;
    return 0;
}

/* The caller has the lock. */
static void tell_drops(const struct shard *s, uint64_t *ret_drops)
{
    if (ret_drops)
        *ret_drops = s->drops;
}

int pending_has(struct pending *p, const chunk_id *id, uint64_t *ret_drops)
{
    struct shard *s = shard_of(p, id);
    pthread_mutex_lock(&s->lock);
    int r = s->n && s->used[probe(s, id)];
    tell_drops(s, ret_drops);
    pthread_mutex_unlock(&s->lock);
    return r;
}

int pending_add(struct pending *p, const chunk_id *id, uint64_t *ret_drops, struct bk_error *err)
{
    struct shard *s = shard_of(p, id);
    pthread_mutex_lock(&s->lock);
    int r = s->n + 1 > s->cap / 4 * 3 ? resize(s, err) : 0;
    if (r == 0) {
        size_t i = probe(s, id);
        if (!s->used[i]) {
            s->ids[i] = *id;
            s->used[i] = 1;
            s->n++;
            r = 1;
        }
    }
    tell_drops(s, ret_drops);
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* Empty slot i, and move up what could not be found past the hole. */
static void close_gap(struct shard *s, size_t i)
{
    size_t mask = s->cap - 1;
    s->used[i] = 0;
    for (size_t j = (i + 1) & mask; s->used[j]; j = (j + 1) & mask) {
        size_t at_home = home(&s->ids[j], s->cap);
        if (((j - at_home) & mask) < ((j - i) & mask))
            continue;
        s->ids[i] = s->ids[j];
        s->used[i] = 1;
        s->used[j] = 0;
        i = j;
    }
}

void pending_drop(struct pending *p, const chunk_id *id)
{
    struct shard *s = shard_of(p, id);
    pthread_mutex_lock(&s->lock);
    size_t i = s->n ? probe(s, id) : 0;
    if (s->n && s->used[i]) {
        close_gap(s, i);
        s->n--;
        s->drops++;
    }
    pthread_mutex_unlock(&s->lock);
}

size_t pending_count(struct pending *p)
{
    size_t n = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&p->shards[i].lock);
        n += p->shards[i].n;
        pthread_mutex_unlock(&p->shards[i].lock);
    }
    return n;
}
