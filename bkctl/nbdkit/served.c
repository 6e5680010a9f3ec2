#include "bkctl/nbdkit/served.h"

#include <errno.h>
#include <string.h>

#include "bkctl/where.h"
#include "bkd/repo/index_recover.h"
#include "bkd/store/event.h"
#include "bkd/store/stack.h"

#define CACHE_MAX ((size_t)256 << 20)
enum { EXPORTS_MAX = 65536 };

/* ---- what is told to bkctl ---- */

static void on_store_event(void *ctx, const struct store_event *e)
{
    struct served *s = ctx;
    switch (e->kind) {
    case STORE_EVENT_REPAIRED:
        job_log(&s->job, JOB_WARN, "repaired %s in %s: %s", e->object, e->store, e->why);
        break;
    case STORE_EVENT_UNREPAIRED:
        job_log(&s->job, JOB_WARN, "%s in %s is bad and stays so: %s", e->object, e->store, e->why);
        break;
    case STORE_EVENT_NOT_WRITTEN:
        job_log(&s->job, JOB_WARN, "%s could not be written to %s: %s", e->object, e->store, e->why);
        break;
    case STORE_EVENT_UNREACHABLE:
        job_log(&s->job, JOB_WARN, "%s does not answer: %s", e->store, e->why);
        break;
    }
}

static void on_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct served *s = ctx;
    job_log(&s->job, JOB_WARN, "%s is damaged and left out: %s", object, why->text);
}

/* Somebody took us for dead, after a suspend say: what is served may be deleted from now on. */
static void on_session_lost(void *ctx)
{
    struct served *s = ctx;
    struct bk_error why = { 0 };
    bk_fail(&why, BK_E_FENCED,
            "this session was declared dead by somebody else: what it serves may be deleted");
    bk_hint(&why, "run it again, if the snapshot is still there");
    parent_fail(s->parent, &why);
    parent_end(s->parent);
}

/* ---- the repository ---- */

static int open_repo(struct served *s, struct bk_error *err)
{
    const struct nbd_setup *x = &s->parent->setup;
    const struct stack_opts o = { .no_cache = x->no_cache,
                                  .limit_up = x->limit_upload,
                                  .limit_down = x->limit_download };
    struct bk_error no_cache = { 0 };
    bk_auto(store_free) struct store *store = NULL;
    int r = store_open_stack(x->repo, &o, &s->world, &store, &no_cache, err);
    if (r < 0)
        return r;
    if (no_cache.code)
        job_log(&s->job, JOB_WARN, "metadata is not kept on this machine: %s", no_cache.text);
    r = repo_open_adopt_store(store, &x->secret, &s->world, &s->view.repo, err);
    if (r < 0)
        return r;
    (void)bk_steal(store); /* the repository's now */
    unsigned copies = repo_from_copies(s->view.repo);
    const char *config = copies & REPO_CONFIG_COPY ? "config " : "";
    const char *slot = copies & REPO_SLOT_COPY ? "keys/ " : "";
    const char *keyring = copies & REPO_KEYRING_COPY ? "keyring/ " : "";
    if (copies)
        job_log(&s->job, JOB_WARN,
                "damaged or missing, and read from a copy: %s%s%s; put it right with: bkctl check --heal",
                config, slot, keyring);
    return 0;
}

static int open_view(struct served *s, struct bk_error *err)
{
    struct view *v = &s->view;
    struct images_opts o;
    size_t cache = s->job.memory_bytes / 2 > CACHE_MAX ? CACHE_MAX : s->job.memory_bytes / 2;
    int r = open_repo(s, err);
    parent_forget_secret(s->parent);
    if (r == 0)
        r = session_hold(v->repo, &s->job, "nbd", &v->session, err);
    if (v->session)
        session_on_lost(v->session, on_session_lost, s);
    if (r == 0)
        r = catalog_load(v->repo, on_damage, s, &v->catalog, err);
    if (r == 0)
        r = index_open(v->repo, on_damage, s, &v->index, err);
    if (r < 0)
        return r;
    index_set_job(v->index, &s->job);
    images_suit(v->repo, &s->job, &o);
    r = reader_new(v->repo, v->index, images_lanes(&o), cache, &v->reader, err);
    return r < 0 ? r : images_new(v->reader, &s->job, &o, &s->images, err);
}

