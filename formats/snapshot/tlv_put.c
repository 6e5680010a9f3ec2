#include "formats/snapshot/tlv.h"

enum { VALUE_MAX = 128 << 10 /* bytes of one value */ };

int tlv_put_text(const char *s, size_t max, struct bk_buf *out, struct bk_error *err)
{
    size_t n = s ? strlen(s) : 0;
    if (n > max)
        return bk_fail(err, BK_E_LIMIT, "a text of %zu bytes where %zu fit", n, max);
    return bk_buf_append(out, s, n, err);
}

static int put_enum(uint32_t v, size_t max, struct bk_buf *out, struct bk_error *err)
{
    if (v == 0 || v > max)
        return bk_fail(err, BK_E_USAGE, "the value %u is out of range", v);
    return bk_buf_varint(out, v, err);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* The value of a scalar; nothing when it is the default. */
static int put_scalar(const struct tlv_field *f, const uint8_t *at, struct bk_buf *out, struct bk_error *err)
{
    uint64_t u64;
    uint32_t u32;
    char *text;
    switch (f->type) {
    case TLV_ID:
        return is_zero(at, SESSION_ID) && !f->mandatory ? 0 : bk_buf_append(out, at, SESSION_ID, err);
    case TLV_U64:
    case TLV_S64:
        memcpy(&u64, at, sizeof u64);
        if (u64 == 0 && !f->mandatory)
            return 0;
        return f->type == TLV_U64 ? bk_buf_varint(out, u64, err) : bk_buf_svarint(out, (int64_t)u64, err);
    case TLV_U32:
    case TLV_ENUM:
        memcpy(&u32, at, sizeof u32);
        if (f->type == TLV_ENUM)
            return put_enum(u32, f->max, out, err);
        return u32 == 0 && !f->mandatory ? 0 : bk_buf_varint(out, u32, err);
    case TLV_BOOL:
        return *(const bool *)at ? bk_buf_u8(out, 1, err) : 0;
    case TLV_TEXT:
        memcpy(&text, at, sizeof text);
        return tlv_put_text(text, f->max, out, err);
    case TLV_LIST:
    case TLV_EACH:
        break;
    }
    return 0;
}

static int put_value(unsigned number, const struct bk_buf *value, struct bk_buf *out, struct bk_error *err)
{
    int r = bk_buf_varint(out, number, err);
    return r == 0 ? bk_buf_bytes(out, value->data, value->len, err) : r;
}

static size_t count(const struct tlv_field *f, const void *of)
{
    if (f->type == TLV_LIST)
        return ((const struct snapshot_list *)(const void *)((const uint8_t *)of + f->at))->n;
    return f->type == TLV_EACH ? f->count(of) : 1;
}

static int put_one(const struct tlv_field *f, const void *of, size_t i, struct bk_buf *value,
                   struct bk_error *err)
{
    const uint8_t *at = (const uint8_t *)of + f->at;
    if (f->type == TLV_LIST)
        return tlv_put_text(((const struct snapshot_list *)(const void *)at)->v[i], f->max, value, err);
    return f->type == TLV_EACH ? f->put(of, i, value, err) : put_scalar(f, at, value, err);
}

static int put_field(const struct tlv_field *f, const void *of, struct bk_buf *value, struct bk_buf *out,
                     struct bk_error *err)
{
    size_t n = count(f, of);
    size_t max = f->type == TLV_EACH ? f->max : SNAPSHOT_LIST_MAX;
    if (n > max)
        return bk_fail(err, BK_E_LIMIT, "%zu elements where %zu fit", n, max);
    bool list = f->type == TLV_LIST || f->type == TLV_EACH;
    for (size_t i = 0; i < n; i++) {
        value->len = 0;
        int r = put_one(f, of, i, value, err);
        if (r == 0 && (list || value->len))
            r = put_value(f->number, value, out, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int tlv_encode(const struct tlv_field *fields, size_t n, const char *what, const void *of, struct bk_buf *out,
               struct bk_error *err)
{
    size_t before = out->len;
    bk_auto(bk_buf_clear) struct bk_buf value = BK_BUF(VALUE_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = put_field(&fields[i], of, &value, out, err);
        if (r < 0) {
            out->len = before;
            bk_context(err, "write %s, field %u", bk_text(what), fields[i].number);
            return r;
        }
    }
    return 0;
}
