#include "bkd/life/explain.h"

#include "bkd/life/prune_state.h"
#include "bkd/repo/idset.h"
#include "bkd/repo/index_recover.h"
#include "bkd/repo/reader.h"

enum { PREFIX_MIN = 8, DEEP_MAX = 1024, PATH_LIMIT = 1 << 22 };

struct explain {
    struct job *job;
    struct mark m; /* for its listing and its scan of the index */
    struct reader *reader;
    struct idset targets, needed;
    struct idset clean; /* pages below which no target is */
    uint32_t pack;      /* wanted, or PACK_NONE */
    chunk_id chunk;
    explain_fn *fn;
    void *ctx;
    struct explain_report rep;
    const struct snapshot *snap; /* at hand */
    bool snap_counted;
    struct bk_buf path;
    unsigned depth;
};

static bool fits(const pack_name *name, const char *hex)
{
    char full[2 * PACK_NAME + 1];
    object_hex(name->b, PACK_NAME, full);
    return strncmp(full, hex, strlen(hex)) == 0;
}

/* 1 a pack, 0 none. */
static int find_pack(struct explain *x, const char *hex, struct bk_error *err)
{
    x->pack = PACK_NONE;
    for (uint32_t i = 0; i < x->m.packs.n; i++) {
        if (!fits(&x->m.packs.v[i].name, hex))
            continue;
        if (x->pack != PACK_NONE)
            return bk_fail(err, BK_E_AMBIGUOUS, "'%s' fits more than one pack", hex);
        x->pack = i;
    }
    return x->pack != PACK_NONE;
}

static int gather(void *ctx, const struct scanned *s, struct bk_error *err)
{
    struct explain *x = ctx;
    if (s->pack == PACK_NONE)
        return 0;
    if (x->pack != PACK_NONE) {
        int r = s->pack == x->pack ? idset_add(&x->targets, s->e->id.b, err) : 0;
        x->rep.n_chunks += r == 1;
        return r < 0 ? r : 0;
    }
    if (chunk_id_cmp(&s->e->id, &x->chunk) != 0)
        return 0;
    x->rep.n_places++;
    const struct pack *k = &x->m.packs.v[s->pack];
    repo_pack_path(k->kind, &k->name, x->rep.object);
    x->rep.bytes = k->bytes;
    return 0;
}

static int choose_targets(struct explain *x, const char *hex, struct bk_error *err)
{
    size_t len = strlen(hex);
    int r = len < PREFIX_MIN || strspn(hex, "0123456789abcdef") != len || len > 2 * CHUNK_ID ? -1 : 0;
    if (r < 0) {
        bk_fail(err, BK_E_USAGE, "'%s' is no name of a pack and no id of a chunk", hex);
        return bk_hint(err, "at least 8 digits of a pack's name, or all 64 of a chunk's id, in lower case");
    }
    r = find_pack(x, hex, err);
    if (r < 0)
        return r;
    x->rep.is_pack = r == 1;
    if (r == 0 && object_unhex(hex, x->chunk.b, CHUNK_ID) < 0)
        return bk_fail(err, BK_E_ABSENT, "no pack is called '%s'", hex);
    r = mark_scan(&x->m, 0, 1, gather, x, err);
    if (r < 0)
        return r;
    if (x->rep.is_pack) {
        const struct pack *k = &x->m.packs.v[x->pack];
        repo_pack_path(k->kind, &k->name, x->rep.object);
        x->rep.bytes = k->bytes;
        x->rep.named = k->flags & PACK_NAMED;
        return 0;
    }
    if (!x->rep.n_places)
        return bk_fail(err, BK_E_ABSENT, "no pack has a chunk '%s'", hex);
    x->rep.n_chunks = 1;
    x->rep.named = true;
    r = idset_add(&x->targets, x->chunk.b, err);
    return r < 0 ? r : 0;
}

