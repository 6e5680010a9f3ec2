#include "formats/object/record.h"

#include <stdbool.h>

#include <zstd.h>

#include "formats/base/wire.h"

enum { CODEC_RAW = 0, CODEC_ZSTD = 1 };
enum { ZSTD_LEVEL = 3, ZSTD_HEAD = 1 + 4, SMALLEST_WORTH_ZSTD = 128 };
enum { OVERHEAD = RECORD_FIXED + SUITE_TAG + SUITE_HASH };

/* Secrets pass through these buffers: wiped, not only freed. */
static void secret_clear(struct bk_buf *b)
{
    if (b->data)
        suite_wipe(b->data, b->cap);
    bk_buf_clear(b);
}
BK_AUTO_CLEAR(struct bk_buf, secret_clear)

static int append_raw(struct bk_buf *plain, const void *payload, size_t len, struct bk_error *err)
{
    int r = bk_buf_reserve(plain, len + 1, err);
    if (r == 0)
        r = bk_buf_u8(plain, CODEC_RAW, err);
    return r < 0 ? r : bk_buf_append(plain, payload, len, err);
}

/* codec byte and body: compressed when that is smaller */
static int pack_payload(const void *payload, size_t len, bool compress, struct bk_buf *plain,
                        struct bk_error *err)
{
    if (!compress || len < SMALLEST_WORTH_ZSTD)
        return append_raw(plain, payload, len, err);

    int r = bk_buf_reserve(plain, ZSTD_HEAD + ZSTD_compressBound(len), err);
    if (r < 0)
        return r;
    size_t n = ZSTD_compress(plain->data + ZSTD_HEAD, plain->cap - ZSTD_HEAD, payload, len, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return bk_fail(err, BK_E_FAILED, "compress a record: %s", ZSTD_getErrorName(n));
    if (n + ZSTD_HEAD >= len + 1)
        return append_raw(plain, payload, len, err);
    plain->data[0] = CODEC_ZSTD;
    bk_put_u32(plain->data + 1, (uint32_t)len);
    plain->len = ZSTD_HEAD + n;
    return 0;
}

static int unpack_payload(const uint8_t *plain, size_t len, struct bk_buf *out, struct bk_error *err)
{
    struct bk_reader in = bk_reader_of(plain, len);
    unsigned codec = bk_read_u8(&in);
    if (!in.bad && codec == CODEC_RAW)
        return bk_buf_append(out, plain + 1, len - 1, err);

    uint32_t raw_len = bk_read_u32(&in);
    if (in.bad)
        return bk_fail(err, BK_E_CORRUPT, "the payload is cut short");
    if (codec != CODEC_ZSTD)
        return bk_fail(err, BK_E_VERSION,
                       "the payload is packed by a method that this program does not know (%u)", codec);
    if (raw_len > RECORD_MAX)
        return bk_fail(err, BK_E_LIMIT, "the payload claims %u bytes", raw_len);
    uint8_t *p;
    size_t before = out->len;
    int r = bk_buf_extend(out, raw_len, &p, err);
    if (r < 0)
        return r;
    size_t n = ZSTD_decompress(p, raw_len, in.p, bk_reader_left(&in));
    if (ZSTD_isError(n) || n != raw_len) {
        out->len = before;
        return bk_fail(err, BK_E_CORRUPT, "the payload does not unpack");
    }
    return 0;
}

/* The associated data: all before the ciphertext, then the name. */
struct binding {
    uint8_t bytes[RECORD_FIXED + RECORD_NAME_MAX];
    size_t len;
};

static int bind(struct binding *b, const uint8_t *fixed, const char *name, struct bk_error *err)
{
    size_t n = strlen(name);
    if (n == 0 || n > RECORD_NAME_MAX)
        return bk_fail(err, BK_E_USAGE, "an object's name has 1 to %d bytes", RECORD_NAME_MAX);
    memcpy(b->bytes, fixed, RECORD_FIXED);
    memcpy(b->bytes + RECORD_FIXED, name, n);
    b->len = RECORD_FIXED + n;
    return 0;
}

static int seal_plain(const struct object_header *h, uint32_t epoch, const uint8_t *salt, const uint8_t *key,
                      const char *name, const struct bk_buf *plain, struct bk_buf *out, struct bk_error *err)
{
    if (plain->len > RECORD_MAX - OVERHEAD)
        return bk_fail(err, BK_E_LIMIT, "the record would pass %d bytes", RECORD_MAX);

    uint8_t fixed[RECORD_FIXED];
    size_t sealed = plain->len + SUITE_TAG;
    object_header_encode(h, fixed);
    bk_put_u32(fixed + OBJECT_HEADER, epoch);
    memcpy(fixed + OBJECT_HEADER + 4, salt, RECORD_SALT);
    bk_put_u32(fixed + OBJECT_HEADER + 4 + RECORD_SALT, (uint32_t)sealed);
    struct binding aad;
    int r = bind(&aad, fixed, name, err);
    if (r < 0)
        return r;

    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    r = suite_aead_new(h->suite, key, &a, err);
    if (r < 0)
        return r;
    uint8_t *p;
    size_t before = out->len;
    r = bk_buf_extend(out, RECORD_FIXED + sealed + SUITE_HASH, &p, err);
    if (r < 0)
        return r;
    memcpy(p, fixed, RECORD_FIXED);
    r = suite_aead_seal(a, 0, aad.bytes, aad.len, plain->data, plain->len, p + RECORD_FIXED, err);
    if (r == 0)
        r = suite_hash(h->suite, p, RECORD_FIXED + sealed, p + RECORD_FIXED + sealed, err);
    if (r < 0)
        out->len = before;
    return r;
}

int record_seal(const struct keyring *k, enum object_kind kind, const char *name,
                const uint8_t random[static RECORD_SALT], const void *payload, size_t len, struct bk_buf *out,
                struct bk_error *err)
{
    if (len > RECORD_MAX)
        return bk_fail(err, BK_E_LIMIT, "a payload of %zu bytes is too long for a record", len);
    bk_auto(secret_clear) struct bk_buf plain = BK_BUF(ZSTD_HEAD + ZSTD_COMPRESSBOUND((size_t)RECORD_MAX));
    int r = pack_payload(payload, len, true, &plain, err);
    if (r < 0) {
        bk_context(err, "seal %s", name);
        return r;
    }

