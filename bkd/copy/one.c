/* One snapshot: session, the parts in their order, commit. */
#include <errno.h>
#include <string.h>

#include "bkd/backup/pieces.h"
#include "bkd/copy/inside.h"
#include "bkd/copy/origin.h"
#include "bkd/life/keep.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_recover.h"

enum { WINDOW_MIN = 4096, WINDOW_MAX = 1 << 18, ITEM_BYTES = 96 };

/* ---- what all snapshots of the run share ------------------------------------------------------------ */

static int open_source(struct copy *c, struct bk_error *err)
{
    size_t cache = c->job->memory_bytes / 8;
    if (c->pool)
        return 0;
    int r = index_open(c->from, copy_tell_damage, c, &c->from_index, err);
    if (r < 0)
        return r;
    index_set_job(c->from_index, c->job);
    c->lane = c->job->n_threads;
    r = reader_new(c->from, c->from_index, c->lane + 1, cache, &c->from_reader, err);
    return r < 0 ? r : pool_new(c->job->n_threads, &c->pool, err);
}

/* Packs that no segment names hold what an interrupted copy has moved already. */
static int adopt(struct copy *c, struct bk_error *err)
{
    uint64_t adopted = 0;
    int r = index_adopt_packs(c->to_index, c->job, &adopted, err);
    if (r == 0 && adopted)
        job_log(c->job, JOB_INFO,
                BK_COUNTED("%llu pack of earlier runs found again", "%llu packs of earlier runs found again",
                           adopted),
                (unsigned long long)adopted);
    /* A store that keeps what is damaged from being replaced must not keep us from copying. */
    if (r == BK_E_PERM || r == BK_E_UNSUPPORTED) {
        job_log(c->job, JOB_WARN, "the index stays incomplete: %s", err ? err->text : "");
        r = 0;
    }
    return r;
}

void copy_close_target(struct copy *c)
{
    reader_free(c->to_reader);
    index_free(c->to_index);
    session_free(c->anchor);
    pairs_free(c->pairs);
    idset_clear(&c->learned);
    c->to_reader = NULL;
    c->to_index = NULL;
    c->anchor = NULL;
    c->pairs = NULL;
}

/* What was learned of the target holds as long as nothing is collected there: while the generation that a
 * session finds is the one of the session under which the index was opened. */
static int open_target(struct copy *c, struct bk_error *err)
{
    if (c->anchor && session_record(c->anchor)->generation == session_record(c->session)->generation)
        return 0;
    copy_close_target(c);
    int r = index_open(c->to, copy_tell_damage, c, &c->to_index, err);
    if (r == 0)
        r = index_guard(c->to_index, session_collection(c->session), err);
    if (r == 0)
        r = adopt(c, err);
    if (r < 0)
        return r;
    index_set_job(c->to_index, c->job);
    r = reader_new(c->to, c->to_index, 1, c->job->memory_bytes / 16, &c->to_reader, err);
    if (r == 0)
        r = pairs_new(c->job->memory_bytes / 4, &c->pairs, err);
    c->learned = (struct idset){ .limit = c->job->memory_bytes / 32 };
    return r;
}

/* ---- the snapshot at hand --------------------------------------------------------------------------- */

/* What the target has and nobody can read must not be taken for stored. */
static void distrust(void *ctx, const pack_name *pack)
{
    struct copy *c = ctx;
    struct bk_error err = { 0 };
    if (c->writer && writer_distrust(c->writer, pack, &err) < 0)
        job_log(c->job, JOB_WARN, "what a damaged pack held is not stored again: %s", err.text);
}

