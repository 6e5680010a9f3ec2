#include "bkd/repo/check_content.h"

#include <stdio.h>
#include <string.h>

#include "bkd/repo/index_recover.h"

enum { PATH_LIMIT = 64 << 20 };

void check_content_init(struct content_walk *w, struct check *c, struct reader *reader)
{
    *w = (struct content_walk){ .c = c, .reader = reader, .path = BK_BUF(PATH_LIMIT) };
    w->clean.limit = c->job->memory_bytes / 4;
}

void check_content_clear(struct content_walk *w)
{
    idset_clear(&w->clean);
    bk_buf_clear(&w->path);
}

/* A segment is put before the snapshot that needs it. A chunk that only its pack knows of tells that one is
 * gone, whose name nobody knows, or lacks it; told once. */
static void see_where(struct content_walk *w, const struct chunk_loc *loc)
{
    struct bk_error why = { 0 };
    char path[REPO_PATH];
    if (!loc->recovered || w->c->index_damaged || w->c->index_lost)
        return;
    w->c->index_lost = true;
    repo_pack_path(loc->kind, &loc->pack, path);
    bk_fail(&why, BK_E_ABSENT, "it is incomplete: what %s holds is needed and not in it", path);
    bk_hint(&why, "no file is hit; bkctl prune makes the index whole again");
    check_found(w->c, "index/", &why);
}

int check_content_page(struct content_walk *w, const chunk_id *id, struct bk_buf *out, struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    struct chunk_loc loc;
    if ((w->c->rep.n_orphan_packs || index_has(w->c->index, id, &ignored) != 1) &&
        index_locate(w->c->index, id, &loc, &ignored) == 1)
        see_where(w, &loc);
    return reader_chunk(w->reader, 0, CHUNK_META, id, out, err);
}

static void tell(struct content_walk *w, const char *object, const struct bk_error *why, uint64_t offset,
                 uint64_t len)
{
    struct check_damage d = {
        .object = object,
        .why = why,
        .snapshot = w->snapshot,
        .path = w->path.len ? w->path.data : (const uint8_t *)"/",
        .path_len = w->path.len ? w->path.len : 1,
        .offset = offset,
        .len = len,
    };
    check_hit(w->c, &d, !w->file_hit);
    w->file_hit = true;
}

/* The range that has been growing is complete. */
static void tell_range(struct content_walk *w)
{
    struct bk_error why = { 0 };
    if (!w->hit_len)
        return;
    bk_fail(&why, BK_E_CORRUPT, "its bytes in %s are damaged or missing", w->hit_object);
    tell(w, w->hit_object, &why, w->hit_offset, w->hit_len);
    w->hit_len = 0;
}

static void hit_range(struct content_walk *w, const char *object, uint64_t offset, uint64_t len)
{
    if (w->hit_len && w->hit_offset + w->hit_len == offset && strcmp(w->hit_object, object) == 0) {
        w->hit_len += len;
        return;
    }
    tell_range(w);
    snprintf(w->hit_object, sizeof w->hit_object, "%s", object);
    w->hit_offset = offset;
    w->hit_len = len;
}

/* Tell an object's damage when nobody has: packs by their own name, chunks that no index names by theirs. */
static int tell_object(struct content_walk *w, const uint8_t id[static IDSET_ID], const char *object,
                       const struct bk_error *why, struct bk_error *err)
{
    if (idset_has(&w->c->bad_packs, id) && !idset_has(&w->c->gone_packs, id))
        return 0;
    int r = idset_add(&w->c->reported, id, err);
    if (r == 1) {
        w->c->rep.n_packs_gone -= idset_has(&w->c->gone_packs, id);
        check_found(w->c, object, why);
    }
    return r < 0 ? r : 0;
}

static int unknown_chunk(struct content_walk *w, const chunk_id *id, struct bk_error *err)
{
    struct bk_error why = { 0 };
    char hex[2 * CHUNK_ID + 1];
    object_hex(id->b, CHUNK_ID, hex);
    bk_fail(&why, BK_E_ABSENT, "chunk %s is in no index segment", hex);
    bk_hint(&why, "the pack that held it is gone");
    return tell_object(w, id->b, "index/", &why, err);
}

/* Tell the object that a page was in, once, and name it. 0, or the code when why ends the check. */
static int page_failed(struct content_walk *w, const chunk_id *id, const struct bk_error *why,
                       char object[static REPO_PATH], struct bk_error *err)
{
    struct chunk_loc loc;
    struct bk_error ignored = { 0 };
    if (check_fatal(why->code)) {
        if (err)
            *err = *why;
        return why->code;
    }
    if (index_find(w->c->index, id, &loc, &ignored) != 1) {
        snprintf(object, REPO_PATH, "index/");
        return unknown_chunk(w, id, err);
    }
    repo_pack_path(loc.kind, &loc.pack, object);
    return tell_object(w, loc.pack.b, object, why, err);
}

int check_content_meta_hit(struct content_walk *w, const chunk_id *id, const struct bk_error *why,
                           struct bk_error *err)
{
    char object[REPO_PATH];
    int r = page_failed(w, id, why, object, err);
    if (r < 0)
        return r;
    w->file_hit = false;
    tell(w, object, why, 0, 0);
    return 0;
}

static bool place_is_bad(const struct check *c, const struct chunk_loc *loc, const chunk_id *id)
{
    uint8_t place[IDSET_ID];
    if (!idset_has(&c->bad_packs, loc->pack.b))
        return false;
    check_place(&loc->pack, loc->offset, id, place);
    return !idset_has(&c->good_chunks, place);
}

