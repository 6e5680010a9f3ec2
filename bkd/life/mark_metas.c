/* Where each metadata chunk lies: a table in memory, about 48 bytes for each. They are one in a hundred
 * chunks. */
#include <errno.h>

#include "bkd/life/prune_state.h"

enum { METAS_MIN = 1024 };

static void key_of(const chunk_id *id, uint64_t key[static 2])
{
    memcpy(key, id->b, 2 * sizeof *key);
    if (!key[0] && !key[1])
        key[0] = 1; /* 0,0 marks a free place */
}

static size_t place(const struct meta_map *t, const uint64_t key[static 2])
{
    size_t i = (size_t)key[0] & (t->cap - 1);
    while ((t->v[i].key[0] || t->v[i].key[1]) && (t->v[i].key[0] != key[0] || t->v[i].key[1] != key[1]))
        i = (i + 1) & (t->cap - 1);
    return i;
}

static bool is_free(const struct meta_place *p)
{
    return !p->key[0] && !p->key[1];
}

static int grow(struct mark *m, struct bk_error *err)
{
    struct meta_map *t = &m->metas;
    struct meta_map wider = { .n = t->n, .cap = t->cap ? t->cap * 2 : METAS_MIN };
    size_t bytes = (wider.cap + t->cap) * sizeof *t->v + m->cap_frames * sizeof *m->frames;
    if (wider.cap > METAS_MIN && bytes > m->job->memory_bytes / 2) {
        bk_fail(err, BK_E_LIMIT, "the pages of all directories do not fit into %zu bytes of memory",
                m->job->memory_bytes);
        return bk_hint(err, "give it more with --memory");
    }
    wider.v = calloc(wider.cap, sizeof *wider.v);
    if (!wider.v)
        return bk_fail_errno(err, ENOMEM, "keep the places of %zu pages", t->n);
    for (size_t i = 0; i < t->cap; i++)
        if (!is_free(&t->v[i]))
            wider.v[place(&wider, t->v[i].key)] = t->v[i];
    free(t->v);
    *t = wider;
    return 0;
}

static int note_frame(struct mark *m, const struct scanned *s, struct bk_error *err)
{
    while (s->meta_frame >= m->cap_frames) {
        size_t cap = m->cap_frames ? m->cap_frames * 2 : METAS_MIN;
        struct meta_frame *v = reallocarray(m->frames, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "keep the places of %zu frames", cap);
        m->frames = v;
        m->cap_frames = cap;
    }
    m->frames[s->meta_frame] = (struct meta_frame){ .pack = s->pack,
                                                    .offset = s->frame->offset,
                                                    .stored_len = s->frame->stored_len,
                                                    .raw_len = s->frame->raw_len };
    return 0;
}

/* The first place stays, unless its pack is a candidate and this one's is not. */
static int collect(void *ctx, const struct scanned *s, struct bk_error *err)
{
    struct mark *m = ctx;
    uint64_t key[2];
    if (s->kind != CHUNK_META || s->pack == PACK_NONE)
        return 0;
    int r = note_frame(m, s, err);
    if (r == 0 && m->metas.n >= m->metas.cap / 4 * 3)
        r = grow(m, err);
    if (r < 0)
        return r;
    key_of(&s->e->id, key);
    struct meta_place *p = &m->metas.v[place(&m->metas, key)];
    if (is_free(p))
        m->metas.n++;
    else if (!(m->packs.v[m->frames[p->frame].pack].flags & PACK_DOOMED) ||
             (m->packs.v[s->pack].flags & PACK_DOOMED))
        return 0;
    *p = (struct meta_place){ .key = { key[0], key[1] }, .frame = s->meta_frame, .slot = s->e->slot };
    return 0;
}

int mark_metas(struct mark *m, struct bk_error *err)
{
    int r = grow(m, err);
    return r < 0 ? r : mark_scan(m, 0, 1, collect, m, err);
}

size_t mark_meta_find(const struct mark *m, const chunk_id *id)
{
    uint64_t key[2];
    key_of(id, key);
    size_t i = place(&m->metas, key);
    return is_free(&m->metas.v[i]) ? SIZE_MAX : i;
}

int mark_meta_use(const struct mark *m, const struct scanned *s)
{
    size_t i = mark_meta_find(m, &s->e->id);
    if (i == SIZE_MAX || !m->metas.v[i].seen)
        return 0;
    const struct meta_place *p = &m->metas.v[i];
    return p->frame == s->meta_frame && p->slot == s->e->slot ? 2 : 1;
}
