#include "formats/base/wire.h"
#include "formats/pack/pack.h"

enum { LINE = 16 }; /* bytes of a frame's line without its ids */

void pack_directory_clear(struct pack_directory *d)
{
    free(d->frames);
    free(d->ids);
    *d = (struct pack_directory){ 0 };
}

/* The arrays keep no capacity: it is always the power of two at or above their count. */
static size_t capacity(size_t n)
{
    size_t cap = 16;
    while (cap < n)
        cap *= 2;
    return cap;
}

static int grow(void **array, size_t n, size_t more, size_t each, struct bk_error *err)
{
    if (*array && capacity(n) >= n + more)
        return 0;
    void *p = realloc(*array, capacity(n + more) * each);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for a pack directory");
    *array = p;
    return 0;
}

static size_t encoded_bytes(size_t n_frames, size_t n_chunks)
{
    return n_frames * LINE + n_chunks * CHUNK_ID;
}

int pack_directory_add(struct pack_directory *d, uint32_t offset, uint32_t stored_len, uint32_t raw_len,
                       const chunk_id *ids, uint32_t n_chunks, struct bk_error *err)
{
    if (d->n_frames >= PACK_MAX_FRAMES || n_chunks > FRAME_MAX_CHUNKS ||
        n_chunks > PACK_MAX_CHUNKS - d->n_chunks ||
        encoded_bytes((size_t)d->n_frames + 1, (size_t)d->n_chunks + n_chunks) > FRAME_MAX_RAW)
        return bk_fail(err, BK_E_LIMIT, "a pack directory of %u frames and %u chunks is full", d->n_frames,
                       d->n_chunks);
    void *frames = d->frames;
    int r = grow(&frames, d->n_frames, 1, sizeof *d->frames, err);
    d->frames = frames;
    if (r < 0)
        return r;
    void *all = d->ids;
    r = grow(&all, d->n_chunks, n_chunks, sizeof *d->ids, err);
    d->ids = all;
    if (r < 0)
        return r;
    d->frames[d->n_frames++] = (struct pack_frame){
        .offset = offset,
        .stored_len = stored_len,
        .raw_len = raw_len,
        .first_chunk = d->n_chunks,
        .n_chunks = n_chunks,
    };
    if (n_chunks)
        memcpy(d->ids + d->n_chunks, ids, n_chunks * sizeof *ids);
    d->n_chunks += n_chunks;
    return 0;
}

int pack_directory_encode(const struct pack_directory *d, struct bk_buf *out, struct bk_error *err)
{
    uint8_t *p;
    int r = bk_buf_extend(out, encoded_bytes(d->n_frames, d->n_chunks), &p, err);
    if (r < 0)
        return bk_context(err, "encode a pack directory");
    for (uint32_t i = 0; i < d->n_frames; i++) {
        const struct pack_frame *f = &d->frames[i];
        bk_put_u32(p, f->offset);
        bk_put_u32(p + 4, f->stored_len);
        bk_put_u32(p + 8, f->raw_len);
        bk_put_u32(p + 12, f->n_chunks);
        p += LINE;
        memcpy(p, d->ids + f->first_chunk, (size_t)f->n_chunks * CHUNK_ID);
        p += (size_t)f->n_chunks * CHUNK_ID;
    }
    return 0;
}

static int decode_line(struct bk_reader *in, uint64_t want_offset, struct pack_directory *d,
                       struct bk_error *err)
{
    uint32_t offset = bk_read_u32(in);
    uint32_t stored_len = bk_read_u32(in);
    uint32_t raw_len = bk_read_u32(in);
    uint32_t n = bk_read_u32(in);
    if (in->bad || n > FRAME_MAX_CHUNKS)
        return bk_fail(err, BK_E_CORRUPT, "a pack directory is cut short or malformed");
    if (offset != want_offset || stored_len < FRAME_HEADER + SUITE_TAG ||
        stored_len > FRAME_HEADER + FRAME_MAX_STORED || raw_len > FRAME_MAX_RAW)
        return bk_fail(err, BK_E_CORRUPT, "frame %u of a pack directory does not follow the one before it",
                       d->n_frames);
    const uint8_t *ids = bk_read_raw(in, (size_t)n * CHUNK_ID);
    if (!ids)
        return bk_fail(err, BK_E_CORRUPT, "a pack directory is cut short or malformed");
    return pack_directory_add(d, offset, stored_len, raw_len, (const chunk_id *)ids, n, err);
}

int pack_directory_decode(const void *data, size_t len, const struct pack_trailer *t,
                          struct pack_directory *ret, struct bk_error *err)
{
    if (len > FRAME_MAX_RAW || len != encoded_bytes(t->n_frames, t->n_chunks))
        return bk_fail(err, BK_E_CORRUPT,
                       "a pack directory of %zu bytes does not hold %u frames and %u chunks", len,
                       t->n_frames, t->n_chunks);
    bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
    struct bk_reader in = bk_reader_of(data, len);
    uint64_t end = PACK_HEADER;
    for (uint32_t i = 0; i < t->n_frames; i++) {
        int r = decode_line(&in, end, &d, err);
        if (r < 0)
            return r;
        end += d.frames[i].stored_len;
    }
    if (end != t->dir_offset || d.n_chunks != t->n_chunks)
        return bk_fail(err, BK_E_CORRUPT, "the frames of a pack directory do not fill the pack");
    int r = bk_reader_end(&in, N_("a pack directory"), err);
    if (r < 0)
        return r;
    *ret = d;
    d = (struct pack_directory){ 0 };
    return 0;
}
