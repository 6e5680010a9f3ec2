#include "formats/base/wire.h"
#include "formats/pack/frame.h"

int frame_table_decode(const void *plain, size_t len, struct frame_table *ret, struct bk_error *err)
{
    const uint8_t *p = plain;
    if (len < 4)
        return bk_fail(err, BK_E_CORRUPT, "a chunk table is cut short");
    uint32_t n = bk_get_u32(p + len - 4);
    if (n > FRAME_MAX_CHUNKS || (size_t)n * 4 > len - 4)
        return bk_fail(err, BK_E_CORRUPT, "a chunk table of %u chunks does not fit its frame", n);
    size_t chunk_bytes = len - 4 - (size_t)n * 4;
    const uint8_t *lengths = p + chunk_bytes;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t one = bk_get_u32(lengths + (size_t)i * 4);
        if (one > CHUNK_MAX)
            return bk_fail(err, BK_E_CORRUPT, "a chunk table has a chunk of %u bytes", one);
        sum += one;
    }
    if (sum != chunk_bytes)
        return bk_fail(err, BK_E_CORRUPT, "the lengths of a chunk table do not add up");
    *ret = (struct frame_table){ .plain = p, .plain_len = len, .n_chunks = n, .lengths = lengths };
    return 0;
}

int frame_table_chunk(const struct frame_table *t, uint32_t slot, const uint8_t **ret, size_t *ret_len,
                      struct bk_error *err)
{
    if (slot >= t->n_chunks)
        return bk_fail(err, BK_E_CORRUPT, "a frame has %u chunks, not the one in slot %u", t->n_chunks, slot);
    size_t offset = 0;
    for (uint32_t i = 0; i < slot; i++)
        offset += bk_get_u32(t->lengths + (size_t)i * 4);
    *ret = t->plain + offset;
    *ret_len = bk_get_u32(t->lengths + (size_t)slot * 4);
    return 0;
}

int frame_table_encode(struct bk_buf *plain, const uint32_t *lengths, size_t n_chunks, struct bk_error *err)
{
    if (n_chunks > FRAME_MAX_CHUNKS || plain->len > FRAME_MAX_RAW - 4 - n_chunks * 4)
        return bk_fail(err, BK_E_LIMIT, "%zu chunks of %zu bytes pass the limits of a frame", n_chunks,
                       plain->len);
    uint64_t sum = 0;
    for (size_t i = 0; i < n_chunks; i++)
        sum += lengths[i];
    if (sum != plain->len)
        return bk_fail(err, BK_E_USAGE, "chunk lengths do not add up to their %zu bytes", plain->len);
    uint8_t *p;
    int r = bk_buf_extend(plain, n_chunks * 4 + 4, &p, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_chunks; i++)
        bk_put_u32(p + i * 4, lengths[i]);
    bk_put_u32(p + n_chunks * 4, (uint32_t)n_chunks);
    return 0;
}
