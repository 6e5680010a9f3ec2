#include "formats/tree/entry.h"

static uint32_t read_u32(struct bk_reader *r, uint64_t max)
{
    uint64_t v = bk_read_varint(r);
    if (v > max)
        r->bad = true;
    return (uint32_t)v;
}

static uint64_t read_difference(struct bk_reader *r, uint64_t base)
{
    return base + (uint64_t)bk_read_svarint(r);
}

/* like: the value of TIME_LIKE; base: of TIME_BASE, unless base_ok says that there is no such way, and what a
 * difference starts from */
static struct tree_time read_time(struct bk_reader *r, unsigned how, const struct tree_time *like,
                                  const struct tree_time *base, bool base_ok)
{
    if (how == TIME_LIKE)
        return *like;
    if (how == TIME_BASE) {
        if (!base_ok)
            r->bad = true;
        return *base;
    }
    struct tree_time t = { .s = (int64_t)read_difference(r, (uint64_t)base->s) };
    if (how == TIME_FULL) {
        t.ns = bk_read_u32(r);
        if (t.ns >= 1000000000)
            r->bad = true;
    }
    return t;
}

static void read_times(struct bk_reader *r, unsigned first, unsigned same, const struct tree_base *base,
                       struct tree_entry *e)
{
    static const struct tree_time none = { 0 };
    unsigned b = same >> ENTRY_BTIME_SHIFT & 3;
    e->mtime = read_time(r, first >> ENTRY_MTIME_SHIFT & 3, &base->mtime, &base->mtime, false);
    e->ctime = read_time(r, first >> ENTRY_CTIME_SHIFT & 3, &e->mtime, &base->ctime, true);
    if (!(e->flags & TREE_HAS_BTIME) && b != TIME_LIKE)
        r->bad = true;
    e->btime = read_time(r, b, e->flags & TREE_HAS_BTIME ? &e->ctime : &none, &base->btime, true);
}

static void read_same(struct bk_reader *r, unsigned same, const struct tree_base *base, struct tree_entry *e)
{
    e->mode = same & ENTRY_SAME_MODE ? base->mode : read_u32(r, 07777);
    if (same & ENTRY_SAME_OWNER) {
        e->uid = base->uid;
        e->gid = base->gid;
    } else {
        e->uid = read_u32(r, UINT32_MAX);
        e->gid = read_u32(r, UINT32_MAX);
    }
    e->dev = same & ENTRY_SAME_DEV ? base->dev : bk_read_varint(r);
    if (same & ENTRY_SAME_FLAGS) {
        e->flags = base->flags;
        e->fsflags = base->fsflags;
    } else {
        e->flags = read_u32(r, UINT32_MAX);
        e->fsflags = read_u32(r, UINT32_MAX);
    }
}

static int read_payload(struct bk_reader *r, struct tree_entry *e, struct bk_error *err)
{
    switch (e->type) {
    case TREE_FILE:
        return content_decode(r, &e->content, err);
    case TREE_DIR:
        return tree_dir_decode(r, &e->dir, err);
    case TREE_SYMLINK:
        e->link = bk_read_bytes(r, TREE_LINK_MAX, &e->link_len);
        if (e->link && memchr(e->link, 0, e->link_len))
            r->bad = true;
        return 0;
    case TREE_CHAR:
    case TREE_BLOCK:
        e->rdev_major = read_u32(r, UINT32_MAX);
        e->rdev_minor = read_u32(r, UINT32_MAX);
        return 0;
    case TREE_FIFO:
    case TREE_SOCKET:
        return 0;
    }
    r->bad = true; /* type 0 */
    return 0;
}

/* Everything but the extents: they are 400 bytes that n_inline keeps out of sight, and this runs for every
 * entry of every unchanged run. */
static void clear(struct tree_entry *e)
{
    e->link = e->xattrs = NULL;
    e->link_len = e->xattrs_len = 0;
    e->rdev_major = e->rdev_minor = 0;
    e->content.size = 0;
    e->content.depth = e->content.n_inline = 0;
    e->content.root = (chunk_id){ { 0 } };
    e->dir = (struct tree_dir){ 0 };
}

int entry_get(struct bk_reader *r, const struct tree_base *base, struct tree_entry *ret, struct bk_error *err)
{
    clear(ret);
    unsigned first = bk_read_u8(r);
    unsigned same = bk_read_u8(r);
    if (first & ENTRY_RESERVED)
        return bk_fail(err, BK_E_VERSION, "a tree entry uses a newer encoding");
    ret->type = (enum tree_type)(first & ENTRY_TYPE);
    ret->name = bk_read_bytes(r, TREE_NAME_MAX, &ret->name_len);
    read_same(r, same, base, ret);
    if (ret->flags & ~(uint32_t)TREE_FLAGS_KNOWN && !r->bad)
        return bk_fail(err, BK_E_VERSION, "a tree entry has unknown flags 0x%x", ret->flags);
    ret->ino = read_difference(r, base->ino);
    read_times(r, first, same, base, ret);
    ret->nlink = same & ENTRY_ONE_LINK ? 1 : bk_read_varint(r);
    if (same & ENTRY_XATTRS) {
        ret->xattrs = bk_read_bytes(r, TREE_XATTRS_MAX, &ret->xattrs_len);
        if (ret->xattrs_len == 0)
            r->bad = true;
    }
    int rc = read_payload(r, ret, err);
    if (rc < 0)
        return rc;
    if (r->bad || !tree_name_valid(ret->name, ret->name_len))
        return bk_fail(err, BK_E_CORRUPT, "a tree entry is malformed");
    return 0;
}