/* 1 when it is a target. */
static int hit(struct explain *x, const chunk_id *id, struct bk_error *err)
{
    if (!idset_has(&x->targets, id->b))
        return 0;
    int r = idset_add(&x->needed, id->b, err);
    if (r < 0)
        return r;
    x->rep.n_needed += (uint64_t)r;
    return 1;
}

static void tell(struct explain *x)
{
    x->rep.n_uses++;
    x->rep.n_snapshots += !x->snap_counted;
    x->snap_counted = true;
    if (x->path.len)
        x->fn(x->ctx, x->snap, x->path.data, x->path.len);
    else
        x->fn(x->ctx, x->snap, "/", 1);
}

static int page(struct explain *x, const chunk_id *id, struct bk_buf *out, struct bk_error *err)
{
    int r = job_check(x->job, err);
    return r < 0 ? r : reader_chunk(x->reader, 0, CHUNK_META, id, out, err);
}

static int extents(struct explain *x, const struct extent *v, size_t n, struct bk_error *err)
{
    int any = 0;
    for (size_t i = 0; i < n; i++) {
        int r = v[i].kind == EXTENT_DATA ? hit(x, &v[i].id, err) : 0;
        if (r < 0)
            return r;
        any |= r;
    }
    return any;
}

/* 1 when a target is in the content. Depth falls with each level. */
static int content_page(struct explain *x, const chunk_id *id, unsigned depth, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    bk_auto(extents_clear) struct extents e = { 0 };
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    if (idset_has(&x->clean, id->b))
        return 0;
    int any = hit(x, id, err);
    int r = any < 0 ? any : page(x, id, &b, err);
    if (r == 0 && depth == 1) {
        r = content_leaf_decode(b.data, b.len, &e, err);
        if (r == 0)
            r = extents(x, e.v, e.n, err);
        any |= r == 1;
    } else if (r == 0) {
        r = content_inner_decode(b.data, b.len, depth, &v, &n, err);
        for (size_t i = 0; r >= 0 && i < n; i++) {
            r = content_page(x, &v[i].id, depth - 1, err);
            any |= r == 1;
        }
    }
    if (r >= 0 && !any)
        r = idset_add(&x->clean, id->b, err);
    return r < 0 ? r : any;
}

static int content(struct explain *x, const struct content *c, struct bk_error *err)
{
    return c->depth ? content_page(x, &c->root, c->depth, err) : extents(x, c->inline_, c->n_inline, err);
}

static int directory(struct explain *x, const chunk_id *id, unsigned depth, bool *own, struct bk_error *err);

/* 1 when a target is in it or below it. */
static int entry(struct explain *x, const struct tree_entry *e, struct bk_error *err)
{
    size_t before = x->path.len;
    bool own = false;
    int r = bk_buf_append(&x->path, "/", 1, err);
    if (r == 0)
        r = bk_buf_append(&x->path, e->name, e->name_len, err);
    if (r == 0 && e->type == TREE_FILE) {
        r = content(x, &e->content, err);
        own = r == 1;
    } else if (r == 0 && e->type == TREE_DIR && e->dir.depth) {
        r = ++x->depth > DEEP_MAX
                ? bk_fail(err, BK_E_LIMIT, "the tree is deeper than %d directories", DEEP_MAX)
                : directory(x, &e->dir.id, e->dir.depth, &own, err);
        x->depth--;
    }
    if (own && r >= 0)
        tell(x);
    x->path.len = before;
    return r;
}

