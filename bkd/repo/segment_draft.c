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

/* Further places of chunks, n entries of `all`: one of each chunk a segment. */
static int end_elsewhere(const struct segment_input *all, size_t n, struct index *x, segment_draft_fn *take,
                         uint64_t *bytes, struct bk_error *err)
{
    struct segment_input in = *all;
    in.entries += all->n_entries;
    in.superseded = NULL;
    in.n_superseded = 0;
    while (n) {
        uint64_t more;
        in.n_entries = n;
        int r = segment_unique(&in, &n, err);
        if (r == 0)
            r = take(x, &in, &more, err);
        if (r < 0)
            return r;
        *bytes += more;
        in.entries += in.n_entries;
    }
    return 0;
}

/* Whoever supersedes others is put last: until then those others say it. Whoever does not is put first: a
 * pack that is named is taken for one whose chunks are known. */
static int end_all(const struct segment_input *in, size_t n_elsewhere, struct index *x,
                   segment_draft_fn *take, uint64_t *ret_bytes, struct bk_error *err)
{
    uint64_t bytes = 0, more = 0;
    int r = in->n_superseded ? end_elsewhere(in, n_elsewhere, x, take, &more, err) : 0;
    if (r == 0)
        r = take(x, in, &bytes, err);
    if (r == 0 && !in->n_superseded)
        r = end_elsewhere(in, n_elsewhere, x, take, &more, err);
    *ret_bytes = bytes + more;
    return r;
}

int segment_draft_end(struct segment_draft *d, struct index *x, segment_draft_fn *take, uint64_t *ret_bytes,
                      struct bk_error *err)
{
    size_t elsewhere;
    *ret_bytes = 0;
    if (d->n_packs == 0)
        return 0;
    struct segment_input in = { .entries = d->entries,
                                .n_entries = d->n_entries,
                                .frames = d->frames,
                                .n_frames = d->n_frames,
                                .packs = d->packs,
                                .n_packs = d->n_packs,
                                .superseded = d->superseded,
                                .n_superseded = d->n_superseded };
    int r = segment_unique(&in, &elsewhere, err);
    if (r < 0)
        return r;
    d->n_entries = in.n_entries + elsewhere; /* the rest said nothing more */
    r = end_all(&in, elsewhere, x, take, ret_bytes, err);
    if (r < 0)
        return r;
    d->n_entries = d->n_frames = d->n_packs = d->n_superseded = 0;
    return 0;
}
