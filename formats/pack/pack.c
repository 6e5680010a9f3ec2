#include "formats/pack/pack.h"

#include <xxhash.h>

#include "formats/base/wire.h"

static const uint8_t end_magic[8] = { 'B', 'K', 'P', 'E', 'N', 'D', '0', '1' };

enum { TRAILER_FIELDS = 24, FRAME_LEAST = FRAME_HEADER + SUITE_TAG };

void pack_header_encode(const struct pack_header *h, uint8_t out[static PACK_HEADER])
{
    object_header_encode(
        &(struct object_header){ .kind = OBJECT_PACK, .version = PACK_VERSION, .suite = h->suite }, out);
    bk_put_u32(out + 16, h->epoch);
    out[20] = (uint8_t)h->kind;
    memset(out + 21, 0, 3);
    memcpy(out + 24, h->salt, KEYRING_SALT);
}

int pack_header_decode(const void *data, size_t len, struct pack_header *ret, struct bk_error *err)
{
    const uint8_t *p = data;
    struct object_header object;
    int r = object_header_decode(data, len, OBJECT_PACK, PACK_VERSION, &object, err);
    if (r < 0)
        return r;
    if (len < PACK_HEADER)
        return bk_fail(err, BK_E_CORRUPT, "a pack is cut short in its header");
    if (p[20] >= CHUNK_KINDS || p[21] || p[22] || p[23])
        return bk_fail(err, BK_E_CORRUPT, "a pack header is malformed");
    struct pack_header h = {
        .suite = object.suite,
        .epoch = bk_get_u32(p + 16),
        .kind = (enum chunk_kind)p[20],
    };
    memcpy(h.salt, p + 24, KEYRING_SALT);
    *ret = h;
    return 0;
}

static uint64_t trailer_checksum(const uint8_t header[static PACK_HEADER],
                                 const uint8_t fields[static TRAILER_FIELDS])
{
    uint8_t both[PACK_HEADER + TRAILER_FIELDS];
    memcpy(both, header, PACK_HEADER);
    memcpy(both + PACK_HEADER, fields, TRAILER_FIELDS);
    return XXH3_64bits(both, sizeof both);
}

void pack_trailer_encode(const struct pack_trailer *t, const uint8_t header[static PACK_HEADER],
                         uint8_t out[static PACK_TRAILER])
{
    bk_put_u64(out, t->dir_offset);
    bk_put_u32(out + 8, t->dir_bytes);
    bk_put_u32(out + 12, t->n_frames);
    bk_put_u32(out + 16, t->n_chunks);
    bk_put_u32(out + 20, 0);
    bk_put_u64(out + 24, trailer_checksum(header, out));
    memcpy(out + 32, end_magic, sizeof end_magic);
}

int pack_trailer_decode(const uint8_t in[static PACK_TRAILER], const uint8_t header[static PACK_HEADER],
                        uint64_t pack_bytes, struct pack_trailer *ret, struct bk_error *err)
{
    if (memcmp(in + 32, end_magic, sizeof end_magic) != 0)
        return bk_fail(err, BK_E_CORRUPT, "a pack does not end as packs do: it is cut short or damaged");
    if (bk_get_u64(in + 24) != trailer_checksum(header, in))
        return bk_fail(err, BK_E_CORRUPT, "the checksum over header and trailer of a pack does not fit");
    struct pack_trailer t = {
        .dir_offset = bk_get_u64(in),
        .dir_bytes = bk_get_u32(in + 8),
        .n_frames = bk_get_u32(in + 12),
        .n_chunks = bk_get_u32(in + 16),
    };
    if (bk_get_u32(in + 20) != 0 || t.n_frames > PACK_MAX_FRAMES || t.n_chunks > PACK_MAX_CHUNKS ||
        t.dir_bytes < FRAME_LEAST || t.dir_bytes > FRAME_HEADER + FRAME_MAX_STORED)
        return bk_fail(err, BK_E_CORRUPT, "a pack trailer has impossible counts");
    uint64_t end;
    if (pack_bytes > PACK_MAX_BYTES || t.dir_offset < PACK_HEADER ||
        __builtin_add_overflow(t.dir_offset, (uint64_t)t.dir_bytes + PACK_TRAILER, &end) || end != pack_bytes)
        return bk_fail(err, BK_E_CORRUPT, "a pack's directory does not lie where its trailer begins");
    *ret = t;
    return 0;
}

int pack_scan(const void *data, size_t len, size_t *pos, size_t *ret_offset, struct frame_header *ret)
{
    const uint8_t *p = data;
    while (*pos < len && len - *pos >= FRAME_LEAST) {
        const uint8_t *hit = memmem(p + *pos, len - *pos, "BKF1", 4);
        if (!hit)
            break;
        size_t offset = (size_t)(hit - p);
        struct frame_header h;
        if (frame_header_decode(hit, len - offset, &h, NULL) == 0 &&
            h.stored_len <= len - offset - FRAME_HEADER &&
            frame_check(hit, (size_t)FRAME_HEADER + h.stored_len, &h, NULL) == 0) {
            *pos = offset + FRAME_HEADER + h.stored_len;
            *ret_offset = offset;
            *ret = h;
            return 1;
        }
        *pos = offset + 1;
    }
    *pos = len;
    return 0;
}
