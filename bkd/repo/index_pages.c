#include "bkd/repo/index_pages.h"

#include <pthread.h>

enum { WAYS = 8 };

struct index_set {
    pthread_mutex_t lock;
    uint64_t key[WAYS]; /* 0: free */
    unsigned next;      /* to be replaced; a hit just before it is spared */
    uint8_t (*pages)[SEGMENT_PAGE];
};

struct index_pages {
    size_t n_sets; /* a power of two */
    struct index_set *sets;
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

/* Where the key is, or WAYS. */
static unsigned way_of(const struct index_set *set, uint64_t key)
{
    unsigned i = 0;
    while (i < WAYS && set->key[i] != key)
        i++;
    return i;
}

/* Read a page into the place of another; who wants the same one waits instead of reading it too. */
static int load(struct index_set *set, struct index_segment *s, uint32_t page, uint64_t key,
                struct bk_error *err)
{
    unsigned i = set->next;
    set->key[i] = 0;
    int r = index_segment_page(s, page, set->pages[i], err);
    if (r == 0)
        set->key[i] = key;
    return r < 0 ? r : (int)i;
}

int index_pages_hold(struct index_pages *c, struct index_segment *s, uint32_t page, struct index_page *ret,
                     struct bk_error *err)
{
    uint64_t key = ((uint64_t)s->number + 1) << 32 | page;
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    struct index_set *set = &c->sets[(h >> 32) & (c->n_sets - 1)];
    pthread_mutex_lock(&set->lock);
    int at = (int)way_of(set, key);
    if (at == WAYS)
        at = load(set, s, page, key, err);
    if (at < 0) {
        pthread_mutex_unlock(&set->lock);
        return at;
    }
    if (set->next == (unsigned)at)
        set->next = (set->next + 1) % WAYS;
    *ret = (struct index_page){ .data = set->pages[at], .set = set };
    return 0;
}

void index_pages_release(struct index_page *p)
{
    pthread_mutex_unlock(&p->set->lock);
    *p = (struct index_page){ 0 };
}
