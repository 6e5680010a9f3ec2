/* Index segments, whole: the name is the hash of all bytes, the resident part has its MAC, each page its
 * digest. Read front to back in blocks. */
#include <errno.h>
#include <string.h>

#include "bkd/repo/check_state.h"
#include "bkd/repo/index_recover.h"

enum { BLOCK_PAGES = 512, RESIDENT_MAX = 64 << 20, LISTINGS_MAX = 16 };

struct segment_scan {
    struct store *store;
    const char *name;
    uint64_t size, n_frames;
    struct segment seg;
    uint64_t pages_end; /* bytes of all pages: where the resident part starts */
};

/* Trailer, resident part and page 0: what a look-up would hold in memory. */
static int open_segment(struct segment_scan *s, const struct keyring *k, struct bk_error *err)
{
    uint8_t trailer[SEGMENT_TRAILER], page0[SEGMENT_PAGE];
    uint64_t len;
    if (s->size < SEGMENT_PAGE + SEGMENT_TRAILER)
        return bk_fail(err, BK_E_CORRUPT, "%llu bytes are too few for an index segment",
                       (unsigned long long)s->size);
    int r = store_get_exact(s->store, s->name, s->size - SEGMENT_TRAILER, trailer, sizeof trailer, err);
    if (r < 0)
        return r;
    r = segment_trailer_decode(trailer, s->size, &s->pages_end, &len, err);
    if (r < 0)
        return r;
    r = store_get_exact(s->store, s->name, 0, page0, sizeof page0, err);
    if (r < 0)
        return r;
    bk_auto(bk_buf_clear) struct bk_buf resident = BK_BUF(RESIDENT_MAX);
    uint8_t *p;
    r = len > RESIDENT_MAX ? bk_fail(err, BK_E_LIMIT, "the resident part is too large")
                           : bk_buf_extend(&resident, (size_t)len, &p, err);
    if (r < 0)
        return r;
    r = store_get_exact(s->store, s->name, s->pages_end, p, (size_t)len, err);
    if (r < 0)
        return r;
    return segment_open(k, page0, p, (size_t)len, trailer, &s->seg, err);
}

/* The packs that a sound page of the last region names. */
static int take_packs(struct check *c, const struct segment_scan *s, uint32_t page, const uint8_t *data,
                      struct bk_error *err)
{
    uint64_t first = (uint64_t)(page - s->seg.packs_page) * SEGMENT_PACKS_PER_PAGE;
    for (uint64_t i = first; i < s->seg.n_packs && i < first + SEGMENT_PACKS_PER_PAGE; i++) {
        if (c->n_named == c->cap_named) {
            size_t cap = c->cap_named ? c->cap_named * 2 : 256;
            struct segment_pack *v = reallocarray(c->named, cap, sizeof *v);
            if (!v)
                return bk_fail_errno(err, ENOMEM, "list the packs");
            c->named = v;
            c->cap_named = cap;
        }
        segment_pack_line(data, i, &c->named[c->n_named++]);
    }
    return 0;
}

static int check_pages(struct check *c, const struct segment_scan *s, uint64_t offset, const uint8_t *data,
                       size_t len, struct bk_error *err)
{
    int first = 0;
    struct bk_error why = { 0 };
    for (size_t at = 0; at + SEGMENT_PAGE <= len; at += SEGMENT_PAGE) {
        uint64_t page = (offset + at) / SEGMENT_PAGE;
        if (page >= s->seg.n_pages)
            break;
        int r = segment_page_check(&s->seg, (uint32_t)page, data + at, first ? &why : err);
        if (r == 0 && page >= s->seg.packs_page)
            r = take_packs(c, s, (uint32_t)page, data + at, first ? &why : err);
        if (check_fatal(r))
            return r;
        if (r < 0 && !first)
            first = r;
    }
    return first;
}

