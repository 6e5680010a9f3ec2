/* stats: what the repository takes and holds. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/exceptions.h"
#include "bkctl/show.h"

struct stats_args {
    bool exceptions;
};

static const struct opt stats_opts[] = {
    OPT_FLAG(struct stats_args, exceptions, 0, "exceptions",
             N_("list what the backup of this snapshot could not save as it should be")),
    OPT_END,
};

static const char *const areas[] = { N_("data"),  N_("meta"), N_("index"),   N_("snapshots"),
                                     N_("notes"), N_("keys"), N_("sessions") };
enum { N_AREAS = sizeof areas / sizeof areas[0] };

struct usage {
    struct app *a;
    uint64_t n[N_AREAS + 1], bytes[N_AREAS + 1]; /* the last: all else */
    uint64_t total;
};

static int on_object(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct usage *u = ctx;
    size_t i = 0;
    for (; i < N_AREAS; i++) {
        size_t n = strlen(areas[i]);
        if (!strncmp(name, areas[i], n) && name[n] == '/')
            break;
    }
    u->n[i]++;
    u->bytes[i] += size;
    u->total += size;
    return job_check(&u->a->job, err);
}

struct totals {
    uint64_t content, stored, chunks;
};

static void emit(struct app *a, const struct usage *u, const struct totals *t, const struct view *v)
{
    char id[2 * CONFIG_REPO_ID + 1];
    const struct config *c = repo_config(v->repo);
    json_t *o = show_record("stats");
    json_object_set_new(o, "repository", json_string(text_hex(c->repo_id, CONFIG_REPO_ID, id)));
    json_object_set_new(o, "suite", json_string(suite_name(c->suite)));
    json_object_set_new(o, "snapshots", text_json_u64(v->catalog.n));
    json_object_set_new(o, "chunks", text_json_u64(t->chunks));
    json_object_set_new(o, "content_bytes", text_json_u64(t->content));
    json_object_set_new(o, "total_bytes", text_json_u64(u->total));
    json_t *list = json_object();
    for (size_t i = 0; i <= N_AREAS; i++) {
        json_t *e = json_object();
        json_object_set_new(e, "objects", text_json_u64(u->n[i]));
        json_object_set_new(e, "bytes", text_json_u64(u->bytes[i]));
        json_object_set_new(list, i < N_AREAS ? areas[i] : "other", e);
    }
    json_object_set_new(o, "areas", list);
    json_object_set_new(o, "index_memory_bytes", text_json_u64(index_resident_bytes(v->index)));
    ui_emit(&a->ui, o);
}

static int print(const struct usage *u, const struct totals *t, const struct view *v, struct bk_error *err)
{
    char b1[TEXT_SIZE], b2[TEXT_SIZE], id[2 * CONFIG_REPO_ID + 1];
    const struct config *c = repo_config(v->repo);
    printf(_("repository %s (%s)\n"), text_hex(c->repo_id, CONFIG_REPO_ID, id), suite_name(c->suite));
    char snapshots[TEXT_COUNT], chunks[TEXT_COUNT];
    printf(_("  %s of %s in all, %s, stored in %s"),
           TEXT_COUNTED(snapshots, "%llu snapshot", "%llu snapshots", v->catalog.n),
           text_bytes(t->content, b1), TEXT_COUNTED(chunks, "%llu chunk", "%llu chunks", t->chunks),
           text_bytes(u->total, b2));
    if (u->total)
        printf(_(" (%.1f : 1)"), (double)t->content / (double)u->total);
    puts("");
    bk_auto(table_clear) struct table table;
    table_init(&table, 3, 6);
    table_cell(&table, "%s", _("Area"));
    table_cell(&table, "%s", _("Objects"));
    table_cell(&table, "%s", _("Size"));
    for (size_t i = 0; i <= N_AREAS; i++) {
        if (!u->n[i])
            continue;
        table_cell(&table, "%s", i < N_AREAS ? _(areas[i]) : _("other"));
        table_cell(&table, "%llu", (unsigned long long)u->n[i]);
        table_cell(&table, "%s", text_bytes(u->bytes[i], b1));
    }
    return table_print(&table, stdout, err);
}

static void print_snapshot(struct app *a, const struct catalog_item *i)
{
    const struct snapshot *s = &i->snap;
    if (a->g.json) {
        json_t *o = show_record("snapshot");
        json_object_set_new(o, "snapshot", show_snapshot_json(s, catalog_tags(i), &i->note));
        ui_emit(&a->ui, o);
        return;
    }
    show_snapshot(s);
}

/* Exceptions of that run are no failure of this one. */
static int stats_snapshot(struct app *a, struct view *v, const char *name, bool exceptions,
                          struct bk_error *err)
{
    const struct catalog_item *i;
    int r = catalog_resolve(&v->catalog, name, &i, err);
    if (r < 0)
        return r;
    if (!a->g.json)
        print_snapshot(a, i);
    if (exceptions)
        r = exceptions_list(a, v, &i->snap, err);
    if (r == 0 && a->g.json)
        print_snapshot(a, i); /* the last line is the one that says all is there */
    return r;
}

static int stats_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct stats_args *x = args;
    if (x->exceptions && !ops->n) {
        bk_fail(err, BK_E_USAGE, "of which snapshot are the exceptions to be listed?");
        return bk_hint(err, "name one: bkctl stats latest --exceptions");
    }
    bk_auto(view_clear) struct view v = { 0 };
    int r = app_open_view(a, &v, err);
    if (r < 0)
        return r;
    if (ops->n)
        return stats_snapshot(a, &v, ops->v[0], x->exceptions, err);
    struct usage u = { .a = a };
    r = store_list(repo_store(v.repo), "", on_object, &u, err);
    if (r < 0)
        return r;
    struct totals t = { .chunks = index_entries(v.index) };
    for (size_t i = 0; i < v.catalog.n; i++)
        t.content += v.catalog.v[i].snap.content_bytes;
    if (!a->g.json)
        return print(&u, &t, &v, err);
    emit(a, &u, &t, &v);
    return 0;
}

const struct command cmd_stats = {
    .name = "stats",
    .summary = N_("Show what the repository, or one snapshot, holds and takes"),
    .operands = N_("[SNAP]"),
    .opts = stats_opts,
    .args_size = sizeof(struct stats_args),
    .max_operands = 1,
    .examples =
        (const struct example[]){ { N_("the whole repository"), "bkctl stats" },
                                  { N_("one snapshot"), "bkctl stats latest" },
                                  { N_("what a backup could not read"), "bkctl stats latest --exceptions" },
                                  { 0 } },
    .listing = true,
    .run = stats_run,
};
