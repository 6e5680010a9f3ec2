#include <stdbool.h>

#include "formats/base/wire.h"
#include "formats/crypto/slot_parts.h"
#include "formats/object/object.h"

enum { SLOT_VERSION = 1, SLOT_FIXED = SLOT_ID + 1 + 1 + 8 + 3 * 4 + SLOT_SALT + 32 };

size_t slot_public_len(enum slot_kind kind)
{
    return kind == SLOT_X25519 ? 32 : kind == SLOT_SM2 ? 65 : 0;
}

static void put_fixed(const struct slot *s, uint8_t *p)
{
    memcpy(p, s->id, SLOT_ID);
    p += SLOT_ID;
    *p++ = (uint8_t)s->kind;
    *p++ = (uint8_t)s->kdf;
    bk_put_u64(p, s->created_s);
    bk_put_u32(p + 8, s->kdf_memory_kib);
    bk_put_u32(p + 12, s->kdf_passes);
    bk_put_u32(p + 16, s->kdf_lanes);
    memcpy(p + 20, s->salt, SLOT_SALT);
    memcpy(p + 20 + SLOT_SALT, s->ephemeral, sizeof s->ephemeral);
}

int slot_encode_fields(const struct slot *s, struct bk_buf *out, struct bk_error *err)
{
    const struct object_header h = {
        .kind = OBJECT_SLOT, .version = SLOT_VERSION, .optional = s->optional, .suite = s->suite
    };
    size_t before = out->len;
    uint8_t *p;
    int r = bk_buf_extend(out, OBJECT_HEADER + SLOT_FIXED, &p, err);
    if (r < 0)
        return r;
    object_header_encode(&h, p);
    put_fixed(s, p + OBJECT_HEADER);
    r = bk_buf_bytes(out, s->public_key, s->public_key_len, err);
    if (r == 0)
        r = bk_buf_bytes(out, s->label, strlen(s->label), err);
    if (r < 0)
        out->len = before;
    return r;
}

int slot_encode(const struct slot *s, struct bk_buf *out, struct bk_error *err)
{
    size_t before = out->len;
    uint8_t digest[SUITE_HASH];
    int r = slot_encode_fields(s, out, err);
    if (r == 0)
        r = bk_buf_bytes(out, s->wrapped, s->wrapped_len, err);
    if (r == 0)
        r = suite_hash(s->suite, out->data + before, out->len - before, digest, err);
    if (r == 0)
        r = bk_buf_append(out, digest, sizeof digest, err);
    if (r < 0)
        out->len = before;
    return r;
}

static void read_into(struct bk_reader *in, uint8_t *out, size_t n)
{
    const uint8_t *p = bk_read_raw(in, n);
    if (p)
        memcpy(out, p, n);
}

static void read_bytes_into(struct bk_reader *in, void *out, size_t ceiling, size_t *ret_len)
{
    const uint8_t *p = bk_read_bytes(in, ceiling, ret_len);
    if (p)
        memcpy(out, p, *ret_len);
}

static void read_fields(struct bk_reader *in, struct slot *s)
{
    size_t label;
    read_into(in, s->id, SLOT_ID);
    s->kind = bk_read_u8(in);
    s->kdf = bk_read_u8(in);
    s->created_s = bk_read_u64(in);
    s->kdf_memory_kib = bk_read_u32(in);
    s->kdf_passes = bk_read_u32(in);
    s->kdf_lanes = bk_read_u32(in);
    read_into(in, s->salt, SLOT_SALT);
    read_into(in, s->ephemeral, sizeof s->ephemeral);
    read_bytes_into(in, s->public_key, sizeof s->public_key, &s->public_key_len);
    read_bytes_into(in, s->label, SLOT_LABEL_MAX, &label);
    if (memchr(s->label, 0, label))
        in->bad = true;
    read_bytes_into(in, s->wrapped, SLOT_WRAPPED_MAX, &s->wrapped_len);
}

static bool zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* Fields that a kind does not use are zero: one slot has one encoding. */
static int check_kind(const struct slot *s, struct bk_error *err)
{
    if (s->kind < SLOT_PASSPHRASE || s->kind > SLOT_SM2)
        return bk_fail(err, BK_E_VERSION, "this key slot is of a kind that this program does not know (%u)",
                       (unsigned)s->kind);
    bool unused_zero = s->kind == SLOT_X25519 || zero(s->ephemeral, sizeof s->ephemeral);
    if (s->kind != SLOT_PASSPHRASE)
        unused_zero = unused_zero && !s->kdf && !s->kdf_memory_kib && !s->kdf_passes && !s->kdf_lanes;
    if (!unused_zero || s->public_key_len != slot_public_len(s->kind) || s->wrapped_len == 0)
        return bk_fail(err, BK_E_CORRUPT, "the fields of this key slot contradict its kind");
    return s->kind == SLOT_PASSPHRASE ? slot_kdf_check(s, err) : 0;
}

int slot_decode(const void *data, size_t len, struct slot *ret, struct bk_error *err)
{
    struct object_header h;
    int r = object_header_decode(data, len, OBJECT_SLOT, SLOT_VERSION, &h, err);
    if (r < 0)
        return r;
    if (len < OBJECT_HEADER + SLOT_FIXED + SUITE_HASH)
        return bk_fail(err, BK_E_CORRUPT, "the key slot is cut short");
    uint8_t digest[SUITE_HASH];
    size_t body = len - SUITE_HASH;
    r = suite_hash(h.suite, data, body, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, (const uint8_t *)data + body, SUITE_HASH) != 0)
        return bk_fail(err, BK_E_CORRUPT, "the key slot fails its digest");

    struct slot s = { .suite = h.suite, .optional = h.optional };
    struct bk_reader in = bk_reader_of((const uint8_t *)data + OBJECT_HEADER, body - OBJECT_HEADER);
    read_fields(&in, &s);
    r = bk_reader_end(&in, N_("key slot"), err);
    if (r == 0)
        r = check_kind(&s, err);
    if (r == 0)
        *ret = s;
    return r;
}
