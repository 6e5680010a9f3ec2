#include "formats/pack/frame.h"

#define XXH_INLINE_ALL /* the state then lives on the stack, whatever the library's version */
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "formats/base/wire.h"
#include "formats/pack/probe.h"

static const uint8_t frame_magic[4] = { 'B', 'K', 'F', '1' };

enum { CODEC_NONE = 0, CODEC_ZSTD = 1 };
enum {
    FRAME_AAD = 24,        /* the header up to the checksum */
    FRAME_WINDOW_LOG = 23, /* FRAME_MAX_RAW */
};
/* At level 1 a table that fits the first-level cache, and matches long enough to pay for themselves:
 * docs/design/compression.md */
enum { FAST_LEVEL = 1, FAST_HASH_LOG = 13, FAST_MIN_MATCH = 7 };

struct frame_codec {
    int level; /* 0: stored raw */
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    struct bk_buf packed; /* decrypted, still compressed */
    struct bk_buf look;   /* plaintext of the look */
};

static bool set_parameters(ZSTD_CCtx *c, int level)
{
    /* The header of our own frame has the length, and the tag is a better checksum. */
    if (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 0)))
        return false;
    return level != FAST_LEVEL || (!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, FAST_HASH_LOG)) &&
                                   !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_minMatch, FAST_MIN_MATCH)));
}

int frame_codec_new(int level, struct frame_codec **ret, struct bk_error *err)
{
    if (level < -7 || level > 19)
        return bk_fail(err, BK_E_USAGE, "compression level %d is not between -7 and 19", level);
    bk_auto(frame_codec_free) struct frame_codec *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "no memory for a frame codec");
    c->level = level;
    c->packed = BK_BUF(FRAME_MAX_STORED);
    c->look = BK_BUF(FRAME_MAX_RAW);
    c->cctx = ZSTD_createCCtx();
    c->dctx = ZSTD_createDCtx();
    if (!c->cctx || !c->dctx)
        return bk_fail(err, BK_E_NOMEM, "no memory for a frame codec");
    if (!set_parameters(c->cctx, level) ||
        ZSTD_isError(ZSTD_DCtx_setParameter(c->dctx, ZSTD_d_windowLogMax, FRAME_WINDOW_LOG)))
        return bk_fail(err, BK_E_FAILED, "libzstd refuses its parameters");
    *ret = bk_steal(c);
    return 0;
}

void frame_codec_free(struct frame_codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->cctx);
    ZSTD_freeDCtx(c->dctx);
    if (c->packed.data)
        suite_wipe(c->packed.data, c->packed.cap);
    if (c->look.data)
        suite_wipe(c->look.data, c->look.cap);
    bk_buf_clear(&c->packed);
    bk_buf_clear(&c->look);
    free(c);
}

static uint64_t checksum(const uint8_t *frame, size_t len)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, frame, FRAME_AAD);
    XXH3_64bits_update(&state, frame + FRAME_HEADER, len - FRAME_HEADER);
    return XXH3_64bits_digest(&state);
}

static void put_header(const struct frame_header *h, uint8_t out[static FRAME_AAD])
{
    memcpy(out, frame_magic, sizeof frame_magic);
    bk_put_u32(out + 4, h->number);
    bk_put_u32(out + 8, h->stored_len);
    bk_put_u32(out + 12, h->raw_len);
    out[16] = h->codec;
    out[17] = h->kind;
    memset(out + 18, 0, 6);
}