/* own: a page of the directory itself is a target. */
static int directory(struct explain *x, const chunk_id *id, unsigned depth, bool *own, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
    bk_auto(free) struct tree_child *v = NULL;
    struct tree_page pg;
    struct tree_entry e;
    size_t n = 0;
    if (idset_has(&x->clean, id->b))
        return 0;
    int any = hit(x, id, err);
    *own |= any == 1;
    int r = any < 0 ? any : page(x, id, &b, err);
    if (r == 0 && depth == 1) {
        r = tree_page_open(b.data, b.len, &pg, err);
        while (r == 0 && (r = tree_page_next(&pg, &e, err)) == 1) {
            r = entry(x, &e, err);
            any |= r == 1;
            r = r < 0 ? r : 0;
        }
    } else if (r == 0) {
        r = tree_index_decode(b.data, b.len, depth, &v, &n, err);
        for (size_t i = 0; r >= 0 && i < n; i++) {
            r = directory(x, &v[i].id, depth - 1, own, err);
            any |= r == 1;
        }
    }
    if (r >= 0 && !any)
        r = idset_add(&x->clean, id->b, err);
    return r < 0 ? r : any;
}

static int snapshot(struct explain *x, const struct snapshot *s, struct bk_error *err)
{
    x->snap = s;
    x->snap_counted = false;
    for (size_t i = 0; i < s->n_streams; i++) {
        const struct snapshot_stream *st = &s->streams[i];
        bool own = false;
        int r = 0;
        x->path.len = 0;
        if (st->kind == STREAM_TREE) {
            r = st->tree.depth ? directory(x, &st->tree.id, st->tree.depth, &own, err) : 0;
        } else {
            r = bk_buf_append(&x->path, st->name, strlen(st->name), err);
            if (r == 0)
                r = content(x, &st->content, err);
            own = r == 1;
        }
        if (r < 0)
            return r;
        if (own)
            tell(x);
    }
    return 0;
}

static int find_state(struct explain *x, struct bk_error *err)
{
    bk_auto(collection_clear) struct collection c = { 0 };
    int r = collection_read(x->m.repo, &c, err);
    if (r < 0 || !x->rep.is_pack)
        return r;
    const struct pack *k = &x->m.packs.v[x->pack];
    if (tombstones_find(&c.list, k->kind, &k->name) == SIZE_MAX)
        return 0;
    x->rep.state = c.state == COLLECTION_UNDECIDED           ? EXPLAIN_CANDIDATE
                   : collection_shuns(&c, k->kind, &k->name) ? EXPLAIN_DOOMED
                                                             : EXPLAIN_LIFTED;
    return 0;
}

static void left_out(void *ctx, const char *object, const struct bk_error *why)
{
    job_log(ctx, JOB_WARN, "left out '%s': %s", object, why->text);
}

static int run(struct explain *x, const char *what, struct catalog *c, struct bk_error *err)
{
    struct repo *repo = x->m.repo;
    int r = catalog_load(repo, left_out, x->job, c, err);
    if (r == 0)
        r = index_open(repo, left_out, x->job, &x->m.index, err);
    if (r == 0)
        r = packs_list(repo_store(repo), &x->m.packs, err);
    if (r == 0)
        r = choose_targets(x, what, err);
    if (r == 0)
        r = find_state(x, err);
    if (r == 0)
        r = reader_new(repo, x->m.index, 1, x->job->memory_bytes / 8, &x->reader, err);
    if (r == 0)
        index_set_job(x->m.index, x->job);
    for (size_t i = c->n; r == 0 && i-- > 0;) /* the newest first */
        r = snapshot(x, &c->v[i].snap, err);
    return r;
}

int explain_run(struct repo *repo, struct job *j, const char *what, explain_fn *fn, void *ctx,
                struct explain_report *ret, struct bk_error *err)
{
    struct explain x = {
        .job = j, .m = { .repo = repo, .job = j }, .fn = fn, .ctx = ctx, .path = BK_BUF(PATH_LIMIT)
    };
    bk_auto(catalog_clear) struct catalog c = { 0 };
    x.clean.limit = j->memory_bytes / 4;
    int r = run(&x, what, &c, err);
    if (r == 0)
        *ret = x.rep;
    reader_free(x.reader);
    mark_clear(&x.m);
    idset_clear(&x.targets);
    idset_clear(&x.needed);
    idset_clear(&x.clean);
    bk_buf_clear(&x.path);
    return r;
}