static int begin(struct copy *c, const struct catalog_item *i, struct bk_error *err)
{
    size_t window = c->job->memory_bytes / 16 / ITEM_BYTES;
    losses_init(&c->losses, &c->o, &i->snap);
    c->result = (struct copy_result){ 0 };
    c->seen = (struct idset){ .limit = c->job->memory_bytes / 32 };
    int r = open_source(c, err);
    if (r == 0)
        r = session_open(c->to, SESSION_WRITER, "copy", &c->session, err);
    if (r == 0)
        r = open_target(c, err);
    if (r == 0)
        r = writer_new(c->to, c->to_index, c->job,
                       &(struct writer_opts){ .n_lanes = c->job->n_threads,
                                              .level = c->o.zstd_level,
                                              .memory_bytes = c->job->memory_bytes / 4 },
                       &c->writer, err);
    if (r < 0)
        return r;
    reader_on_damage(c->to_reader, distrust, c);
    return mover_new(&(struct mover_opts){ .from = c->from_reader,
                                           .to = c->writer,
                                           .pairs = c->pairs,
                                           .pool = c->pool,
                                           .job = c->job,
                                           .window = window < WINDOW_MIN   ? WINDOW_MIN
                                                     : window > WINDOW_MAX ? WINDOW_MAX
                                                                           : window },
                     &c->mover, err);
}

void copy_end(struct copy *c)
{
    mover_free(c->mover);
    c->mover = NULL;
    if (c->to_reader)
        reader_on_damage(c->to_reader, NULL, NULL);
    writer_free(c->writer);
    c->writer = NULL;
    /* The index borrows from the session that it was opened under. */
    if (!c->anchor && c->to_index)
        c->anchor = bk_steal(c->session);
    session_free(c->session);
    c->session = NULL;
    idset_clear(&c->seen);
    losses_clear(&c->losses);
}

/* May what a copy reaches be taken as there, without a look at each chunk of it? Not while a collection is
 * undecided; and the copy must still stand now that our session does: then no collection has gone without it,
 * and the next one waits for us. docs/design/protocol.md */
static bool is_firm(const struct copy *c, const struct snapshot *t)
{
    enum collection_state state = session_collection(c->session)->state;
    char path[REPO_PATH];
    uint64_t size;
    repo_id_path("snapshots/", t->id, SESSION_ID, path);
    return (state == COLLECTION_NONE || state == COLLECTION_DECIDED) &&
           store_stat(repo_store(c->to), path, &size, NULL) == 0;
}

/* Its nearest relative that has a sound copy: the newest before it of that name, else the one after it. */
static const struct catalog_item *relative(const struct copy *c, const struct catalog_item *i)
{
    size_t at = (size_t)(i - c->source.v);
    const struct catalog_item *found = NULL;
    for (size_t k = 0; k < c->source.n && !(found && k > at); k++) {
        const struct snapshot *s = &c->source.v[k].snap, *t = c->there[k].snap;
        if (k != at && t && t->n_streams && strcmp(s->name, i->snap.name) == 0 && !copy_is_damaged(t, s))
            found = &c->source.v[k];
    }
    return found && is_firm(c, c->there[found - c->source.v].snap) ? found : NULL;
}

/* All that a content names, in one list. */
static int flatten(struct copy *c, const chunk_id *id, unsigned depth, struct extents *ret,
                   struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    int r = copy_page(c, id, &page, err);
    if (r < 0 || depth == 1)
        return r < 0 ? r : content_leaf_decode(page.data, page.len, ret, err);
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    r = content_inner_decode(page.data, page.len, depth, &v, &n, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = flatten(c, &v[i].id, depth - 1, ret, err);
    return r;
}

/* The records that the original has, under the names of the target; none when they are lost, too. */
static int old_records(struct copy *c, const struct snapshot *s, struct extents *ret, struct bk_error *err)
{
    const struct snapshot_stream *st = snapshot_stream_of(s, STREAM_EXCEPTIONS);
    int r = 0;
    if (!st)
        return 0;
    if (st->content.depth)
        r = flatten(c, &st->content.root, st->content.depth, ret, err);
    for (size_t i = 0; i < st->content.n_inline && r == 0 && !st->content.depth; i++)
        r = extents_add(ret, &st->content.inline_[i], err);
    for (size_t i = 0; i < ret->n && r == 0; i++)
        if (ret->v[i].kind == EXTENT_DATA && !pairs_find(c->pairs, &ret->v[i].id, &ret->v[i].id))
            r = BK_E_CORRUPT;
    if (copy_lost(r)) {
        extents_clear(ret);
        *ret = (struct extents){ 0 };
        return 0;
    }
    return r;
}

static struct snapshot_stream *exceptions_of(struct snapshot *s, struct bk_error *err)
{
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].kind == STREAM_EXCEPTIONS)
            return &s->streams[i];
    struct snapshot_stream *v = reallocarray(s->streams, s->n_streams + 1, sizeof *v);
    if (v)
        s->streams = v;
    char *name = v ? strdup("exceptions") : NULL;
    if (!name) {
        bk_fail_errno(err, ENOMEM, "describe the snapshot");
        return NULL;
    }
    v[s->n_streams] = (struct snapshot_stream){ .kind = STREAM_EXCEPTIONS, .name = name };
    return &v[s->n_streams++];
}

