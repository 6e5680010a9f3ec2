#include "formats/snapshot/tlv.h"

int snapshot_list_add(struct snapshot_list *l, const char *s, struct bk_error *err)
{
    size_t n = strlen(s);
    if (n > SNAPSHOT_PATH_MAX)
        return bk_fail(err, BK_E_LIMIT, "a text of %zu bytes where %d fit", n, SNAPSHOT_PATH_MAX);
    bk_auto(free) char *copy = NULL;
    int r = tlv_text((const uint8_t *)s, n, &copy, err);
    if (r < 0)
        return r;
    l->v = tlv_grow(l->v, l->n, SNAPSHOT_LIST_MAX, sizeof *l->v, err, &r);
    if (r == 0)
        l->v[l->n++] = bk_steal(copy);
    return r;
}

void snapshot_list_clear(struct snapshot_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct snapshot_list){ 0 };
}