    const struct object_header h = { .kind = kind, .version = RECORD_VERSION, .suite = k->suite };
    uint32_t epoch = k->n_epochs - 1;
    uint8_t key[SUITE_KEY];
    r = keyring_object_key(k, epoch, random, "record", key, err);
    if (r == 0)
        r = seal_plain(&h, epoch, random, key, name, &plain, out, err);
    suite_wipe(key, sizeof key);
    if (r < 0)
        bk_context(err, "seal %s", name);
    return r;
}

int record_seal_kek(enum suite_id suite, const uint8_t kek[static SUITE_KEY], enum object_kind kind,
                    const char *name, const uint8_t random[static RECORD_SALT], const void *payload,
                    size_t len, struct bk_buf *out, struct bk_error *err)
{
    if (len > RECORD_MAX)
        return bk_fail(err, BK_E_LIMIT, "a payload of %zu bytes is too long for a record", len);
    bk_auto(secret_clear) struct bk_buf plain = BK_BUF((size_t)RECORD_MAX + 1);
    int r = pack_payload(payload, len, false, &plain, err);
    if (r < 0) {
        bk_context(err, "seal %s", name);
        return r;
    }

    const struct object_header h = { .kind = kind, .version = RECORD_VERSION, .suite = suite };
    uint8_t key[SUITE_KEY];
    r = suite_hkdf(suite, kek, SUITE_KEY, random, RECORD_SALT, "record", key, sizeof key, err);
    if (r == 0)
        r = seal_plain(&h, RECORD_EPOCH_KEK, random, key, name, &plain, out, err);
    suite_wipe(key, sizeof key);
    if (r < 0)
        bk_context(err, "seal %s", name);
    return r;
}

/* Lengths agree and the digest fits; the header was decoded already. */
static int check_frame(enum suite_id suite, const uint8_t *p, size_t len, struct bk_error *err)
{
    if (len > RECORD_MAX)
        return bk_fail(err, BK_E_LIMIT, "a record of %zu bytes is too long", len);
    if (len < OVERHEAD || bk_get_u32(p + RECORD_FIXED - 4) != len - RECORD_FIXED - SUITE_HASH)
        return bk_fail(err, BK_E_CORRUPT, "the record's length is wrong");
    uint8_t digest[SUITE_HASH];
    int r = suite_hash(suite, p, len - SUITE_HASH, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, p + len - SUITE_HASH, SUITE_HASH) != 0)
        return bk_fail(err, BK_E_CORRUPT, "the record fails its digest");
    return 0;
}

