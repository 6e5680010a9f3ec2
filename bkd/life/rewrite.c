#include "bkd/life/rewrite.h"

#include <errno.h>

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_superseded.h"
#include "bkd/repo/segment_draft.h"

/* Bytes of working memory per entry while a segment is built. */
enum { BYTES_PER_ENTRY = 128, FULL_MIN = 65536 };

struct rewrite {
    struct prune *p;
    struct index *x;
    const struct packs *packs;
    struct segment_draft draft;
    size_t full;
    /* Where objects can be locked: segments whose rest is in the draft or was put. The next one that is put
     * supersedes them, so that an old one that stays for long is neither asked nor written anew again. */
    segment_name done[SEGMENT_SUPERSEDED_MAX];
    size_t done_at[SEGMENT_SUPERSEDED_MAX], n_done;
    bool *anew;      /* borrowed, of the index's segments: is it to be written anew, and then removed? */
    size_t n_locked; /* of those, which the store keeps for now */
    /* of the segment at hand */
    struct index_segment *s;
    bool *keep;                   /* owned: per line of its pack table */
    uint32_t *pack_as;            /* owned: its line in the draft plus 1, 0: none yet */
    uint32_t *frame_as;           /* owned */
    struct segment_frame *frames; /* owned */
    struct segment_pack *lines;   /* owned */
};

static void close_segment(struct rewrite *w)
{
    free(w->keep);
    free(w->pack_as);
    free(w->frame_as);
    free(w->frames);
    free(w->lines);
    w->keep = NULL;
    w->pack_as = w->frame_as = NULL;
    w->frames = NULL;
    w->lines = NULL;
}

/* A pack that was not listed is asked for: a listing may be late, and what it hides must not be forgotten. */
static bool stays(const struct rewrite *w, const struct segment_pack *p)
{
    struct bk_error ignored = { 0 };
    char path[REPO_PATH];
    uint64_t size;
    if (p->kind >= CHUNK_KINDS)
        return false;
    uint32_t at = packs_find(w->packs, p->kind, &p->name);
    if (at != PACK_NONE)
        return !(w->packs->v[at].flags & PACK_DOOMED);
    repo_pack_path(p->kind, &p->name, path);
    return store_stat(repo_store(w->p->repo), path, &size, &ignored) != BK_E_ABSENT;
}

/* Read its tables. *ret: does it name a pack that goes? */
static int open_segment(struct rewrite *w, struct index_segment *s, bool *ret, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    const struct segment *g = &s->seg;
    uint32_t page, have = UINT32_MAX;
    close_segment(w);
    w->s = s;
    w->keep = calloc(g->n_packs + 1, sizeof *w->keep);
    w->pack_as = calloc(g->n_packs + 1, sizeof *w->pack_as);
    w->lines = calloc(g->n_packs + 1, sizeof *w->lines);
    if (!w->keep || !w->pack_as || !w->lines)
        return bk_fail_errno(err, ENOMEM, "rewrite the index");
    *ret = false;
    for (uint64_t i = 0; i < g->n_packs; i++) {
        int r = segment_pack_page(g, i, &page, err);
        if (r == 0 && page != have)
            r = index_segment_page(s, page, data, err);
        if (r < 0)
            return r;
        have = page;
        segment_pack_line(data, i, &w->lines[i]);
        w->keep[i] = stays(w, &w->lines[i]);
        *ret |= !w->keep[i];
    }
    return 0;
}

static int read_frames(struct rewrite *w, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    const struct segment *g = &w->s->seg;
    uint32_t page, have = UINT32_MAX;
    w->frame_as = calloc(g->n_frames + 1, sizeof *w->frame_as);
    w->frames = calloc(g->n_frames + 1, sizeof *w->frames);
    if (!w->frame_as || !w->frames)
        return bk_fail_errno(err, ENOMEM, "rewrite the index");
    for (uint64_t i = 0; i < g->n_frames; i++) {
        int r = segment_frame_page(g, i, &page, err);
        if (r == 0 && page != have)
            r = index_segment_page(w->s, page, data, err);
        if (r < 0)
            return r;
        have = page;
        segment_frame_line(data, i, &w->frames[i]);
        if (w->frames[i].pack >= g->n_packs)
            return bk_fail(err, BK_E_CORRUPT, "frame %llu is out of range", (unsigned long long)i);
    }
    return 0;
}