/* What lies in it is needed. 0, or the code of what ends the check. */
static int pack_gone(struct content_walk *w, const struct chunk_loc *loc, const char *object,
                     struct bk_error *err)
{
    struct bk_error why = { 0 };
    if (!idset_has(&w->c->gone_packs, loc->pack.b))
        return 0;
    bk_fail(&why, BK_E_ABSENT, "the pack is missing");
    return tell_object(w, loc->pack.b, object, &why, err);
}

/* Where the data of one extent is: 0 sound, 1 damaged. */
static int check_extent(struct content_walk *w, const struct extent *x, uint64_t offset, struct bk_error *err)
{
    struct chunk_loc loc = { 0 };
    if (x->kind != EXTENT_DATA || (w->have_last && chunk_id_cmp(&w->last, &x->id) == 0))
        return 0;
    /* Is it there at all reads one page; where it is reads three. */
    bool any_bad = w->c->bad_packs.n > 0 || w->c->index_damaged || w->c->rep.n_orphan_packs > 0;
    struct bk_error why = { 0 };
    bool there = !any_bad && index_has(w->c->index, &x->id, &why) == 1;
    int r = there ? 1 : index_locate(w->c->index, &x->id, &loc, &why);
    if (check_fatal(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r == 1 && !there)
        see_where(w, &loc);
    bool sound = there || (r == 1 && !place_is_bad(w->c, &loc, &x->id));
    struct chunk_loc other;
    pack_name bad = loc.pack;
    if (r == 1 && !sound &&
        index_find_elsewhere(w->c->index, &x->id, &bad, &other, &(struct bk_error){ 0 }) == 1)
        sound = !place_is_bad(w->c, &other, &x->id);
    if (sound) {
        w->last = x->id;
        w->have_last = true;
        return 0;
    }
    char object[REPO_PATH] = "index/";
    if (r == 1) {
        repo_pack_path(loc.kind, &loc.pack, object);
        r = pack_gone(w, &loc, object, err);
    } else if (r == 0)
        r = unknown_chunk(w, &x->id, err);
    hit_range(w, object, offset, x->len);
    return check_fatal(r) ? r : 1;
}

static int check_extents(struct content_walk *w, const struct extent *v, size_t n, uint64_t offset,
                         struct bk_error *err)
{
    bool hit = false;
    for (size_t i = 0; i < n; i++) {
        int r = check_extent(w, &v[i], offset, err);
        if (r < 0)
            return r;
        hit |= r == 1;
        offset += v[i].len;
    }
    return hit;
}

static int check_page(struct content_walk *w, const chunk_id *id, unsigned depth, uint64_t offset,
                      uint64_t len, struct bk_error *err);

static int check_leaf(struct content_walk *w, const struct bk_buf *page, uint64_t offset, uint64_t len,
                      struct bk_error *why, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents e = { 0 };
    int r = content_leaf_decode(page->data, page->len, &e, why);
    if (r == 0 && e.len != len)
        r = bk_fail(why, BK_E_CORRUPT, "a page covers %llu bytes of content where %llu are due",
                    (unsigned long long)e.len, (unsigned long long)len);
    return r < 0 ? r : check_extents(w, e.v, e.n, offset, err);
}

static int check_inner(struct content_walk *w, const struct bk_buf *page, unsigned depth, uint64_t offset,
                       uint64_t len, struct bk_error *why, struct bk_error *err)
{
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    uint64_t sum = 0;
    int r = content_inner_decode(page->data, page->len, depth, &v, &n, why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, v[i].len, &sum))
            return bk_fail(why, BK_E_CORRUPT, "the lengths of a page's children overflow");
    if (sum != len)
        return bk_fail(why, BK_E_CORRUPT, "a page covers %llu bytes of content where %llu are due",
                       (unsigned long long)sum, (unsigned long long)len);
    bool hit = false;
    for (size_t i = 0; i < n; i++) {
        r = check_page(w, &v[i].id, depth - 1, offset, v[i].len, err);
        if (r < 0)
            return r;
        hit |= r == 1;
        offset += v[i].len;
    }
    return hit;
}

/* One page and all below it; depth falls with each level, so that recursion ends. */
static int check_page(struct content_walk *w, const chunk_id *id, unsigned depth, uint64_t offset,
                      uint64_t len, struct bk_error *err)
{
    if (idset_has(&w->clean, id->b))
        return 0;
    int r = job_check(w->c->job, err);
    if (r < 0)
        return r;
    struct bk_error why = { 0 }, fatal = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    r = check_content_page(w, id, &page, &why);
    if (r == 0)
        r = depth == 1 ? check_leaf(w, &page, offset, len, &why, &fatal)
                       : check_inner(w, &page, depth, offset, len, &why, &fatal);
    if (fatal.code) {
        if (err)
            *err = fatal;
        return fatal.code;
    }
    if (r < 0) {
        char object[REPO_PATH];
        r = page_failed(w, id, &why, object, err);
        if (r < 0)
            return r;
        hit_range(w, object, offset, len);
        return 1;
    }
    if (r == 1)
        return 1;
    r = idset_add(&w->clean, id->b, err);
    return r < 0 ? r : 0;
}

int check_content(struct content_walk *w, const struct content *content, struct bk_error *err)
{
    w->file_hit = false;
    w->hit_len = 0;
    int r;
    if (content->depth == 0)
        r = check_extents(w, content->inline_, content->n_inline, 0, err);
    else
        r = check_page(w, &content->root, content->depth, 0, content->size, err);
    tell_range(w);
    return r;
}