int record_check(const void *data, size_t len, struct object_header *ret, struct bk_error *err)
{
    unsigned kind = object_peek_kind(data, len);
    if (!kind || kind == OBJECT_CONFIG || kind == OBJECT_SLOT || kind == OBJECT_PACK)
        return bk_fail(err, BK_E_CORRUPT, "this is no record");
    struct object_header h;
    int r = object_header_decode(data, len, kind, RECORD_VERSION, &h, err);
    if (r == 0)
        r = check_frame(h.suite, data, len, err);
    if (r == 0)
        *ret = h;
    return r;
}

static int check_whole(enum suite_id suite, enum object_kind kind, const void *data, size_t len,
                       struct bk_error *err)
{
    struct object_header h;
    int r = object_header_decode(data, len, kind, RECORD_VERSION, &h, err);
    if (r < 0)
        return r;
    if (h.suite != suite)
        return bk_fail(err, BK_E_CORRUPT, "the record is sealed with suite %s, the repository uses %s",
                       suite_name(h.suite), suite_name(suite));
    return check_frame(suite, data, len, err);
}

static int open_sealed(enum suite_id suite, const uint8_t *key, const char *name, const uint8_t *p,
                       size_t len, struct bk_buf *payload, struct bk_error *err)
{
    size_t sealed = len - RECORD_FIXED - SUITE_HASH;
    struct binding aad;
    int r = bind(&aad, p, name, err);
    if (r < 0)
        return r;
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    r = suite_aead_new(suite, key, &a, err);
    if (r < 0)
        return r;
    bk_auto(secret_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    uint8_t *out;
    r = bk_buf_extend(&plain, sealed, &out, err);
    if (r == 0)
        r = suite_aead_open(a, 0, aad.bytes, aad.len, p + RECORD_FIXED, sealed, out, err);
    if (r == 0)
        r = unpack_payload(out, sealed - SUITE_TAG, payload, err);
    return r;
}

int record_open(const struct keyring *k, enum object_kind kind, const char *name, const void *data,
                size_t len, struct bk_buf *payload, struct bk_error *err)
{
    const uint8_t *p = data;
    int r = check_whole(k->suite, kind, data, len, err);
    if (r < 0) {
        bk_context(err, "open %s", name);
        return r;
    }
    uint8_t key[SUITE_KEY];
    r = keyring_object_key(k, bk_get_u32(p + OBJECT_HEADER), p + OBJECT_HEADER + 4, "record", key, err);
    if (r == 0)
        r = open_sealed(k->suite, key, name, p, len, payload, err);
    suite_wipe(key, sizeof key);
    if (r < 0)
        bk_context(err, "open %s", name);
    return r;
}

int record_open_kek(enum suite_id suite, const uint8_t kek[static SUITE_KEY], enum object_kind kind,
                    const char *name, const void *data, size_t len, struct bk_buf *payload,
                    struct bk_error *err)
{
    const uint8_t *p = data;
    int r = check_whole(suite, kind, data, len, err);
    if (r < 0) {
        bk_context(err, "open %s", name);
        return r;
    }
    if (bk_get_u32(p + OBJECT_HEADER) != RECORD_EPOCH_KEK)
        return bk_fail(err, BK_E_CORRUPT, "open %s: it is not sealed under the key-encryption key", name);
    uint8_t key[SUITE_KEY];
    r = suite_hkdf(suite, kek, SUITE_KEY, p + OBJECT_HEADER + 4, RECORD_SALT, "record", key, sizeof key, err);
    if (r == 0)
        r = open_sealed(suite, key, name, p, len, payload, err);
    suite_wipe(key, sizeof key);
    /* its digest fits, so the bytes are what was written: it is the key that is another one */
    if (r == BK_E_CORRUPT)
        return bk_fail(err, BK_E_AUTH, "the key does not open %s", name);
    if (r < 0)
        bk_context(err, "open %s", name);
    return r;
}
