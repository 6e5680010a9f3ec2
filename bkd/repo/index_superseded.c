#include "bkd/repo/index_superseded.h"

#include <stdlib.h>
#include <string.h>

int index_superseded_add(struct index_superseded *l, const struct index_segment *s, struct bk_error *err)
{
    struct index_superseded_item item = { .name = s->name, .n_below = s->seg.n_superseded };
    if (index_superseded_has(l, &s->name))
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct index_superseded_item *v = reallocarray(l->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "no memory for the list of index segments");
        l->v = v;
        l->cap = cap;
    }
    item.below = calloc(item.n_below ? item.n_below : 1, sizeof *item.below);
    if (!item.below)
        return bk_fail(err, BK_E_NOMEM, "no memory for the list of index segments");
    for (uint32_t i = 0; i < item.n_below; i++)
        segment_superseded(&s->seg, i, &item.below[i]);
    l->v[l->n++] = item;
    return 0;
}

bool index_superseded_has(const struct index_superseded *l, const segment_name *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (memcmp(l->v[i].name.b, name->b, sizeof name->b) == 0)
            return true;
    return false;
}

bool index_superseded_has_object(const struct index_superseded *l, const char *object)
{
    char path[REPO_PATH];
    for (size_t i = 0; i < l->n; i++) {
        repo_id_path("index/", l->v[i].name.b, SUITE_HASH, path);
        if (strcmp(path, object) == 0)
            return true;
    }
    return false;
}

static bool is_last(const struct index_superseded *l, const struct index_superseded_item *item)
{
    for (uint32_t i = 0; i < item->n_below; i++)
        if (index_superseded_has(l, &item->below[i]))
            return false;
    return true;
}

/* How many went. */
static size_t sweep_once(struct index_superseded *l, struct store *s, int *why, struct bk_error *err)
{
    size_t n = 0;
    for (size_t i = l->n; i-- > 0;) {
        struct bk_error e = { 0 };
        char path[REPO_PATH];
        if (!is_last(l, &l->v[i]))
            continue;
        repo_id_path("index/", l->v[i].name.b, SUITE_HASH, path);
        int r = store_remove(s, path, &e);
        if (r < 0) {
            if (*why == 0 && err)
                *err = e;
            *why = *why ? *why : r;
            continue;
        }
        free(l->v[i].below);
        l->v[i] = l->v[--l->n];
        n++;
    }
    return n;
}

int index_superseded_sweep(struct index_superseded *l, struct store *s, struct bk_error *err)
{
    int why = 0;
    while (l->n && sweep_once(l, s, &why, err) > 0)
        ;
    return l->n ? why : 0;
}

void index_superseded_clear(struct index_superseded *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].below);
    free(l->v);
    *l = (struct index_superseded){ 0 };
}
