/* Listings as sorted arrays: the store's listing comes in no order and through a callback.
 *
 *     names_list -> v[0..n), names_find -> names_clear
 *
 * One thread fills it; after that any thread may read. */
#ifndef BKD_REPO_NAMES_H
#define BKD_REPO_NAMES_H

#include "bkd/store/store.h"

struct names_item {
    char *name; /* owned; the whole store name */
    uint64_t size;
};
struct names {
    struct names_item *v; /* owned, sorted by name */
    size_t n, cap;
};

/* Every object below prefix. LIMIT past `ceiling` objects. */
int names_list(struct store *s, const char *prefix, size_t ceiling, struct names *ret,
               struct bk_error *err) BK_MUST_CHECK;
const struct names_item *names_find(const struct names *n, const char *name);
void names_clear(struct names *n);
BK_AUTO_CLEAR(struct names, names_clear)

#endif
