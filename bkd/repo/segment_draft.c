#include "bkd/repo/segment_draft.h"

void segment_draft_clear(struct segment_draft *d)
{
    free(d->entries);
    free(d->frames);
    free(d->packs);
    *d = (struct segment_draft){ 0 };
}

/* Room for n more elements of `each` bytes. */
static int grow(void **v, size_t used, size_t *cap, size_t n, size_t each, struct bk_error *err)
{
    if (used + n <= *cap)
        return 0;
    size_t want = *cap + *cap / 2;
    if (want < used + n)
        want = used + n;
    void *p = reallocarray(*v, want, each);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu index entries", want);
    *v = p;
    *cap = want;
    return 0;
}

int segment_draft_add(struct segment_draft *d, const struct segment_pack *p, const struct pack_directory *dir,
                      struct bk_error *err)
{
    void *entries = d->entries, *frames = d->frames, *packs = d->packs;
    int r = grow(&entries, d->n_entries, &d->cap_entries, dir->n_chunks, sizeof *d->entries, err);
    d->entries = entries;
    if (r == 0)
        r = grow(&frames, d->n_frames, &d->cap_frames, dir->n_frames, sizeof *d->frames, err);
    d->frames = frames;
    if (r == 0)
        r = grow(&packs, d->n_packs, &d->cap_packs, 1, sizeof *d->packs, err);
    d->packs = packs;
    if (r < 0)
        return r;
    for (uint32_t f = 0; f < dir->n_frames; f++) {
        const struct pack_frame *pf = &dir->frames[f];
        for (uint32_t i = 0; i < pf->n_chunks; i++)
            d->entries[d->n_entries++] = (struct segment_entry){ .id = dir->ids[pf->first_chunk + i],
                                                                 .frame = (uint32_t)d->n_frames,
                                                                 .slot = (uint16_t)i };
        d->frames[d->n_frames++] = (struct segment_frame){ .pack = (uint32_t)d->n_packs,
                                                           .offset = pf->offset,
                                                           .stored_len = pf->stored_len,
                                                           .raw_len = pf->raw_len };
    }
    d->packs[d->n_packs++] = *p;
    return 0;
}

int segment_draft_put(struct segment_draft *d, struct index *x, uint64_t *ret_bytes, struct bk_error *err)
{
    return segment_draft_end(d, x, index_put_segment, ret_bytes, err);
}

/* Some packs of a draft with what is in them; indices are relative to it. */
struct part {
    struct segment_entry *entries;
    struct segment_frame *frames;
    struct segment_pack *packs;
    size_t n_entries, n_frames, n_packs;
};

static uint32_t pack_of(const struct part *t, const struct segment_entry *e)
{
    return t->frames[e->frame].pack;
}

/* Which packs have a chunk that an earlier one has as well; how many. Sorts. Those that are left have no
 * chunk in common. */
static size_t find_later(const struct part *t, bool *later)
{
    const struct segment_entry *e = t->entries;
    size_t n = 0;
    segment_sort(t->entries, t->n_entries);
    for (size_t first = 0, end; first < t->n_entries; first = end) {
        uint32_t least = pack_of(t, &e[first]);
        for (end = first + 1; end < t->n_entries && chunk_id_cmp(&e[first].id, &e[end].id) == 0; end++)
            least = pack_of(t, &e[end]) < least ? pack_of(t, &e[end]) : least;
        for (size_t i = first; end - first > 1 && i < end; i++) {
            uint32_t p = pack_of(t, &e[i]);
            if (later[p] || memcmp(t->packs[p].name.b, t->packs[least].name.b, PACK_NAME) == 0)
                continue;
            later[p] = true;
            n++;
        }
    }
    return n;
}

/* Copies for a partition, and what each line becomes. */
struct moving {
    struct segment_entry *entries;
    struct segment_frame *frames;
    struct segment_pack *packs;
    uint32_t *frame_as, *pack_as;
};
static void moving_clear(struct moving *m)
{
    free(m->entries);
    free(m->frames);
    free(m->packs);
    free(m->frame_as);
    free(m->pack_as);
}
BK_AUTO_CLEAR(struct moving, moving_clear)

static void *copy_of(const void *v, size_t n, size_t each)
{
    void *p = calloc(n + 1, each);
    if (p && n)
        memcpy(p, v, n * each);
    return p;
}