int frame_header_decode(const void *data, size_t len, struct frame_header *ret, struct bk_error *err)
{
    static const uint8_t zero[6];
    const uint8_t *p = data;
    if (len < FRAME_HEADER)
        return bk_fail(err, BK_E_CORRUPT, "a frame header is cut short");
    if (memcmp(p, frame_magic, sizeof frame_magic) != 0)
        return bk_fail(err, BK_E_CORRUPT, "there is no frame where one should begin");
    struct frame_header h = {
        .number = bk_get_u32(p + 4),
        .stored_len = bk_get_u32(p + 8),
        .raw_len = bk_get_u32(p + 12),
        .codec = p[16],
        .kind = p[17],
        .xxh3 = bk_get_u64(p + 24),
    };
    if (memcmp(p + 18, zero, sizeof zero) != 0 || h.codec > CODEC_ZSTD ||
        (h.kind >= CHUNK_KINDS && h.kind != FRAME_DIRECTORY))
        return bk_fail(err, BK_E_CORRUPT, "frame %u: unknown codec or kind", h.number);
    if (h.raw_len > FRAME_MAX_RAW || h.stored_len < SUITE_TAG || h.stored_len > FRAME_MAX_STORED)
        return bk_fail(err, BK_E_CORRUPT, "frame %u: impossible lengths %u and %u", h.number, h.stored_len,
                       h.raw_len);
    uint32_t kept_raw = h.raw_len + SUITE_TAG;
    if (h.codec == CODEC_NONE ? h.stored_len != kept_raw : h.stored_len >= kept_raw)
        return bk_fail(err, BK_E_CORRUPT, "frame %u: lengths %u and %u do not fit its codec", h.number,
                       h.stored_len, h.raw_len);
    *ret = h;
    return 0;
}

static int decode_whole(const void *data, size_t len, struct frame_header *ret, struct bk_error *err)
{
    struct frame_header h;
    int r = frame_header_decode(data, len, &h, err);
    if (r < 0)
        return r;
    if (len - FRAME_HEADER != h.stored_len)
        return bk_fail(err, BK_E_CORRUPT, "frame %u: %zu payload bytes instead of %u", h.number,
                       len - FRAME_HEADER, h.stored_len);
    *ret = h;
    return 0;
}

int frame_check(const void *data, size_t len, struct frame_header *ret, struct bk_error *err)
{
    struct frame_header h;
    int r = decode_whole(data, len, &h, err);
    if (r < 0)
        return r;
    if (checksum(data, len) != h.xxh3)
        return bk_fail(err, BK_E_CORRUPT, "frame %u: its checksum does not fit", h.number);
    *ret = h;
    return 0;
}

/* Decrypt and expand a frame whose header is h into plain (raw_len bytes). */
static int open_into(struct frame_codec *c, struct suite_aead *aead, const struct frame_header *h,
                     const uint8_t *frame, uint8_t *plain, struct bk_error *err)
{
    const uint8_t *payload = frame + FRAME_HEADER;
    if (h->codec == CODEC_NONE)
        return suite_aead_open(aead, h->number, frame, FRAME_AAD, payload, h->stored_len, plain, err);

    uint8_t *packed;
    size_t packed_len = h->stored_len - SUITE_TAG;
    c->packed.len = 0;
    int r = bk_buf_extend(&c->packed, packed_len, &packed, err);
    if (r == 0)
        r = suite_aead_open(aead, h->number, frame, FRAME_AAD, payload, h->stored_len, packed, err);
    if (r < 0)
        return r;
    size_t n = ZSTD_decompressDCtx(c->dctx, plain, h->raw_len, packed, packed_len);
    if (ZSTD_isError(n))
        return bk_fail(err, BK_E_CORRUPT, "cannot decompress: %s", ZSTD_getErrorName(n));
    if (n != h->raw_len)
        return bk_fail(err, BK_E_CORRUPT, "%zu bytes instead of %u after decompression", n, h->raw_len);
    return 0;
}

int frame_open(struct frame_codec *c, struct suite_aead *aead, uint8_t kind, uint32_t number,
               const void *data, size_t len, struct bk_buf *plain, struct bk_error *err)
{
    struct frame_header h;
    uint8_t *out;
    plain->len = 0;
    int r = decode_whole(data, len, &h, err);
    if (r < 0)
        return r;
    if (h.number != number || h.kind != kind)
        return bk_fail(err, BK_E_CORRUPT, "frame %u of kind %u where frame %u of kind %u should be", h.number,
                       h.kind, number, kind);
    r = bk_buf_extend(plain, h.raw_len, &out, err);
    if (r == 0)
        r = open_into(c, aead, &h, data, out, err);
    if (r < 0) {
        plain->len = 0;
        return bk_context(err, "frame %u", number);
    }
    return 0;
}

