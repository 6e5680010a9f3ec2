#include "formats/object/config.h"

#include "formats/base/wire.h"
#include "formats/chunk/chunk.h"

enum {
    FIELDS = OBJECT_HEADER + CONFIG_REPO_ID + 8 + 2 + 3 * 4 + 8 + 4 + 4,
    CONFIG_SIZE = FIELDS + SUITE_HASH,
};
_Static_assert(FIELDS == 70, "docs/formats/config.md says so");

void config_defaults(struct config *c)
{
    *c = (struct config){
        .chunker = CHUNKER_FASTCDC,
        .chunk_min = 32 << 10,
        .chunk_avg = 64 << 10,
        .chunk_max = 256 << 10,
        .segment_bytes = 64 << 20,
        .frame_bytes = 512 << 10,
        .pack_bytes = 64 << 20,
    };
}

static int check(const struct config *c, int code, struct bk_error *err)
{
    if (!suite_known(c->suite))
        return bk_fail(err, code, "the config names an unknown cipher suite");
    if (c->chunk_min == 0 || c->chunk_min > c->chunk_avg || c->chunk_avg > c->chunk_max ||
        c->chunk_max > CHUNK_MAX)
        return bk_fail(err, code, "chunk sizes %u, %u, %u are out of range or out of order", c->chunk_min,
                       c->chunk_avg, c->chunk_max);
    if (c->segment_bytes < c->chunk_max || c->segment_bytes > CONFIG_SEGMENT_MAX)
        return bk_fail(err, code, "a segment size of %llu bytes is out of range",
                       (unsigned long long)c->segment_bytes);
    if (c->frame_bytes < CONFIG_FRAME_MIN || c->frame_bytes > CONFIG_FRAME_MAX)
        return bk_fail(err, code, "a frame size of %u bytes is out of range", c->frame_bytes);
    if (c->pack_bytes < CONFIG_PACK_MIN || c->pack_bytes > CONFIG_PACK_MAX)
        return bk_fail(err, code, "a pack size of %u bytes is out of range", c->pack_bytes);
    return 0;
}

int config_encode(const struct config *c, struct bk_buf *out, struct bk_error *err)
{
    if (c->chunker != CHUNKER_FASTCDC)
        return bk_fail(err, BK_E_USAGE, "the config names an unknown chunker");
    int r = check(c, BK_E_USAGE, err);
    if (r < 0)
        return r;
    uint8_t b[CONFIG_SIZE];
    uint8_t *p = b + OBJECT_HEADER;
    object_header_encode(
        &(struct object_header){ .kind = OBJECT_CONFIG, .version = CONFIG_VERSION, .suite = c->suite }, b);
    memcpy(p, c->repo_id, CONFIG_REPO_ID);
    p += CONFIG_REPO_ID;
    bk_put_u64(p, c->created_s);
    bk_put_u16(p + 8, (uint16_t)c->chunker);
    bk_put_u32(p + 10, c->chunk_min);
    bk_put_u32(p + 14, c->chunk_avg);
    bk_put_u32(p + 18, c->chunk_max);
    bk_put_u64(p + 22, c->segment_bytes);
    bk_put_u32(p + 30, c->frame_bytes);
    bk_put_u32(p + 34, c->pack_bytes);
    r = suite_hash(c->suite, b, FIELDS, b + FIELDS, err);
    return r < 0 ? r : bk_buf_append(out, b, sizeof b, err);
}

int config_decode(const void *data, size_t len, struct config *ret, uint8_t ret_digest[static SUITE_HASH],
                  struct bk_error *err)
{
    struct object_header h;
    int r = object_header_decode(data, len, OBJECT_CONFIG, CONFIG_VERSION, &h, err);
    if (r < 0)
        return r;
    if (len != CONFIG_SIZE)
        return bk_fail(err, BK_E_CORRUPT, "the config has %zu bytes instead of %d", len, (int)CONFIG_SIZE);
    uint8_t digest[SUITE_HASH];
    r = suite_hash(h.suite, data, FIELDS, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, (const uint8_t *)data + FIELDS, SUITE_HASH) != 0)
        return bk_fail(err, BK_E_CORRUPT, "the config fails its digest");

    struct bk_reader in = bk_reader_of((const uint8_t *)data + OBJECT_HEADER, FIELDS - OBJECT_HEADER);
    struct config c = { .suite = h.suite };
    memcpy(c.repo_id, bk_read_raw(&in, CONFIG_REPO_ID), CONFIG_REPO_ID);
    c.created_s = bk_read_u64(&in);
    unsigned chunker = bk_read_u16(&in);
    c.chunk_min = bk_read_u32(&in);
    c.chunk_avg = bk_read_u32(&in);
    c.chunk_max = bk_read_u32(&in);
    c.segment_bytes = bk_read_u64(&in);
    c.frame_bytes = bk_read_u32(&in);
    c.pack_bytes = bk_read_u32(&in);
    r = bk_reader_end(&in, N_("config"), err);
    if (r < 0)
        return r;
    if (chunker != CHUNKER_FASTCDC)
        return bk_fail(err, BK_E_VERSION,
                       "the repository cuts chunks by a method that this program does not know (%u)",
                       chunker);
    c.chunker = chunker;
    r = check(&c, BK_E_CORRUPT, err);
    if (r < 0)
        return r;
    *ret = c;
    memcpy(ret_digest, digest, SUITE_HASH);
    return 0;
}
