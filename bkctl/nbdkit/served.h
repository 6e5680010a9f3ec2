/* What the plugin serves: a repository, opened once, and the exports in it.
 *
 *     served_open -> served_find, reads of images (any thread) -> served_close */
#ifndef BKCTL_NBDKIT_SERVED_H
#define BKCTL_NBDKIT_SERVED_H

#include "bkctl/nbdkit/parent.h"
#include "bkctl/place.h"
#include "bkd/restore/image.h"

struct export_ {
    char *name; /* owned */
    struct image *image;
};
struct served {
    struct parent *parent; /* borrowed */
    struct job job;
    struct world world;
    struct view view; /* its session keeps a collection away */
    struct images *images;
    struct export_ *exports; /* owned; sorted as they were asked for */
    size_t n_exports;
};

/* The parent's repository and places; it is watched from here on. Errors as of opening a repository and of
 * place_find; USAGE: two exports of one name, or a snapshot that holds nothing to serve. After an error *ret
 * is for served_close only. */
int served_open(struct parent *p, struct served *ret, struct bk_error *err) BK_MUST_CHECK;
void served_close(struct served *s);
/* "" is the only one. NULL: there is none of that name. */
const struct export_ *served_find(const struct served *s, const char *name);

#endif
