#include "bkd/repo/idset.h"

#include <errno.h>
#include <string.h>

enum { CAP_MIN = 256 };

struct key {
    uint64_t a, b;
};

static struct key key_of(const uint8_t *id)
{
    struct key k;
    memcpy(&k, id, sizeof k);
    if (!k.a && !k.b)
        k.a = 1; /* 0,0 marks a free place */
    return k;
}

/* The place of the key, or the free one where it belongs. */
static size_t place(const struct idset *s, struct key k)
{
    size_t i = (size_t)k.a & (s->cap - 1);
    while ((s->v[i][0] || s->v[i][1]) && (s->v[i][0] != k.a || s->v[i][1] != k.b))
        i = (i + 1) & (s->cap - 1);
    return i;
}

bool idset_has(const struct idset *s, const uint8_t id[static IDSET_ID])
{
    if (!s->n)
        return false;
    size_t i = place(s, key_of(id));
    return s->v[i][0] || s->v[i][1];
}

/* Twice the room; false when the limit or the memory ends. */
static bool grow(struct idset *s)
{
    size_t cap = s->cap ? s->cap * 2 : CAP_MIN;
    if (s->limit && cap > s->limit / sizeof *s->v)
        return false;
    struct idset wider = { .v = calloc(cap, sizeof *s->v), .n = s->n, .cap = cap, .limit = s->limit };
    if (!wider.v)
        return false;
    for (size_t i = 0; i < s->cap; i++) {
        if (!s->v[i][0] && !s->v[i][1])
            continue;
        size_t at = place(&wider, (struct key){ s->v[i][0], s->v[i][1] });
        memcpy(wider.v[at], s->v[i], sizeof s->v[i]);
    }
    free(s->v);
    *s = wider;
    return true;
}

int idset_add(struct idset *s, const uint8_t id[static IDSET_ID], struct bk_error *err)
{
    struct key k = key_of(id);
    if (idset_has(s, id))
        return 0;
    if (s->n >= s->cap / 4 * 3 && !grow(s))
        return s->limit ? 0 : bk_fail_errno(err, ENOMEM, "keep a set of %zu ids", s->n);
    size_t i = place(s, k);
    s->v[i][0] = k.a;
    s->v[i][1] = k.b;
    s->n++;
    return 1;
}

void idset_clear(struct idset *s)
{
    free(s->v);
    *s = (struct idset){ .limit = s->limit };
}