/* All bytes once: pages against their digests, everything against the name. */
static int read_through(struct check *c, const struct segment_scan *s, uint8_t *block, struct bk_error *err)
{
    enum { BLOCK = BLOCK_PAGES * SEGMENT_PAGE };
    uint8_t hash[SUITE_HASH];
    bk_auto(suite_digest_free) struct suite_digest *d = NULL;
    int bad = 0; /* the first damaged page; the others may still name packs */
    struct bk_error later = { 0 };
    int r = suite_digest_new(repo_config(c->repo)->suite, &d, err);
    for (uint64_t at = 0; at < s->size && r == 0; at += BLOCK) {
        size_t n = s->size - at < BLOCK ? (size_t)(s->size - at) : (size_t)BLOCK;
        r = job_check(c->job, err);
        if (r == 0)
            r = store_get_exact(s->store, s->name, at, block, n, err);
        if (r == 0)
            r = check_pages(c, s, at, block, n, bad ? &later : err);
        if (r < 0 && !check_fatal(r)) {
            bad = bad ? bad : r;
            r = 0;
        }
        if (r == 0)
            r = suite_digest_update(d, block, n, err);
        if (r == 0) {
            c->rep.bytes_read += n;
            c->job->done_bytes += n;
        }
    }
    if (r < 0 || bad < 0)
        return r < 0 ? r : bad;
    r = suite_digest_finish(d, hash, err);
    if (r < 0)
        return r;
    char path[REPO_PATH];
    repo_id_path("index/", hash, SUITE_HASH, path);
    if (strcmp(path, s->name) != 0)
        return bk_fail(err, BK_E_CORRUPT, "its bytes do not hash to its name");
    return 0;
}

static int look_through(struct check *c, struct segment_scan *s, uint8_t *block, struct bk_error *err)
{
    int r = open_segment(s, repo_keyring(c->repo), err);
    if (r == 0) {
        s->n_frames = s->seg.n_frames;
        r = read_through(c, s, block, err);
    }
    segment_clear(&s->seg);
    return r;
}

/* *ret_gone: it went since it was listed, when a backup merged it with others. */
static int check_segment(struct check *c, const struct names_item *item, uint8_t *block, bool *ret_gone,
                         struct bk_error *err)
{
    struct bk_error why = { 0 };
    struct segment_scan s = { .store = repo_store(c->repo), .name = item->name, .size = item->size };
    c->rep.n_objects++;
    size_t named = c->n_named;
    int r = look_through(c, &s, block, &why);
    if (r == BK_E_CORRUPT && repo_heal(c->repo, item->name) &&
        store_stat(s.store, s.name, &s.size, NULL) == 0) {
        c->n_named = named;
        why = (struct bk_error){ 0 };
        r = look_through(c, &s, block, &why);
    }
    c->rep.n_frames += s.n_frames;
    if (check_fatal(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r == BK_E_ABSENT)
        *ret_gone = true;
    else if (r < 0) {
        c->index_damaged = true;
        bk_hint(&why,
                "no file is hit by this: what it held is read from the packs, and backups store it anew");
        check_found(c, item->name, &why);
    }
    return 0;
}

static int check_listed(struct check *c, const struct names *list, const struct names *before, bool *ret_gone,
                        struct bk_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (!names_find(before, list->v[i].name))
            c->job->total_bytes += list->v[i].size;
    bk_auto(free) uint8_t *block = malloc((size_t)BLOCK_PAGES * SEGMENT_PAGE);
    if (!block)
        return bk_fail(err, BK_E_NOMEM, "not enough memory to check the index");
    int r = 0;
    for (size_t i = 0; i < list->n && r == 0; i++)
        if (!names_find(before, list->v[i].name))
            r = check_segment(c, &list->v[i], block, ret_gone, err);
    return r;
}

/* Superseded segments are checked like any: they stand for the rest should what supersedes them be lost. */
int check_segments(struct check *c, struct bk_error *err)
{
    bk_auto(names_clear) struct names before = { 0 };
    bool gone = true;
    int r = 0;
    for (unsigned i = 0; r == 0 && gone && i < LISTINGS_MAX; i++) {
        struct names list = { 0 };
        gone = false;
        r = names_list(repo_store(c->repo), "index/", CHECK_LIST_MAX, &list, err);
        if (r == 0)
            r = check_listed(c, &list, &before, &gone, err);
        names_clear(&before);
        before = list;
    }
    if (r == 0)
        r = index_open(c->repo, index_ignore_damage, NULL, &c->index, err); /* told by the scan */
    if (r < 0)
        return r;
    index_set_job(c->index, c->job);
    c->rep.n_chunks = index_entries(c->index);
    return 0;
}
