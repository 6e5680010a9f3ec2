#include "bkd/restore/inodes.h"

void inodes_clear(struct inodes *m)
{
    free(m->v);
    *m = (struct inodes){ 0 };
}

/* Where the key is or would be. */
static struct inode_slot *place(const struct inodes *m, uint64_t dev, uint64_t ino)
{
    uint64_t h = (ino ^ (dev << 32 | dev >> 32)) * 0x9e3779b97f4a7c15u;
    for (size_t i = (size_t)(h >> 20);; i++) {
        struct inode_slot *s = &m->v[i & (m->n_slots - 1)];
        if (!s->value || (s->dev == dev && s->ino == ino))
            return s;
    }
}

void *inodes_find(const struct inodes *m, uint64_t dev, uint64_t ino)
{
    return m->n_slots ? place(m, dev, ino)->value : NULL;
}

static int grow(struct inodes *m, struct bk_error *err)
{
    struct inodes bigger = { .n_slots = m->n_slots ? m->n_slots * 2 : 256, .n = m->n };
    bigger.v = calloc(bigger.n_slots, sizeof *bigger.v);
    if (!bigger.v)
        return bk_fail(err, BK_E_NOMEM, "remember hard links");
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->v[i].value)
            *place(&bigger, m->v[i].dev, m->v[i].ino) = m->v[i];
    free(m->v);
    *m = bigger;
    return 0;
}

int inodes_add(struct inodes *m, uint64_t dev, uint64_t ino, void *value, struct bk_error *err)
{
    int r = m->n >= m->n_slots / 2 ? grow(m, err) : 0;
    if (r < 0)
        return r;
    *place(m, dev, ino) = (struct inode_slot){ .dev = dev, .ino = ino, .value = value };
    m->n++;
    return 0;
}
