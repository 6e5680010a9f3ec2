#include <xxhash.h>

#include "formats/content/page.h"
#include "formats/tree/entry.h"

bool tree_name_valid(const void *name, size_t len)
{
    const char *s = name;
    if (len == 0 || len > TREE_NAME_MAX)
        return false;
    if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
        return false;
    return !memchr(s, '/', len) && !memchr(s, 0, len);
}

bool entry_name_before(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int c = n ? memcmp(a, b, n) : 0;
    return c < 0 || (c == 0 && a_len < b_len);
}

void entry_base(const struct tree_entry *e, struct tree_base *ret)
{
    *ret = (struct tree_base){
        .dev = e->dev,
        .ino = e->ino,
        .mode = e->mode,
        .uid = e->uid,
        .gid = e->gid,
        .flags = e->flags,
        .fsflags = e->fsflags,
        .mtime = e->mtime,
        .ctime = e->ctime,
        .btime = e->flags & TREE_HAS_BTIME ? e->btime : (struct tree_time){ 0 },
    };
}

bool tree_page_ends(const void *name, size_t name_len, size_t n, size_t bytes)
{
    return n >= TREE_PAGE_ENTRIES || bytes > TREE_PAGE_BYTES || XXH3_64bits(name, name_len) % 128 == 0;
}

bool tree_page_full(const struct tree_writer *w)
{
    return w->n && tree_page_ends(w->out->data + w->name_at, w->name_len, w->n, w->out->len - w->start);
}

int tree_page_begin(struct tree_writer *w, struct bk_buf *out, struct bk_error *err)
{
    *w = (struct tree_writer){ .out = out, .start = out->len };
    return page_begin(PAGE_TREE, out, err);
}

static int refuse(const struct tree_writer *w, const struct tree_entry *e, struct bk_error *err)
{
    if (!tree_name_valid(e->name, e->name_len))
        return bk_fail(err, BK_E_USAGE, "a name of %zu bytes is not valid in a tree", e->name_len);
    if (w->n && !entry_name_before(w->out->data + w->name_at, w->name_len, e->name, e->name_len))
        return bk_fail(err, BK_E_USAGE, "tree entries are not in ascending order");
    if (e->link_len > TREE_LINK_MAX || e->xattrs_len > TREE_XATTRS_MAX)
        return bk_fail(err, BK_E_LIMIT, "a link of %zu bytes or extended attributes of %zu bytes",
                       e->link_len, e->xattrs_len);
    if (e->type < TREE_FILE || e->type > TREE_BLOCK || e->mode > 07777 ||
        e->flags & ~(uint32_t)TREE_FLAGS_KNOWN || e->mtime.ns >= 1000000000 || e->ctime.ns >= 1000000000 ||
        (e->flags & TREE_HAS_BTIME && e->btime.ns >= 1000000000) ||
        (e->type == TREE_SYMLINK && e->link_len && memchr(e->link, 0, e->link_len)))
        return bk_fail(err, BK_E_USAGE, "a tree entry has values out of range");
    return 0;
}

static size_t varint_len(size_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

/* The body is written after room for a length of one byte, which nearly every entry has, and moved if it has
 * more. Returns the length's bytes, or a code. */
static int put_entry(struct tree_writer *w, const struct tree_entry *e, struct bk_error *err)
{
    struct bk_buf *out = w->out;
    size_t at = out->len;
    int r = bk_buf_u8(out, 0, err);
    if (r == 0)
        r = entry_put(e, &w->base, out, err);
    if (r < 0)
        return r;
    size_t body = out->len - at - 1;
    if (body > TREE_ENTRY_MAX)
        return bk_fail(err, BK_E_LIMIT, "a tree entry of %zu bytes", body);
    size_t n = varint_len(body);
    uint8_t *spare;
    r = bk_buf_extend(out, n - 1, &spare, err);
    if (r < 0)
        return r;
    if (n > 1)
        memmove(out->data + at + n, out->data + at + 1, body);
    out->len = at;
    r = bk_buf_varint(out, body, err);
    out->len = at + n + body;
    return r < 0 ? r : (int)n;
}

int tree_page_add(struct tree_writer *w, const struct tree_entry *e, struct bk_error *err)
{
    int r = refuse(w, e, err);
    if (r < 0)
        return r;
    size_t at = w->out->len;
    r = put_entry(w, e, err);
    if (r < 0) {
        w->out->len = at;
        return r;
    }
    /* two bytes of the body and the name's length stand before the name */
    w->name_at = at + (size_t)r + 2 + varint_len(e->name_len);
    w->name_len = e->name_len;
    w->n++;
    entry_base(e, &w->base);
    return 0;
}

int tree_page_open(const void *data, size_t len, struct tree_page *ret, struct bk_error *err)
{
    struct tree_page p = { .r = bk_reader_of(data, len) };
    int r = page_open(PAGE_TREE, &p.r, err);
    if (r == 0)
        *ret = p;
    return r;
}

static int fail(struct tree_page *p, int code)
{
    p->r.bad = true;
    return code;
}

int tree_page_next(struct tree_page *p, struct tree_entry *ret, struct bk_error *err)
{
    if (p->r.p == p->r.end && !p->r.bad)
        return 0;
    size_t body_len;
    const uint8_t *body = bk_read_bytes(&p->r, TREE_ENTRY_MAX, &body_len);
    if (!body)
        return fail(p, bk_fail(err, BK_E_CORRUPT, "a tree page is cut short or malformed"));
    struct bk_reader r = bk_reader_of(body, body_len);
    int rc = entry_get(&r, &p->base, ret, err);
    if (rc < 0)
        return fail(p, rc);
    if (p->prev && !entry_name_before(p->prev, p->prev_len, ret->name, ret->name_len))
        return fail(p, bk_fail(err, BK_E_CORRUPT, "tree entries are not in ascending order"));
    p->prev = ret->name;
    p->prev_len = ret->name_len;
    entry_base(ret, &p->base);
    return 1;
}
