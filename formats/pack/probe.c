#include "formats/pack/probe.h"

#include <stdint.h>
#include <string.h>

enum {
    PROBE_MIN = 64 << 10, /* bytes; below, compressing costs little */
    SLICE = 64,           /* bytes: one cache line */
    N_SLICES = 64,
    SAMPLE = SLICE * N_SLICES,
    WINDOW = 16 << 10, /* bytes searched for repetitions */
    GRAM_STEP = 8,
    TABLE_BITS = 12,
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

/* Even bytes may still repeat each other (a table of random keys written twice). Does any 8-byte string
 * at a multiple of 8 come again later in the window, at any place? */
static bool repeats(const uint8_t *p, size_t len)
{
    uint16_t last[1 << TABLE_BITS] = { 0 }; /* offset / GRAM_STEP + 1 */
    size_t n = len < WINDOW ? len : WINDOW;
    unsigned hits = 0;
    for (size_t i = 0; i + 8 <= n; i++) {
        uint64_t v = gram(p + i);
        size_t slot = (size_t)(v * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TABLE_BITS));
        if (last[slot] && gram(p + (size_t)(last[slot] - 1) * GRAM_STEP) == v)
            hits++;
        if (i % GRAM_STEP == 0)
            last[slot] = (uint16_t)(i / GRAM_STEP + 1);
    }
    return hits > 8;
}

bool probe_worthwhile(const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len < PROBE_MIN || !bytes_look_even(p, len))
        return true;
    return repeats(p + (len - WINDOW) / 2, WINDOW);
}
