#include "bkd/restore/browse.h"

void node_clear(struct node *n)
{
    bk_buf_clear(&n->mem);
    n->e = (struct tree_entry){ 0 };
}

int node_copy(const struct tree_entry *e, struct node *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf mem = BK_BUF((size_t)TREE_NAME_MAX + TREE_LINK_MAX + TREE_XATTRS_MAX);
    size_t link_len = e->link ? e->link_len : 0;
    size_t xattrs_len = e->xattrs ? e->xattrs_len : 0;
    int r = bk_buf_reserve(&mem, e->name_len + link_len + xattrs_len + 1, err);
    if (r < 0 || (r = bk_buf_append(&mem, e->name, e->name_len, err)) < 0)
        return r;
    if (link_len && (r = bk_buf_append(&mem, e->link, link_len, err)) < 0)
        return r;
    if (xattrs_len && (r = bk_buf_append(&mem, e->xattrs, xattrs_len, err)) < 0)
        return r;

    ret->e = *e;
    ret->e.name = mem.data;
    ret->e.link = link_len ? mem.data + e->name_len : NULL;
    ret->e.xattrs = xattrs_len ? mem.data + e->name_len + link_len : NULL;
    ret->mem = mem;
    mem = (struct bk_buf){ 0 };
    return 0;
}
