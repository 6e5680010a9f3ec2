#include "formats/tree/tree.h"

int tree_xattr_append(struct bk_buf *b, const char *name, const void *value, size_t len, struct bk_error *err)
{
    size_t name_len = strlen(name);
    if (name_len == 0)
        return bk_fail(err, BK_E_USAGE, "an extended attribute has no name");
    if (name_len > TREE_XATTR_NAME_MAX)
        return bk_fail(err, BK_E_LIMIT, "the name of an extended attribute has %zu bytes", name_len);
    size_t before = b->len;
    int r = bk_buf_bytes(b, name, name_len + 1, err);
    if (r == 0)
        r = bk_buf_bytes(b, value, len, err);
    if (r == 0 && b->len > TREE_XATTRS_MAX)
        r = bk_fail(err, BK_E_LIMIT, "the extended attributes pass %d bytes", TREE_XATTRS_MAX);
    if (r < 0)
        b->len = before;
    return r;
}

int tree_xattr_next(struct bk_reader *r, const char **name, const uint8_t **value, size_t *value_len,
                    struct bk_error *err)
{
    if (r->p == r->end && !r->bad)
        return 0;
    size_t name_len, len;
    const uint8_t *n = bk_read_bytes(r, TREE_XATTR_NAME_MAX + 1, &name_len);
    const uint8_t *v = bk_read_bytes(r, TREE_XATTRS_MAX, &len);
    /* exactly one NUL, at the end, after at least one byte */
    if (r->bad || name_len < 2 || memchr(n, 0, name_len) != n + name_len - 1) {
        r->bad = true;
        return bk_fail(err, BK_E_CORRUPT, "extended attributes are malformed");
    }
    *name = (const char *)n;
    *value = v;
    *value_len = len;
    return 1;
}
