#include "formats/index/fuse.h"

#include <assert.h>
#include <string.h>

#include "formats/base/wire.h"

enum {
    ARITY = 3,
    SEGMENT_LENGTH_MIN = 4,
    SEGMENT_LENGTH_MAX = 1 << 18,
    ATTEMPTS = 200,
};
#define FUSE_MAX_KEYS ((size_t)1 << 30)

struct probe {
    uint32_t at[ARITY]; /* in three segments that follow each other: always distinct */
};

/* The finaliser of MurmurHash3: a bijection, so that different keys never share a hash. */
static uint64_t mix(uint64_t key, uint64_t seed)
{
    uint64_t h = key + seed;
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return h;
}

static uint64_t next_seed(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint8_t fingerprint(uint64_t hash)
{
    return (uint8_t)(hash ^ hash >> 32);
}

static struct probe probe_of(const struct fuse *f, uint64_t hash)
{
    uint32_t mask = f->segment_length - 1;
    uint32_t first = (uint32_t)((unsigned __int128)hash * f->segment_count_length >> 64);
    struct probe p = { .at = { first, first + f->segment_length, first + 2 * f->segment_length } };
    p.at[1] ^= (uint32_t)(hash >> 18) & mask;
    p.at[2] ^= (uint32_t)hash & mask;
    return p;
}

void fuse_aim(const struct fuse *f, uint64_t key, struct fuse_aim *ret)
{
    if (f->n_fingerprints == 0)
        return;
    uint64_t hash = mix(key, f->seed);
    struct probe p = probe_of(f, hash);
    for (int i = 0; i < ARITY; i++) {
        __builtin_prefetch(f->fingerprints + p.at[i]);
        ret->at[i] = p.at[i];
    }
    ret->fingerprint = fingerprint(hash);
}

bool fuse_hit(const struct fuse *f, const struct fuse_aim *a)
{
    const uint8_t *t = f->fingerprints;
    return f->n_fingerprints && (uint8_t)(t[a->at[0]] ^ t[a->at[1]] ^ t[a->at[2]]) == a->fingerprint;
}

bool fuse_has(const struct fuse *f, uint64_t key)
{
    struct fuse_aim a = { 0 };
    fuse_aim(f, key, &a);
    return fuse_hit(f, &a);
}

/* log2 between its values at powers of two, by straight lines: never above the truth, and, other than
 * libm, the same on every machine. */
static double log2_below(size_t n)
{
    unsigned whole = 63 - (unsigned)__builtin_clzll(n);
    return whole + (double)n / (double)((size_t)1 << whole) - 1;
}

/* The sizes of the paper: segments of 3.33^(k - 2.25) keys get 2^k slots; the table has 1.125 slots per key
 * from a million keys on, and more below, where the chance of failure is higher. */
static void lay_out(struct fuse *f, size_t n)
{
    double reach = 0.7406; /* 3.33^(2 - 2.25) */
    f->segment_length = SEGMENT_LENGTH_MIN;
    while (f->segment_length < SEGMENT_LENGTH_MAX && reach * 3.33 <= (double)n) {
        reach *= 3.33;
        f->segment_length *= 2;
    }
    double factor = n < 2 ? 4 : 0.875 + 0.25 * 19.94 / log2_below(n);
    if (factor < 1.125)
        factor = 1.125;
    size_t slots = (size_t)((double)n * factor) + 1;
    size_t segments = (slots + f->segment_length - 1) / f->segment_length;
    segments = segments > ARITY - 1 ? segments - (ARITY - 1) : 1;
    f->segment_count_length = (uint32_t)(segments * f->segment_length);
    f->n_fingerprints = f->segment_count_length + (ARITY - 1) * f->segment_length;
}

struct peel {
    uint64_t *sum;   /* per slot: xor of the hashes that touch it */
    uint8_t *n;      /* per slot: how many, sticking at 255 */
    uint32_t *alone; /* stack of slots with one hash; each slot enters once at most */
    uint64_t *order; /* hashes in the order they were peeled */
    uint8_t *place;  /* and which of its three slots each was alone in */
};

static void peel_clear(struct peel *p)
{
    free(p->sum);
    free(p->n);
    free(p->alone);
    free(p->order);
    free(p->place);
    *p = (struct peel){ 0 };
}
BK_AUTO_CLEAR(struct peel, peel_clear)

static int peel_init(struct peel *p, size_t n, size_t slots, struct bk_error *err)
{
    p->sum = malloc(slots * sizeof *p->sum);
    p->n = malloc(slots);
    p->alone = malloc(slots * sizeof *p->alone);
    p->order = malloc(n * sizeof *p->order);
    p->place = malloc(n);
    if (!p->sum || !p->n || !p->alone || !p->order || !p->place)
        return bk_fail(err, BK_E_NOMEM, "no memory for a filter of %zu keys", n);
    return 0;
}

/* Enter all hashes into their slots; false when a slot is too full to be counted. */
static bool enter(struct peel *p, const struct fuse *f, const uint64_t *keys, size_t n)
{
    memset(p->sum, 0, f->n_fingerprints * sizeof *p->sum);
    memset(p->n, 0, f->n_fingerprints);
    for (size_t i = 0; i < n; i++) {
        uint64_t hash = mix(keys[i], f->seed);
        struct probe at = probe_of(f, hash);
        for (unsigned k = 0; k < ARITY; k++) {
            if (p->n[at.at[k]] == UINT8_MAX)
                return false;
            p->n[at.at[k]]++;
            p->sum[at.at[k]] ^= hash;
        }
    }
    return true;
}

/* Take away hashes that are alone in a slot until none is left: true when that empties the table. */
static bool peel_all(struct peel *p, const struct fuse *f, size_t n)
{
    size_t n_alone = 0;
    size_t n_peeled = 0;
    for (uint32_t s = 0; s < f->n_fingerprints; s++)
        if (p->n[s] == 1)
            p->alone[n_alone++] = s;
    while (n_alone) {
        uint32_t slot = p->alone[--n_alone];
        if (p->n[slot] != 1)
            continue;
        uint64_t hash = p->sum[slot];
        struct probe at = probe_of(f, hash);
        p->order[n_peeled] = hash;
        for (unsigned k = 0; k < ARITY; k++) {
            uint32_t s = at.at[k];
            if (s == slot)
                p->place[n_peeled] = (uint8_t)k;
            p->sum[s] ^= hash;
            if (--p->n[s] == 1)
                p->alone[n_alone++] = s;
        }
        n_peeled++;
    }
    return n_peeled == n;
}

/* In reverse order, the slot a hash was alone in is still free to make its three add up. */
static void assign(const struct peel *p, const struct fuse *f, size_t n, uint8_t *table)
{
    memset(table, 0, f->n_fingerprints);
    for (size_t i = n; i-- > 0;) {
        struct probe at = probe_of(f, p->order[i]);
        unsigned own = p->place[i];
        table[at.at[own]] = (uint8_t)(fingerprint(p->order[i]) ^ table[at.at[(own + 1) % ARITY]] ^
                                      table[at.at[(own + 2) % ARITY]]);
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int sorted_unique(const uint64_t *keys, size_t n, uint64_t **ret, size_t *ret_n, struct bk_error *err)
{
    uint64_t *copy = malloc(n * sizeof *copy);
    if (!copy)
        return bk_fail(err, BK_E_NOMEM, "no memory for a filter of %zu keys", n);
    memcpy(copy, keys, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, compare_u64);
    size_t unique = 0;
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || copy[unique - 1] != copy[i])
            copy[unique++] = copy[i];
    *ret = copy;
    *ret_n = unique;
    return 0;
}

static int construct(const uint64_t *keys, size_t n, struct fuse *f, struct bk_buf *out, struct bk_error *err)
{
    bk_auto(peel_clear) struct peel p = { 0 };
    bk_auto(free) uint64_t *unique = NULL;
    lay_out(f, n);
    const uint32_t slots = f->n_fingerprints;
    int r = peel_init(&p, n, slots, err);
    if (r < 0)
        return r;
    uint64_t state = 0;
    for (unsigned attempt = 0;; attempt++) {
        f->seed = next_seed(&state);
        if (enter(&p, f, keys, n) && peel_all(&p, f, n))
            break;
        if (attempt == ATTEMPTS)
            return bk_fail(err, BK_E_FAILED, "no filter for %zu keys after %u attempts", n,
                           (unsigned)ATTEMPTS);
        /* Equal keys are never alone. Sets without them seldom fail, so only now look for some. */
        if (!unique) {
            r = sorted_unique(keys, n, &unique, &n, err);
            if (r < 0)
                return r;
            keys = unique;
            lay_out(f, n);
            assert(f->n_fingerprints <= slots); /* it grows with n only: the arrays are big enough */
        }
    }
    uint8_t *table;
    r = bk_buf_extend(out, f->n_fingerprints, &table, err);
    if (r < 0)
        return r;
    assign(&p, f, n, table);
    f->fingerprints = table;
    return 0;
}

int fuse_build(const uint64_t *keys, size_t n, struct fuse *ret, struct bk_buf *out, struct bk_error *err)
{
    struct fuse f = { 0 };
    if (n > FUSE_MAX_KEYS)
        return bk_fail(err, BK_E_LIMIT, "a filter of %zu keys is too big", n);
    if (n) {
        int r = construct(keys, n, &f, out, err);
        if (r < 0)
            return bk_context(err, "build a filter");
    }
    *ret = f;
    return 0;
}

void fuse_encode(const struct fuse *f, uint8_t out[static FUSE_PARAMS])
{
    bk_put_u64(out, f->seed);
    bk_put_u32(out + 8, f->segment_length);
    bk_put_u32(out + 12, f->segment_count_length);
    bk_put_u32(out + 16, f->n_fingerprints);
    bk_put_u32(out + 20, 0);
}

int fuse_decode(const uint8_t in[static FUSE_PARAMS], size_t n_fingerprints, struct fuse *ret,
                struct bk_error *err)
{
    struct fuse f = {
        .seed = bk_get_u64(in),
        .segment_length = bk_get_u32(in + 8),
        .segment_count_length = bk_get_u32(in + 12),
        .n_fingerprints = bk_get_u32(in + 16),
        .zero = bk_get_u32(in + 20),
    };
    uint64_t length = f.segment_length;
    bool fits = f.n_fingerprints == n_fingerprints && f.zero == 0;
    if (f.n_fingerprints == 0) /* no keys */
        fits = fits && length == 0 && f.segment_count_length == 0;
    else
        fits = fits && length && (length & (length - 1)) == 0 && length <= SEGMENT_LENGTH_MAX &&
               f.segment_count_length && f.segment_count_length % length == 0 &&
               (uint64_t)f.segment_count_length + (ARITY - 1) * length == f.n_fingerprints;
    if (!fits)
        return bk_fail(err, BK_E_CORRUPT, "the parameters of a filter do not fit its %zu bytes",
                       n_fingerprints);
    *ret = f;
    return 0;
}
