#include "formats/chunk/chunker.h"

#include "formats/base/wire.h"
#include "formats/chunk/chunk.h"

enum { GEAR = 256, NORMALISATION = 2 };

struct chunker {
    uint64_t gear[GEAR];
    uint64_t gear_twice[GEAR]; /* each word shifted left by one: the first byte of a pair */
    uint64_t mask_early;       /* before the average point: cuts are rarer */
    uint64_t mask_late;        /* after it: cuts are more frequent */
    size_t min, avg, max;      /* bytes */
};

/* The `bits` bits below the top one. High bits see the most bytes; the top bit stays free, so that a
 * hash that is shifted once too far can still be tested (cut_between). */
static uint64_t mask_of(unsigned bits)
{
    return (((uint64_t)1 << bits) - 1) << (63 - bits);
}

static unsigned floor_log2(uint32_t v)
{
    return 31 - (unsigned)__builtin_clz(v);
}

static int fill_gear(struct chunker *c, const struct keyring *k, struct bk_error *err)
{
    uint8_t key[SUITE_KEY];
    uint8_t words[GEAR * 8];
    enum suite_id suite;
    int r = keyring_chunker(k, &suite, key, err);
    if (r == 0)
        r = suite_hkdf(suite, key, sizeof key, NULL, 0, "gear", words, sizeof words, err);
    for (unsigned i = 0; i < GEAR && r == 0; i++) {
        c->gear[i] = bk_get_u64(words + 8 * i);
        c->gear_twice[i] = c->gear[i] << 1;
    }
    suite_wipe(key, sizeof key);
    suite_wipe(words, sizeof words);
    return r < 0 ? bk_context(err, "derive the chunker's table") : 0;
}

int chunker_new(const struct keyring *k, const struct config *conf, struct chunker **ret,
                struct bk_error *err)
{
    if (conf->chunker != CHUNKER_FASTCDC)
        return bk_fail(err, BK_E_UNSUPPORTED, "chunker %u is not known", (unsigned)conf->chunker);
    if (conf->chunk_min == 0 || conf->chunk_min > conf->chunk_avg || conf->chunk_avg > conf->chunk_max ||
        conf->chunk_max > CHUNK_MAX)
        return bk_fail(err, BK_E_USAGE, "chunk sizes %u, %u, %u do not ascend from 1 to %u", conf->chunk_min,
                       conf->chunk_avg, conf->chunk_max, (unsigned)CHUNK_MAX);
    bk_auto(chunker_free) struct chunker *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for a chunker");
    int r = fill_gear(c, k, err);
    if (r < 0)
        return r;
    unsigned bits = floor_log2(conf->chunk_avg);
    c->mask_early = mask_of(bits + NORMALISATION);
    c->mask_late = mask_of(bits > NORMALISATION ? bits - NORMALISATION : 1);
    c->min = conf->chunk_min;
    c->avg = conf->chunk_avg;
    c->max = conf->chunk_max;
    *ret = bk_steal(c);
    return 0;
}

void chunker_free(struct chunker *c)
{
    if (!c)
        return;
    suite_wipe(c, sizeof *c);
    free(c);
}

/* The first cut in [from, to), counted from data, or 0. *hash goes on where it stopped.
 * Two bytes a step, as one shift by two: after the first of them the hash stands one bit too far
 * left, and so does the mask that it is tested with. */
static size_t cut_between(const struct chunker *c, const uint8_t *data, size_t from, size_t to, uint64_t mask,
                          uint64_t *hash)
{
    uint64_t h = *hash;
    size_t i = from;
    for (; i + 2 <= to; i += 2) {
        h = (h << 2) + c->gear_twice[data[i]];
        if (!(h & (mask << 1)))
            return i + 1;
        h += c->gear[data[i + 1]];
        if (!(h & mask))
            return i + 2;
    }
    if (i < to) {
        h = (h << 1) + c->gear[data[i]];
        if (!(h & mask))
            return i + 1;
    }
    *hash = h;
    return 0;
}

size_t chunker_cut(const struct chunker *c, const uint8_t *data, size_t len, bool at_end)
{
    /* A cut found in a rest that might still turn out to be this short would depend on how the data was
     * read: wait for the end or for more. */
    if (len <= c->avg && len < c->max)
        return at_end ? len : 0;
    size_t n = len < c->max ? len : c->max;
    uint64_t hash = 0;
    size_t cut = cut_between(c, data, c->min, c->avg, c->mask_early, &hash);
    if (!cut)
        cut = cut_between(c, data, c->avg, n, c->mask_late, &hash);
    if (cut)
        return cut;
    return n == c->max || at_end ? n : 0;
}
