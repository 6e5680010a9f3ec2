#include "formats/snapshot/tlv.h"

int tlv_text(const uint8_t *p, size_t n, char **ret, struct bk_error *err)
{
    if (n && memchr(p, 0, n))
        return bk_fail(err, BK_E_CORRUPT, "a text holds a NUL byte");
    char *s = malloc(n + 1);
    if (!s)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu bytes", n);
    if (n)
        memcpy(s, p, n);
    s[n] = '\0';
    *ret = s;
    return 0;
}

void *tlv_grow(void *v, size_t n, size_t max, size_t size, struct bk_error *err, int *ret_code)
{
    *ret_code = 0;
    if (n >= max) {
        *ret_code = bk_fail(err, BK_E_LIMIT, "more than %zu elements", max);
        return v;
    }
    if ((n & (n - 1)) == 0) { /* 0 or a power of two: full */
        void *more = reallocarray(v, n ? 2 * n : 1, size);
        if (!more) {
            *ret_code = bk_fail(err, BK_E_NOMEM, "no memory for %zu elements", n + 1);
            return v;
        }
        v = more;
    }
    memset((uint8_t *)v + n * size, 0, size);
    return v;
}

static int get_list(const uint8_t *p, size_t n, struct snapshot_list *l, struct bk_error *err)
{
    bk_auto(free) char *s = NULL;
    int r = tlv_text(p, n, &s, err);
    return r == 0 ? snapshot_list_add(l, s, err) : r;
}

/* An enum's value: one past max is from a newer version. */
static int get_enum(struct bk_reader *r, size_t max, uint8_t *at, struct bk_error *err)
{
    uint64_t v = bk_read_varint(r);
    if (v > max)
        return bk_fail(err, BK_E_VERSION, "the value %llu is not known", (unsigned long long)v);
    if (v == 0)
        r->bad = true;
    uint32_t u32 = (uint32_t)v;
    memcpy(at, &u32, sizeof u32);
    return 0;
}

static int get_text(struct bk_reader *r, size_t max, uint8_t *at, struct bk_error *err)
{
    size_t n = bk_reader_left(r);
    if (n > max)
        return bk_fail(err, BK_E_CORRUPT, "a text of %zu bytes where %zu fit", n, max);
    char *s;
    int rc = tlv_text(bk_read_raw(r, n), n, &s, err);
    if (rc == 0)
        memcpy(at, &s, sizeof s);
    return rc;
}

static void get_number(struct bk_reader *r, const struct tlv_field *f, uint8_t *at)
{
    uint64_t v = f->type == TLV_S64 ? (uint64_t)bk_read_svarint(r) : bk_read_varint(r);
    uint32_t u32 = (uint32_t)v;
    if ((f->type == TLV_U32 && v > UINT32_MAX) || (f->type == TLV_BOOL && v > 1))
        r->bad = true;
    else if (f->type == TLV_U32)
        memcpy(at, &u32, sizeof u32);
    else if (f->type == TLV_BOOL)
        *(bool *)at = v != 0;
    else
        memcpy(at, &v, sizeof v);
}

static int get_value(const struct tlv_field *f, struct bk_reader *r, void *of, struct bk_error *err)
{
    uint8_t *at = (uint8_t *)of + f->at;
    const uint8_t *p;
    size_t n = bk_reader_left(r);
    switch (f->type) {
    case TLV_ID:
        p = bk_read_raw(r, SESSION_ID);
        if (p)
            memcpy(at, p, SESSION_ID);
        return 0;
    case TLV_U64:
    case TLV_U32:
    case TLV_S64:
    case TLV_BOOL:
        get_number(r, f, at);
        return 0;
    case TLV_ENUM:
        return get_enum(r, f->max, at, err);
    case TLV_TEXT:
        return get_text(r, f->max, at, err);
    case TLV_LIST:
        if (n > f->max)
            return bk_fail(err, BK_E_CORRUPT, "a text of %zu bytes where %zu fit", n, f->max);
        return get_list(bk_read_raw(r, n), n, (struct snapshot_list *)(void *)at, err);
    case TLV_EACH:
        return f->get(r, of, err);
    }
    return 0;
}

static const struct tlv_field *find(const struct tlv_field *fields, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (fields[i].number == number)
            return &fields[i];
    return NULL;
}

/* One field of the record. seen: a bit per number. */
static int get_field(const struct tlv_field *fields, size_t n, struct bk_reader *in, uint64_t *seen, void *of,
                     struct bk_error *err)
{
    uint64_t number = bk_read_varint(in);
    size_t len;
    const uint8_t *value = bk_read_bytes(in, SIZE_MAX, &len); /* borrowed: bounded by the record */
    if (!value)
        return bk_fail(err, BK_E_CORRUPT, "a field is cut short or malformed");
    const struct tlv_field *f = find(fields, n, number);
    if (!f)
        return number & 1 ? bk_fail(err, BK_E_VERSION, "the field %llu is not known and may not be skipped",
                                    (unsigned long long)number)
                          : 0;
    bool list = f->type == TLV_LIST || f->type == TLV_EACH;
    if (!list && *seen >> number & 1)
        return bk_fail(err, BK_E_CORRUPT, "the field %u is there twice", f->number);
    *seen |= UINT64_C(1) << number;

    struct bk_reader r = bk_reader_of(value, len);
    int rc = get_value(f, &r, of, err);
    if (rc == 0)
        rc = bk_reader_end(&r, N_("its value"), err);
    if (rc == BK_E_LIMIT)
        rc = bk_fail(err, BK_E_CORRUPT, "it has too many elements");
    if (rc < 0)
        bk_context(err, "field %u", f->number);
    return rc;
}

/* After the last field: what must be there, and the defaults that own memory. */
static int complete(const struct tlv_field *fields, size_t n, uint64_t seen, void *of, struct bk_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct tlv_field *f = &fields[i];
        if (seen >> f->number & 1)
            continue;
        if (f->mandatory)
            return bk_fail(err, BK_E_CORRUPT, "the field %u is missing", f->number);
        struct bk_reader none = bk_reader_of("", 0);
        int r = f->type == TLV_TEXT ? get_text(&none, 0, (uint8_t *)of + f->at, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int tlv_decode(const struct tlv_field *fields, size_t n, const char *what, const void *data, size_t len,
               void *of, struct bk_error *err)
{
    struct bk_reader in = bk_reader_of(data, len);
    uint64_t seen = 0;
    int r = 0;
    while (r == 0 && in.p != in.end)
        r = get_field(fields, n, &in, &seen, of, err);
    if (r == 0)
        r = complete(fields, n, seen, of, err);
    if (r < 0)
        bk_context(err, "read %s", bk_text(what));
    return r;
}
