#include "formats/tree/entry.h"

static bool same_time(const struct tree_time *a, const struct tree_time *b)
{
    return a->s == b->s && a->ns == b->ns;
}

/* The cheapest of the ways; always the same one for the same values, because pages are named by their bytes.
 */
static enum entry_time way(const struct tree_time *t, const struct tree_time *like,
                           const struct tree_time *base)
{
    if (same_time(t, like))
        return TIME_LIKE;
    if (base && same_time(t, base))
        return TIME_BASE;
    return t->ns ? TIME_FULL : TIME_SECONDS;
}

/* Differences wrap around at 64 bits, so that any two values have one. */
static int put_difference(uint64_t v, uint64_t base, struct bk_buf *out, struct bk_error *err)
{
    return bk_buf_svarint(out, (int64_t)(v - base), err);
}

static int put_time(enum entry_time how, const struct tree_time *t, const struct tree_time *base,
                    struct bk_buf *out, struct bk_error *err)
{
    if (how < TIME_SECONDS)
        return 0;
    int r = put_difference((uint64_t)t->s, (uint64_t)base->s, out, err);
    return r == 0 && how == TIME_FULL ? bk_buf_u32(out, t->ns, err) : r;
}

static int put_two(uint64_t a, uint64_t b, struct bk_buf *out, struct bk_error *err)
{
    int r = bk_buf_varint(out, a, err);
    return r == 0 ? bk_buf_varint(out, b, err) : r;
}

static int put_payload(const struct tree_entry *e, struct bk_buf *out, struct bk_error *err)
{
    switch (e->type) {
    case TREE_FILE:
        return content_encode(&e->content, out, err);
    case TREE_DIR:
        return tree_dir_encode(&e->dir, out, err);
    case TREE_SYMLINK:
        return bk_buf_bytes(out, e->link, e->link_len, err);
    case TREE_CHAR:
    case TREE_BLOCK:
        return put_two(e->rdev_major, e->rdev_minor, out, err);
    case TREE_FIFO:
    case TREE_SOCKET:
        break;
    }
    return 0;
}

static unsigned same_bits(const struct tree_entry *e, const struct tree_base *base)
{
    return (e->mode == base->mode ? ENTRY_SAME_MODE : 0u) |
           (e->uid == base->uid && e->gid == base->gid ? ENTRY_SAME_OWNER : 0u) |
           (e->dev == base->dev ? ENTRY_SAME_DEV : 0u) |
           (e->flags == base->flags && e->fsflags == base->fsflags ? ENTRY_SAME_FLAGS : 0u) |
           (e->nlink == 1 ? ENTRY_ONE_LINK : 0u) | (e->xattrs_len ? ENTRY_XATTRS : 0u);
}

int entry_put(const struct tree_entry *e, const struct tree_base *base, struct bk_buf *out,
              struct bk_error *err)
{
    enum entry_time m = way(&e->mtime, &base->mtime, NULL);
    enum entry_time c = way(&e->ctime, &e->mtime, &base->ctime);
    enum entry_time b = e->flags & TREE_HAS_BTIME ? way(&e->btime, &e->ctime, &base->btime) : TIME_LIKE;
    unsigned first = (unsigned)e->type | (unsigned)m << ENTRY_MTIME_SHIFT | (unsigned)c << ENTRY_CTIME_SHIFT;
    unsigned same = same_bits(e, base);

    int r = bk_buf_u8(out, (uint8_t)first, err);
    if (r == 0)
        r = bk_buf_u8(out, (uint8_t)(same | (unsigned)b << ENTRY_BTIME_SHIFT), err);
    if (r == 0)
        r = bk_buf_bytes(out, e->name, e->name_len, err);
    if (r == 0 && !(same & ENTRY_SAME_MODE))
        r = bk_buf_varint(out, e->mode, err);
    if (r == 0 && !(same & ENTRY_SAME_OWNER))
        r = put_two(e->uid, e->gid, out, err);
    if (r == 0 && !(same & ENTRY_SAME_DEV))
        r = bk_buf_varint(out, e->dev, err);
    if (r == 0 && !(same & ENTRY_SAME_FLAGS))
        r = put_two(e->flags, e->fsflags, out, err);
    if (r == 0)
        r = put_difference(e->ino, base->ino, out, err);
    if (r == 0)
        r = put_time(m, &e->mtime, &base->mtime, out, err);
    if (r == 0)
        r = put_time(c, &e->ctime, &base->ctime, out, err);
    if (r == 0)
        r = put_time(b, &e->btime, &base->btime, out, err);
    if (r == 0 && !(same & ENTRY_ONE_LINK))
        r = bk_buf_varint(out, e->nlink, err);
    if (r == 0 && same & ENTRY_XATTRS)
        r = bk_buf_bytes(out, e->xattrs, e->xattrs_len, err);
    return r == 0 ? put_payload(e, out, err) : r;
}