/* The losses, behind the exceptions that the original has. */
static int store_losses(struct copy *c, const struct snapshot *original, struct snapshot *s,
                        struct bk_error *err)
{
    const struct bk_buf *b = &c->losses.records;
    struct sink sink = { .w = c->writer, .repo = c->to, .index = c->to_index };
    bk_auto(extents_clear) struct extents x = { 0 };
    bk_auto(pieces_clear) struct pieces p = { 0 };
    int r = old_records(c, original, &x, err);
    for (size_t at = 0; at < b->len && r == 0;) {
        struct extent e = { .kind = EXTENT_DATA, .len = b->len - at < CHUNK_MAX ? b->len - at : CHUNK_MAX };
        r = writer_put(c->writer, 0, CHUNK_DATA, b->data + at, (size_t)e.len, &e.id, err);
        if (r == 0)
            r = extents_add(&x, &e, err);
        at += (size_t)e.len;
    }
    struct snapshot_stream *st = r == 0 ? exceptions_of(s, err) : NULL;
    if (!st)
        return r < 0 ? r : BK_E_NOMEM;
    r = pieces_add(&p, &sink, 0, &x, err);
    if (r == 0)
        r = pieces_join(&p, &sink, 0, &st->content, err);
    s->n_exceptions += c->losses.n;
    if (s->state == STATE_COMPLETE)
        s->state = STATE_EXCEPTIONS;
    return r;
}

static int clone_snapshot(const struct snapshot *s, struct snapshot *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(RECORD_MAX);
    int r = snapshot_encode(s, &b, err);
    return r < 0 ? r : snapshot_decode(b.data, b.len, ret, err);
}

/* What a snapshot of the source is called in the target; false when it has no copy there. */
static bool counterpart(const struct copy *c, const uint8_t id[static SESSION_ID],
                        uint8_t ret[static SESSION_ID])
{
    for (size_t i = 0; i < c->source.n; i++)
        if (c->there[i].snap && memcmp(c->source.v[i].snap.id, id, SESSION_ID) == 0) {
            memcpy(ret, c->there[i].snap->id, SESSION_ID);
            return true;
        }
    return false;
}

/* What is different in the copy, but for its streams. */
static int describe(struct copy *c, const struct catalog_item *i, struct snapshot *s, struct bk_error *err)
{
    struct copy_origin o;
    copy_origin_of(c->from, &i->snap, &o);
    memcpy(s->origin_repo, o.repo, sizeof s->origin_repo);
    memcpy(s->origin, o.snapshot, sizeof s->origin);
    if (!counterpart(c, i->snap.parent, s->parent))
        memset(s->parent, 0, sizeof s->parent);
    if (!counterpart(c, i->snap.base, s->base))
        memcpy(s->base, session_record(c->session)->id, sizeof s->base);
    snapshot_list_clear(&s->tags);
    const struct snapshot_list *tags = catalog_tags(i);
    int r = 0;
    for (size_t k = 0; k < tags->n && r == 0; k++)
        r = snapshot_list_add(&s->tags, tags->v[k], err);
    return r;
}

