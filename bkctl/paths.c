#include "bkctl/paths.h"

int parts_find(const struct catalog *c, const struct operands *ops, struct parts *ret, struct bk_error *err)
{
    bk_auto(parts_clear) struct parts p = { 0 };
    int r = where_parse(ops->v[0], &p.first, err);
    if (r == 0)
        r = catalog_resolve(c, p.first.snap, &p.item, err);
    if (r == 0 && p.first.path && p.first.path[0])
        r = opt_list_add(&p.paths, p.first.path, err);
    for (size_t i = 1; r == 0 && i < ops->n; i++)
        r = opt_list_add(&p.paths, ops->v[i], err);
    if (r < 0)
        return r;
    *ret = p;
    p = (struct parts){ 0 };
    return 0;
}

void parts_clear(struct parts *p)
{
    opt_list_clear(&p->paths);
    where_clear(&p->first);
    *p = (struct parts){ 0 };
}