/* Compress into out, room for len bytes. *ret: the compressed length, or 0 to keep the data raw. */
static int compress(struct frame_codec *c, const void *plain, size_t len, uint8_t *out, size_t *ret,
                    struct bk_error *err)
{
    *ret = 0;
    if (c->level == 0 || len == 0 || !probe_worthwhile(plain, len))
        return 0;
    size_t n = ZSTD_compress2(c->cctx, out, len, plain, len);
    if (!ZSTD_isError(n)) {
        /* Less than 3 % is not worth the time of every later restore. */
        if (n < len - len * 3 / 100)
            *ret = n;
        return 0;
    }
    switch (ZSTD_getErrorCode(n)) {
    case ZSTD_error_dstSize_tooSmall:
        return 0;
    case ZSTD_error_memory_allocation:
        return bk_fail(err, BK_E_NOMEM, "no memory to compress %zu bytes", len);
    default:
        return bk_fail(err, BK_E_FAILED, "cannot compress: %s", ZSTD_getErrorName(n));
    }
}

/* Fill the frame at p, room for header, len and tag; *ret: its length. */
static int build(struct frame_codec *c, struct suite_aead *aead, uint8_t kind, uint32_t number,
                 const void *plain, size_t len, uint8_t *p, size_t *ret, struct bk_error *err)
{
    uint8_t *payload = p + FRAME_HEADER;
    size_t packed;
    int r = compress(c, plain, len, payload, &packed, err);
    if (r < 0)
        return r;
    size_t body = packed ? packed : len;
    struct frame_header h = {
        .number = number,
        .stored_len = (uint32_t)body + SUITE_TAG,
        .raw_len = (uint32_t)len,
        .codec = packed ? CODEC_ZSTD : CODEC_NONE,
        .kind = kind,
    };
    put_header(&h, p);
    r = suite_aead_seal(aead, number, p, FRAME_AAD, packed ? payload : plain, body, payload, err);
    if (r < 0)
        return r;
    *ret = FRAME_HEADER + body + SUITE_TAG;
    bk_put_u64(p + FRAME_AAD, checksum(p, *ret));
    return 0;
}

/* Read back what was made: a fault of the compressor, the cipher or the memory is found while
 * the plaintext is still there. */
static int look_back(struct frame_codec *c, struct suite_aead *aead, const uint8_t *frame, size_t frame_len,
                     const void *plain, size_t len, struct bk_error *err)
{
    struct frame_header h;
    uint8_t *seen = NULL;
    c->look.len = 0;
    int r = frame_check(frame, frame_len, &h, err);
    if (r == 0)
        r = bk_buf_extend(&c->look, len, &seen, err);
    if (r == 0 && h.raw_len != len)
        r = bk_fail(err, BK_E_CORRUPT, "the length differs");
    if (r == 0)
        r = open_into(c, aead, &h, frame, seen, err);
    if (r == 0 && len && memcmp(seen, plain, len) != 0)
        r = bk_fail(err, BK_E_CORRUPT, "the bytes differ");
    if (r == BK_E_CORRUPT) {
        bk_context(err, "a frame that was just sealed does not open again");
        bk_hint(err, "the memory or the processor of this machine may be faulty");
    }
    return r;
}

int frame_seal(struct frame_codec *c, struct suite_aead *aead, uint8_t kind, uint32_t number,
               const void *plain, size_t len, struct bk_buf *out, struct bk_error *err)
{
    if (len > FRAME_MAX_RAW)
        return bk_fail(err, BK_E_LIMIT, "a frame of %zu bytes passes %u", len, (unsigned)FRAME_MAX_RAW);
    int r = bk_buf_reserve(out, FRAME_HEADER + len + SUITE_TAG, err);
    if (r < 0)
        return r;
    uint8_t *frame = out->data + out->len;
    size_t frame_len = 0;
    r = build(c, aead, kind, number, plain, len, frame, &frame_len, err);
    if (r == 0)
        r = look_back(c, aead, frame, frame_len, plain, len, err);
    if (r < 0)
        return bk_context(err, "seal frame %u", number);
    out->len += frame_len;
    return 0;
}