static void account(struct copy *c)
{
    struct mover_totals m;
    struct writer_totals w;
    mover_totals(c->mover, &m);
    writer_totals(c->writer, &w);
    c->result.chunks_read = m.chunks;
    c->result.read_bytes = m.read_bytes;
    c->result.new_bytes = w.new_bytes;
    c->result.stored_bytes = w.stored_bytes;
    c->result.n_losses = c->losses.n;
}

static int move(struct copy *c, const struct catalog_item *i, struct snapshot *s, struct bk_error *err)
{
    const struct catalog_item *p = relative(c, i);
    int r = p ? learn_snapshot(c, &p->snap, copy_there(c, p), err) : 0;
    if (r == 0)
        r = gather_snapshot(c, &i->snap, p ? &p->snap : NULL, err);
    struct bk_error late = { 0 };
    int w = mover_wait(c->mover, r < 0 ? &late : err);
    r = r < 0 ? r : w;
    return r == 0 ? rewrite_snapshot(c, s, err) : r;
}

/* The copy counts from now on. */
static int remember(struct copy *c, const struct catalog_item *i, const struct snapshot *s,
                    struct bk_error *err)
{
    struct copied *t = &c->there[i - c->source.v];
    snapshot_clear(&t->own);
    t->own = (struct snapshot){ .sequence = s->sequence,
                                .level = s->level,
                                .state = s->state,
                                .start_ns = s->start_ns,
                                .end_ns = s->end_ns,
                                .n_exceptions = s->n_exceptions,
                                .content_bytes = s->content_bytes,
                                .stored_bytes = s->stored_bytes,
                                .name = strdup(s->name) };
    memcpy(t->own.id, s->id, SESSION_ID);
    t->snap = &t->own;
    return t->own.name ? 0 : bk_fail_errno(err, ENOMEM, "remember a copy");
}

static int commit(struct copy *c, const struct catalog_item *i, struct snapshot *s, struct bk_error *err)
{
    int r = c->losses.n ? store_losses(c, &i->snap, s, err) : 0;
    if (r == 0)
        r = job_check(c->job, err);
    struct keep keep = { 0 };
    if (r == 0)
        r = writer_finish(c->writer, err);
    if (r == 0)
        r = keep_needed(c->to_index, session_collection(c->session), c->job, !c->o.forgetful, &keep, err);
    if (r < 0)
        return r;
    account(c);
    s->new_bytes = c->result.new_bytes;
    s->stored_bytes = c->result.stored_bytes;
    r = session_commit(c->session, s, err);
    if (r < 0)
        return r;
    keep_snapshot(c->to, c->job, &keep, s->id);
    memcpy(c->result.id, s->id, SESSION_ID);
    return remember(c, i, s, err);
}

/* What was moved is kept for the next try. */
static void give_up(struct copy *c)
{
    struct bk_error ignored = { 0 };
    if (c->writer && writer_abandon(c->writer, &ignored) < 0)
        job_log(c->job, JOB_DEBUG, "stop: %s", ignored.text);
}

int copy_one(struct copy *c, const struct catalog_item *i, struct copy_result *ret, struct bk_error *err)
{
    bk_auto(snapshot_clear) struct snapshot s = { 0 };
    int r = begin(c, i, err);
    if (r == 0)
        r = clone_snapshot(&i->snap, &s, err);
    if (r == 0)
        r = describe(c, i, &s, err);
    if (r == 0)
        r = move(c, i, &s, err);
    bool refused = r == 0 && c->losses.n && !c->o.keep_damaged;
    if (r == 0 && !refused)
        r = commit(c, i, &s, err);
    else if (refused)
        r = writer_finish(c->writer, err);
    else
        give_up(c);
    if (r == 0) {
        account(c);
        c->result.refused = refused;
        *ret = c->result;
    }
    copy_end(c);
    if (r < 0) /* the writer's names hold no more than what it had sent */
        copy_close_target(c);
    return r;
}
