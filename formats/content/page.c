#include "formats/content/page.h"

enum { /* the first byte of an extent */
       HEAD_KIND = 0x03,
       HEAD_OFF = 0x04,  /* DATA: the offset follows; else it is 0 */
       HEAD_REST = 0x08, /* no length: what is left of the content */
       HEAD_KNOWN = 0x0f,
};

int page_begin(enum page_kind kind, struct bk_buf *out, struct bk_error *err)
{
    const uint8_t header[PAGE_HEADER] = { (uint8_t)kind, PAGE_VERSION, 0 };
    return bk_buf_append(out, header, sizeof header, err);
}

int page_open(enum page_kind kind, struct bk_reader *r, struct bk_error *err)
{
    const uint8_t *h = bk_read_raw(r, PAGE_HEADER);
    if (!h || h[0] != (uint8_t)kind || h[1] == 0) {
        r->bad = true;
        return bk_fail(err, BK_E_CORRUPT, "not a metadata page of the kind '%c'", (int)kind);
    }
    if (h[1] > PAGE_VERSION || h[2]) {
        r->bad = true;
        return bk_fail(err, BK_E_VERSION, "metadata page '%c' has version %u and flags 0x%02x", (int)kind,
                       h[1], h[2]);
    }
    return 0;
}

const char *extent_check(const struct extent *x)
{
    if (x->len == 0)
        return N_("an extent is empty");
    if (x->len > CONTENT_SIZE_MAX)
        return N_("an extent is too long");
    if (x->kind == EXTENT_DATA)
        return x->len > CHUNK_MAX || x->off > CHUNK_MAX - x->len ? N_("an extent passes the end of any chunk")
                                                                 : NULL;
    if (x->kind == EXTENT_HOLE || x->kind == EXTENT_ZERO)
        return NULL;
    return N_("an extent is of an unknown kind");
}

int extent_put(const struct extent *x, bool rest, struct bk_buf *out, struct bk_error *err)
{
    bool data = x->kind == EXTENT_DATA;
    bool off = data && x->off;
    unsigned head = (unsigned)x->kind | (off ? HEAD_OFF : 0) | (rest ? HEAD_REST : 0);
    int r = bk_buf_u8(out, (uint8_t)head, err);
    if (r == 0 && !rest)
        r = bk_buf_varint(out, x->len, err);
    if (r == 0 && off)
        r = bk_buf_varint(out, x->off, err);
    if (r == 0 && data)
        r = bk_buf_append(out, x->id.b, CHUNK_ID, err);
    return r;
}

bool extent_get(struct bk_reader *r, uint64_t rest, struct extent *ret)
{
    unsigned head = bk_read_u8(r);
    uint64_t len = head & HEAD_REST ? rest : bk_read_varint(r);
    uint64_t off = head & HEAD_OFF ? bk_read_varint(r) : 0;
    *ret = (struct extent){ .len = len, .kind = (enum extent_kind)(head & HEAD_KIND) };
    if (ret->kind == EXTENT_DATA) {
        const uint8_t *id = bk_read_raw(r, CHUNK_ID);
        if (id)
            memcpy(ret->id.b, id, CHUNK_ID);
    } else if (head & HEAD_OFF) {
        r->bad = true;
    }
    if (head & ~(unsigned)HEAD_KNOWN || off > CHUNK_MAX)
        r->bad = true;
    else
        ret->off = (uint32_t)off;
    if (r->bad || extent_check(ret))
        r->bad = true;
    return !r->bad;
}
