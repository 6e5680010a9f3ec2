#include "bkd/repo/index_pages.h"

#include <pthread.h>

enum { WAYS = 8 };

struct set {
    pthread_mutex_t lock;
    uint64_t key[WAYS]; /* 0: free */
    unsigned next;      /* to be replaced; a hit just before it is spared */
    uint8_t (*pages)[SEGMENT_PAGE];
};

struct index_pages {
    size_t n_sets; /* a power of two */
    struct set *sets;
    uint8_t (*pages)[SEGMENT_PAGE];
};

int index_pages_new(size_t bytes, struct index_pages **ret, struct bk_error *err)
{
    bk_auto(index_pages_free) struct index_pages *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for the index cache");
    size_t n = 1;
    while (n * 2 * WAYS * SEGMENT_PAGE <= bytes)
        n *= 2;
    c->sets = calloc(n, sizeof *c->sets);
    c->pages = malloc(n * WAYS * SEGMENT_PAGE);
    if (!c->sets || !c->pages)
        return bk_fail(err, BK_E_NOMEM, "no memory for the index cache");
    for (; c->n_sets < n; c->n_sets++) {
        pthread_mutex_init(&c->sets[c->n_sets].lock, NULL);
        c->sets[c->n_sets].pages = c->pages + c->n_sets * WAYS;
    }
    *ret = bk_steal(c);
    return 0;
}

void index_pages_free(struct index_pages *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_sets; i++)
        pthread_mutex_destroy(&c->sets[i].lock);
    free(c->sets);
    free(c->pages);
    free(c);
}

size_t index_pages_bytes(const struct index_pages *c)
{
    return sizeof *c + c->n_sets * (sizeof *c->sets + (size_t)WAYS * SEGMENT_PAGE);
}

static bool lookup(struct set *set, uint64_t key, uint8_t *out)
{
    bool hit = false;
    pthread_mutex_lock(&set->lock);
    for (unsigned i = 0; i < WAYS; i++)
        if (set->key[i] == key) {
            memcpy(out, set->pages[i], SEGMENT_PAGE);
            if (set->next == i)
                set->next = (i + 1) % WAYS;
            hit = true;
            break;
        }
    pthread_mutex_unlock(&set->lock);
    return hit;
}

static void keep(struct set *set, uint64_t key, const uint8_t *page)
{
    pthread_mutex_lock(&set->lock);
    bool there = false; /* another thread may have read it at the same time */
    for (unsigned i = 0; i < WAYS; i++)
        there |= set->key[i] == key;
    if (!there) {
        unsigned i = set->next;
        set->key[i] = key;
        memcpy(set->pages[i], page, SEGMENT_PAGE);
        set->next = (i + 1) % WAYS;
    }
    pthread_mutex_unlock(&set->lock);
}

int index_pages_get(struct index_pages *c, struct index_segment *s, uint32_t page,
                    uint8_t out[static SEGMENT_PAGE], struct bk_error *err)
{
    uint64_t key = ((uint64_t)s->number + 1) << 32 | page;
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    struct set *set = &c->sets[(h >> 32) & (c->n_sets - 1)];
    if (lookup(set, key, out))
        return 0;
    int r = index_segment_page(s, page, out, err);
    if (r == 0)
        keep(set, key, out);
    return r;
}
