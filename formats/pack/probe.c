#include "formats/pack/probe.h"

#include <stdint.h>
#include <string.h>

enum {
    PROBE_MIN = 64 << 10, /* bytes; below, compressing costs little */
    SLICE = 64,           /* bytes: one cache line */
    N_SLICES = 64,
    SAMPLE = SLICE * N_SLICES,
    WINDOW = 16 << 10, /* bytes searched for repetitions */
    TABLE_BITS = 10,
};

/* Collision count of the byte values in slices spread over the data. For evenly distributed bytes it is
 * SAMPLE + SAMPLE * (SAMPLE - 1) / 256; one part in eight above that means that an entropy coder
 * saves about one per cent. */
static bool bytes_look_even(const uint8_t *p, size_t len)
{
    uint32_t count[256] = { 0 };
    size_t stride = (len - SLICE) / (N_SLICES - 1);
    for (size_t s = 0; s < N_SLICES; s++)
        for (size_t i = 0; i < SLICE; i++)
            count[p[s * stride + i]]++;
    uint64_t collisions = 0;
    for (size_t v = 0; v < 256; v++)
        collisions += (uint64_t)count[v] * count[v];
    const uint64_t even = SAMPLE + (uint64_t)SAMPLE * (SAMPLE - 1) / 256;
    return collisions < even + even / 8;
}

static uint64_t gram(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t gram_hash(uint64_t v)
{
    return v * UINT64_C(0x9e3779b97f4a7c15);
}

/* Even bytes may still repeat each other (a table of random keys written twice). Of the 8-byte strings
 * in the window every sixteenth is remembered, chosen by its own hash so that a repetition at any
 * distance is chosen again. */
static bool repeats(const uint8_t *p)
{
    uint64_t seen[1 << TABLE_BITS] = { 0 };
    uint16_t chosen[WINDOW];
    size_t n = 0;
    unsigned hits = 0;
    for (size_t i = 0; i + 8 <= WINDOW; i++) { /* no branch: each choice would be mispredicted */
        chosen[n] = (uint16_t)i;
        n += gram_hash(gram(p + i)) >> 60 == 0;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t v = gram(p + chosen[i]);
        uint64_t *slot = &seen[gram_hash(v) >> (60 - TABLE_BITS)];
        hits += *slot == v;
        *slot = v;
    }
    return hits > WINDOW / 16 / 100; /* one in a hundred */
}

bool probe_worthwhile(const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len < PROBE_MIN || !bytes_look_even(p, len))
        return true;
    return repeats(p + (len - WINDOW) / 2);
}