static int room(void **v, size_t used, size_t *cap, size_t each, struct bk_error *err)
{
    if (used < *cap)
        return 0;
    size_t want = *cap ? *cap + *cap / 2 : 1024;
    void *p = reallocarray(*v, want, each);
    if (!p)
        return bk_fail_errno(err, ENOMEM, "rewrite the index");
    *v = p;
    *cap = want;
    return 0;
}

static int draft_pack(struct rewrite *w, uint32_t line, struct bk_error *err)
{
    struct segment_draft *d = &w->draft;
    void *v = d->packs;
    if (w->pack_as[line])
        return 0;
    int r = room(&v, d->n_packs, &d->cap_packs, sizeof *d->packs, err);
    d->packs = v;
    if (r < 0)
        return r;
    d->packs[d->n_packs++] = w->lines[line];
    w->pack_as[line] = (uint32_t)d->n_packs;
    return 0;
}

static int draft_frame(struct rewrite *w, uint32_t frame, struct bk_error *err)
{
    struct segment_draft *d = &w->draft;
    struct segment_frame f = w->frames[frame];
    void *v = d->frames;
    if (w->frame_as[frame])
        return 0;
    int r = draft_pack(w, f.pack, err);
    if (r == 0)
        r = room(&v, d->n_frames, &d->cap_frames, sizeof *d->frames, err);
    d->frames = v;
    if (r < 0)
        return r;
    f.pack = w->pack_as[f.pack] - 1;
    d->frames[d->n_frames++] = f;
    w->frame_as[frame] = (uint32_t)d->n_frames;
    return 0;
}

static int flush(struct rewrite *w, struct bk_error *err)
{
    uint64_t bytes;
    if (!w->draft.n_packs)
        return 0;
    w->draft.superseded = w->done;
    w->draft.n_superseded = w->n_done;
    int r = segment_draft_put(&w->draft, w->x, &bytes, err);
    if (r < 0)
        return r;
    w->p->rep.n_segments_put++;
    for (size_t i = 0; i < w->n_done; i++)
        w->anew[w->done_at[i]] = false;
    w->n_done = 0;
    if (w->s) {
        memset(w->pack_as, 0, w->s->seg.n_packs * sizeof *w->pack_as);
        if (w->frame_as)
            memset(w->frame_as, 0, w->s->seg.n_frames * sizeof *w->frame_as);
    }
    return 0;
}

static int draft_entry(struct rewrite *w, const struct segment_entry *e, struct bk_error *err)
{
    struct segment_draft *d = &w->draft;
    if (e->frame >= w->s->seg.n_frames)
        return bk_fail(err, BK_E_CORRUPT, "an entry is out of range");
    if (!w->keep[w->frames[e->frame].pack])
        return 0;
    int r = d->n_entries >= w->full ? flush(w, err) : 0;
    if (r == 0)
        r = draft_frame(w, e->frame, err);
    void *v = d->entries;
    if (r == 0)
        r = room(&v, d->n_entries, &d->cap_entries, sizeof *d->entries, err);
    d->entries = v;
    if (r < 0)
        return r;
    d->entries[d->n_entries++] =
        (struct segment_entry){ .id = e->id, .frame = w->frame_as[e->frame] - 1, .slot = e->slot };
    return 0;
}

/* All that stays of the segment at hand. Packs are taken even when none of their chunks is listed under them:
 * who is named needs not be read again. */
static int draft_segment(struct rewrite *w, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    const struct segment *g = &w->s->seg;
    int r = read_frames(w, err);
    for (uint32_t i = 0; r == 0 && i < g->n_packs; i++)
        r = w->keep[i] ? draft_pack(w, i, err) : 0;
    for (uint32_t p = 0; r == 0 && p < g->n_entry_pages; p++) {
        r = p % 256 ? 0 : job_check(w->p->job, err);
        if (r == 0)
            r = index_segment_page(w->s, g->entries_page + p, data, err);
        unsigned n = r == 0 ? segment_page_count(data) : 0;
        for (unsigned i = 0; r == 0 && i < n; i++) {
            struct segment_entry e;
            segment_page_entry(data, i, &e);
            r = draft_entry(w, &e, err);
        }
    }
    return r;
}

/* Which segments are written anew: those that name a pack that goes. A damaged one stays as it is: what it
 * names does not count, and the packs are named again by the next backup. */