/* t keeps the packs that are not later; those become ret, behind it in the same arrays. */
static int set_apart(struct part *t, const bool *later, struct part *ret, struct bk_error *err)
{
    bk_auto(moving_clear) struct moving m = {
        .entries = copy_of(t->entries, t->n_entries, sizeof *t->entries),
        .frames = copy_of(t->frames, t->n_frames, sizeof *t->frames),
        .packs = copy_of(t->packs, t->n_packs, sizeof *t->packs),
        .frame_as = calloc(t->n_frames + 1, sizeof *m.frame_as),
        .pack_as = calloc(t->n_packs + 1, sizeof *m.pack_as),
    };
    size_t entries[2] = { 0 }, frames[2] = { 0 }, packs[2] = { 0 };
    if (!m.entries || !m.frames || !m.packs || !m.frame_as || !m.pack_as)
        return bk_fail(err, BK_E_NOMEM, "no memory to part %zu index entries", t->n_entries);
    for (size_t i = 0; i < t->n_packs; i++)
        m.pack_as[i] = (uint32_t)packs[later[i]]++;
    for (size_t i = 0; i < t->n_frames; i++)
        m.frame_as[i] = (uint32_t)frames[later[m.frames[i].pack]]++;
    for (size_t i = 0; i < t->n_entries; i++)
        entries[later[m.frames[m.entries[i].frame].pack]]++;
    *ret = (struct part){ .entries = t->entries + entries[0],
                          .frames = t->frames + frames[0],
                          .packs = t->packs + packs[0],
                          .n_entries = entries[1],
                          .n_frames = frames[1],
                          .n_packs = packs[1] };
    struct part *to[2] = { t, ret };
    for (size_t i = 0; i < t->n_packs; i++)
        to[later[i]]->packs[m.pack_as[i]] = m.packs[i];
    for (size_t i = 0; i < t->n_frames; i++) {
        struct segment_frame *f = &to[later[m.frames[i].pack]]->frames[m.frame_as[i]];
        *f = m.frames[i];
        f->pack = m.pack_as[m.frames[i].pack];
    }
    size_t at[2] = { 0 };
    for (size_t i = 0; i < t->n_entries; i++) {
        bool which = later[m.frames[m.entries[i].frame].pack];
        struct segment_entry *e = &to[which]->entries[at[which]++];
        *e = m.entries[i];
        e->frame = m.frame_as[m.entries[i].frame];
    }
    t->n_entries = entries[0];
    t->n_frames = frames[0];
    t->n_packs = packs[0];
    return 0;
}

/* Indices are those of the whole draft again. */
static void rejoin(const struct segment_draft *d, const struct part *t)
{
    for (size_t i = 0; i < t->n_entries; i++)
        t->entries[i].frame += (uint32_t)(t->frames - d->frames);
    for (size_t i = 0; i < t->n_frames; i++)
        t->frames[i].pack += (uint32_t)(t->packs - d->packs);
}

/* One segment; *rest: what is to be put after it. What is superseded goes with the last one: until then the
 * superseded ones say it. */
static int end_part(const struct segment_draft *d, struct part *t, struct part *rest, struct index *x,
                    segment_draft_fn *take, uint64_t *ret_bytes, struct bk_error *err)
{
    bk_auto(free) bool *later = calloc(t->n_packs, sizeof *later);
    if (!later)
        return bk_fail(err, BK_E_NOMEM, "no memory for %zu packs", t->n_packs);
    int r = find_later(t, later) ? set_apart(t, later, rest, err) : 0;
    if (r < 0)
        return r;
    bool last = !rest->n_packs;
    struct segment_input in = { .entries = t->entries,
                                .n_entries = t->n_entries,
                                .frames = t->frames,
                                .n_frames = t->n_frames,
                                .packs = t->packs,
                                .n_packs = t->n_packs,
                                .superseded = last ? d->superseded : NULL,
                                .n_superseded = last ? d->n_superseded : 0 };
    return take(x, &in, ret_bytes, err);
}

int segment_draft_end(struct segment_draft *d, struct index *x, segment_draft_fn *take, uint64_t *ret_bytes,
                      struct bk_error *err)
{
    struct part t = { .entries = d->entries,
                      .frames = d->frames,
                      .packs = d->packs,
                      .n_entries = d->n_entries,
                      .n_frames = d->n_frames,
                      .n_packs = d->n_packs };
    uint64_t sum = 0;
    *ret_bytes = 0;
    while (t.n_packs) {
        struct part rest = { 0 };
        uint64_t bytes;
        int r = end_part(d, &t, &rest, x, take, &bytes, err);
        rejoin(d, &t);
        if (r < 0) {
            rejoin(d, &rest);
            return r;
        }
        sum += bytes;
        t = rest;
    }
    *ret_bytes = sum;
    d->n_entries = d->n_frames = d->n_packs = d->n_superseded = 0;
    return 0;
}