/* ---- exports ---- */

static int add_export(struct served *s, const char *name, const struct content *c, struct bk_error *err)
{
    if (served_find(s, name) && *name) {
        bk_fail(err, BK_E_USAGE, "two exports would be called '%s'", name);
        return bk_hint(err, "serve them apart");
    }
    if (s->n_exports >= EXPORTS_MAX)
        return bk_fail(err, BK_E_LIMIT, "more than %d places are to be served", EXPORTS_MAX);
    struct export_ *v = reallocarray(s->exports, s->n_exports + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "serve '%s'", name);
    s->exports = v;
    v += s->n_exports;
    *v = (struct export_){ .name = strdup(name) };
    if (!v->name)
        return bk_fail_errno(err, ENOMEM, "serve '%s'", name);
    s->n_exports++;
    int r = image_new(s->images, c, name, &v->image, err);
    return r < 0 ? bk_context(err, "serve '%s'", name) : 0;
}

/* All disks; where there is none, all blobs. */
static int add_streams(struct served *s, const char *text, const struct snapshot *snap, struct bk_error *err)
{
    enum stream_kind kind = snapshot_stream_of(snap, STREAM_DISK) ? STREAM_DISK : STREAM_BLOB;
    if (!snapshot_stream_of(snap, kind)) {
        bk_fail(err, BK_E_USAGE, "snapshot %s has no disk and no stream", text);
        return bk_hint(err, "name a file in it: SNAP:PATH");
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < snap->n_streams; i++)
        if (snap->streams[i].kind == kind)
            r = add_export(s, snap->streams[i].name, &snap->streams[i].content, err);
    return r;
}

static int add_place(struct served *s, const char *text, struct bk_error *err)
{
    bk_auto(where_clear) struct where w = { 0 };
    bk_auto(place_clear) struct place p = { 0 };
    const struct catalog_item *item = NULL;
    int r = where_parse(text, &w, err);
    if (r == 0 && (!w.path || !w.path[strspn(w.path, "/")])) {
        r = catalog_resolve(&s->view.catalog, w.snap, &item, err);
        return r < 0 ? r : add_streams(s, text, &item->snap, err);
    }
    if (r == 0)
        r = place_find(&s->view, text, true, &p, err);
    if (r < 0)
        return r;
    if (!p.stream && p.node.e.type != TREE_FILE)
        return bk_fail(err, BK_E_USAGE, "'%s' is not a regular file", text);
    return add_export(s, p.path, p.stream ? &p.stream->content : &p.node.e.content, err);
}

const struct export_ *served_find(const struct served *s, const char *name)
{
    if (!*name && s->n_exports == 1)
        return &s->exports[0];
    for (size_t i = 0; i < s->n_exports; i++)
        if (!strcmp(s->exports[i].name, name))
            return &s->exports[i];
    return NULL;
}

int served_open(struct parent *p, struct served *ret, struct bk_error *err)
{
    struct served *s = ret; /* job and world are pointed at: it is made where it stays */
    *s = (struct served){ .parent = p, .world = world_real };
    s->world.store_event = on_store_event;
    s->world.event_ctx = s;
    s->job.n_threads = (unsigned)p->setup.threads;
    s->job.memory_bytes = (size_t)p->setup.memory;
    s->job.log = parent_log;
    s->job.log_ctx = p;
    int r = job_init(&s->job, err);
    if (r < 0)
        return r;
    r = parent_watch(p, &s->job, err);
    if (r == 0)
        r = open_view(s, err);
    for (size_t i = 0; r == 0 && i < p->n_places; i++)
        r = add_place(s, p->places[i], err);
    return r;
}

void served_close(struct served *s)
{
    for (size_t i = 0; i < s->n_exports; i++)
        free(s->exports[i].name);
    free(s->exports);
    images_free(s->images);
    reader_free(s->view.reader);
    index_free(s->view.index);
    catalog_clear(&s->view.catalog);
    session_free(s->view.session);
    repo_free(s->view.repo);
    job_clear(&s->job);
    *s = (struct served){ 0 };
}