static int sort_out(struct rewrite *w, size_t n, struct bk_error *err)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        struct index_segment *s = index_segment_at(w->x, i);
        struct bk_error why = { 0 };
        bool names_doomed = false;
        if (s->recovered || atomic_load(&s->damaged))
            continue;
        int r = open_segment(w, s, &names_doomed, &why);
        if (bk_code_aborts(r))
            return bk_fail(err, r, "%s", why.text);
        w->anew[i] = r == 0 && names_doomed;
        any |= w->anew[i];
    }
    return any;
}

static int note_done(struct rewrite *w, size_t i, struct bk_error *err)
{
    if (!(repo_store(w->p->repo)->can & STORE_CAN_RETAIN) || !w->draft.n_packs)
        return 0; /* nothing of it stays: nothing supersedes it */
    w->done_at[w->n_done] = i;
    w->done[w->n_done++] = w->s->name;
    return w->n_done == SEGMENT_SUPERSEDED_MAX ? flush(w, err) : 0;
}

static int put_anew(struct rewrite *w, size_t n, struct bk_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct bk_error why = { 0 };
        bool ignored;
        if (!w->anew[i])
            continue;
        int r = open_segment(w, index_segment_at(w->x, i), &ignored, &why);
        if (r == 0)
            r = draft_segment(w, &why);
        if (r == 0)
            r = note_done(w, i, &why);
        if (r == BK_E_CORRUPT) { /* what was taken of it is right; the rest stays where it is */
            job_log(w->p->job, JOB_WARN, "index segment '%s': %s", w->s->object, why.text);
            w->anew[i] = false;
            r = 0;
        }
        if (r < 0) {
            if (err)
                *err = why;
            return r;
        }
    }
    return flush(w, err);
}

/* What is superseded goes in an order of its own; it stays where the store keeps it for now. */
static int sweep(struct rewrite *w, struct bk_error *err)
{
    struct index_superseded *l = index_superseded(w->x);
    struct bk_error why = { 0 };
    int r = index_superseded_sweep(l, repo_store(w->p->repo), &why);
    if (store_still_locked(repo_store(w->p->repo), r)) {
        job_log(w->p->job, JOB_DEBUG, "remove index segments: %s", why.text);
        return 0;
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

/* What was put has another name than these: it names no pack that goes. */
static int remove_old(struct rewrite *w, size_t n, struct bk_error *err)
{
    struct store *s = repo_store(w->p->repo);
    for (size_t i = 0; i < n; i++) {
        struct bk_error why = { 0 };
        if (!w->anew[i])
            continue;
        int r = store_remove(s, index_segment_at(w->x, i)->object, &why);
        if (store_still_locked(s, r)) { /* nothing of it stays, so nothing supersedes it: it is tried again */
            w->n_locked++;
            continue;
        }
        if (r < 0) {
            if (err)
                *err = why;
            return r;
        }
        w->p->rep.n_segments_removed++;
    }
    return 0;
}

/* Those that what was put supersedes. */
static int remove_superseded(struct rewrite *w, struct bk_error *err)
{
    close_segment(w);
    int r = index_leave_superseded(w->x, err);
    size_t before = index_superseded(w->x)->n;
    if (r == 0)
        r = sweep(w, err);
    w->p->rep.n_segments_removed += before - index_superseded(w->x)->n;
    return r;
}

static size_t draft_full(const struct job *j)
{
    size_t n = j->memory_bytes / 4 / BYTES_PER_ENTRY;
    return n < FULL_MIN ? FULL_MIN : n > SEGMENT_DRAFT_FULL ? SEGMENT_DRAFT_FULL : n;
}

int rewrite_run(struct prune *p, struct index *x, const struct packs *packs, struct bk_error *err)
{
    struct rewrite w = { .p = p, .x = x, .packs = packs, .full = draft_full(p->job) };
    size_t n = 0;
    while (index_segment_at(x, n))
        n++;
    bk_auto(free) bool *anew = calloc(n + 1, sizeof *anew);
    if (!anew)
        return bk_fail_errno(err, ENOMEM, "rewrite the index");
    /* Superseded ones first: with what supersedes them gone they would count again. */
    w.anew = anew;
    int r = sweep(&w, err);
    if (r == 0)
        r = sort_out(&w, n, err);
    if (r == 1) {
        r = put_anew(&w, n, err);
        if (r == 0)
            r = remove_old(&w, n, err);
        if (r == 0)
            r = remove_superseded(&w, err);
    }
    p->n_locked_segments = index_superseded(x)->n + w.n_locked;
    close_segment(&w);
    segment_draft_clear(&w.draft);
    return r < 0 ? r : 0;
}
