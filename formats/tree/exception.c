#include "formats/tree/tree.h"

enum { RECORD_BYTES_MAX = TREE_PATH_MAX + TREE_DETAIL_MAX + 4096 /* the rest, and fields to come */ };

static bool valid(const struct tree_exception *x)
{
    return x->trouble >= TROUBLE_UNREADABLE && x->trouble <= TROUBLE_SKIPPED &&
           !(x->path_len && memchr(x->path, 0, x->path_len));
}

static int put(const struct tree_exception *x, struct bk_buf *b, struct bk_error *err)
{
    int r = bk_buf_u8(b, (uint8_t)x->trouble, err);
    if (r == 0)
        r = bk_buf_varint(b, x->sys, err);
    if (r == 0)
        r = bk_buf_bytes(b, x->path, x->path_len, err);
    return r == 0 ? bk_buf_bytes(b, x->detail, x->detail_len, err) : r;
}

int tree_exception_append(struct bk_buf *b, const struct tree_exception *x, struct bk_error *err)
{
    if (x->path_len > TREE_PATH_MAX || x->detail_len > TREE_DETAIL_MAX)
        return bk_fail(err, BK_E_LIMIT, "an exception with a path of %zu and a detail of %zu bytes",
                       x->path_len, x->detail_len);
    if (!valid(x))
        return bk_fail(err, BK_E_USAGE, "an exception has values out of range");
    bk_auto(bk_buf_clear) struct bk_buf body = BK_BUF(RECORD_BYTES_MAX);
    int r = put(x, &body, err);
    return r == 0 ? bk_buf_bytes(b, body.data, body.len, err) : r;
}

int tree_exception_next(struct bk_reader *r, struct tree_exception *ret, struct bk_error *err)
{
    if (r->p == r->end && !r->bad)
        return 0;
    size_t len;
    const uint8_t *body = bk_read_bytes(r, RECORD_BYTES_MAX, &len);
    if (!body)
        return bk_fail(err, BK_E_CORRUPT, "the list of exceptions is cut short or malformed");
    struct bk_reader in = bk_reader_of(body, len);
    struct tree_exception x = { .trouble = (enum tree_trouble)bk_read_u8(&in) };
    uint64_t sys = bk_read_varint(&in);
    x.sys = (uint32_t)sys;
    x.path = bk_read_bytes(&in, TREE_PATH_MAX, &x.path_len);
    x.detail = bk_read_bytes(&in, TREE_DETAIL_MAX, &x.detail_len);
    if (in.bad || sys > UINT32_MAX || !valid(&x)) {
        r->bad = true;
        return bk_fail(err, BK_E_CORRUPT, "an exception is malformed");
    }
    *ret = x;
    return 1;
}

const char *tree_trouble_text(enum tree_trouble t)
{
    switch (t) {
    case TROUBLE_UNREADABLE:
        return N_("could not be read and is not saved");
    case TROUBLE_VANISHED:
        return N_("vanished before it was read");
    case TROUBLE_CHANGED:
        return N_("changed while it was read");
    case TROUBLE_PARTIAL:
        return N_("could be read in part only");
    case TROUBLE_METADATA:
        return N_("some metadata could not be read");
    case TROUBLE_SKIPPED:
        return N_("is of a kind or size that is not saved");
    }
    return N_("unknown trouble");
}
