/* "SNAP[:PATH] [PATH...]" as restore and export take it: one snapshot and the wanted parts of it. */
#ifndef BKCTL_PATHS_H
#define BKCTL_PATHS_H

#include "bkctl/command.h"
#include "bkctl/where.h"

struct parts {
    const struct catalog_item *item; /* borrowed from the catalogue */
    struct opt_list paths;           /* none: all of it */
    struct where first;              /* owns what paths[0] points at */
};
int parts_find(const struct catalog *c, const struct operands *ops, struct parts *ret,
               struct bk_error *err) BK_MUST_CHECK;
void parts_clear(struct parts *p);
BK_AUTO_CLEAR(struct parts, parts_clear)

#endif
