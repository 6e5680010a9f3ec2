/* snapshots: list what is there. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"

struct snapshots_args {
    const char *name, *host;
    struct opt_list tags;
    int latest;
};

static const struct opt snapshots_opts[] = {
    OPT_STR(struct snapshots_args, name, 0, "name", N_("NAME"), N_("only of this name")),
    OPT_STR(struct snapshots_args, host, 0, "host", N_("HOST"), N_("only of this host")),
    OPT_LIST(struct snapshots_args, tags, 0, "tag", N_("TAG"),
             N_("only with this tag; repeated: with all of them")),
    OPT_INT(struct snapshots_args, latest, 0, "latest", 0, 1000000,
            N_("only the last N of each name; 0: all"), .def = "0"),
    OPT_END,
};

static bool has_tag(const struct snapshot_list *l, const char *tag)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->v[i], tag))
            return true;
    return false;
}

static bool wanted(const struct catalog_item *i, const struct snapshots_args *x)
{
    if ((x->name && strcmp(i->snap.name, x->name)) || (x->host && strcmp(i->snap.host, x->host)))
        return false;
    for (size_t t = 0; t < x->tags.n; t++)
        if (!has_tag(catalog_tags(i), x->tags.v[t]))
            return false;
    return true;
}

/* Walks from the newest, so that the last N of each name are known; marks what is shown. */
static void choose(const struct catalog *c, const struct snapshots_args *x, bool *shown)
{
    for (size_t i = c->n; i-- > 0;) {
        if (!wanted(&c->v[i], x))
            continue;
        int newer = 0;
        for (size_t k = i + 1; x->latest && k < c->n && newer < x->latest; k++)
            newer += shown[k] && !strcmp(c->v[k].snap.name, c->v[i].snap.name);
        shown[i] = !x->latest || newer < x->latest;
    }
}

static void add_row(struct table *t, const struct catalog_item *i)
{
    char id[SHOW_ID], when[TEXT_TIME], size[TEXT_SIZE], stored[TEXT_SIZE], name[512], tags[256] = "";
    const struct snapshot *s = &i->snap;
    const struct snapshot_list *l = catalog_tags(i);
    size_t at = 0;
    for (size_t k = 0; k < l->n && at + 8 < sizeof tags; k++) {
        if (k)
            tags[at++] = ',';
        text_path(l->v[k], strlen(l->v[k]), tags + at, sizeof tags - at);
        at += strlen(tags + at);
    }
    table_cell(t, "%s", show_short_id(s->id, id));
    table_cell(t, "%s", text_time(s->start_ns / 1000000000, when));
    table_cell(t, "%s", show_level(s->level));
    table_cell(t, "%s%s", show_state(s->state), i->note.number && i->note.hold ? _(", held") : "");
    table_cell(t, "%llu", (unsigned long long)s->n_files);
    table_cell(t, "%s", text_bytes(s->content_bytes, size));
    table_cell(t, "%s", text_bytes(s->stored_bytes, stored));
    table_cell(t, "%s", text_path(s->name, strlen(s->name), name, sizeof name));
    table_cell(t, "%s", tags);
}

static int print_list(const struct catalog *c, const bool *shown, struct bk_error *err)
{
    bk_auto(table_clear) struct table t;
    table_init(&t, 9, 1 << 4 | 1 << 5 | 1 << 6);
    const char *const heads[] = { _("Id"),   _("Time"),  _("Level"), _("State"), _("Files"),
                                  _("Size"), _("Added"), _("Name"),  _("Tags") };
    for (size_t i = 0; i < BK_COUNT(heads); i++)
        table_cell(&t, "%s", heads[i]);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (shown[i]) {
            add_row(&t, &c->v[i]);
            n++;
        }
    if (!n) {
        puts(_("no snapshots"));
        return 0;
    }
    return table_print(&t, stdout, err);
}

static int snapshots_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)ops;
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r < 0)
        return r;
    bk_auto(free) bool *shown = calloc(c.n + 1, sizeof *shown);
    if (!shown)
        return bk_fail(err, BK_E_NOMEM, "list the snapshots");
    choose(&c, args, shown);
    if (a->g.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < c.n; i++)
            if (shown[i])
                json_array_append_new(list,
                                      show_snapshot_json(&c.v[i].snap, catalog_tags(&c.v[i]), &c.v[i].note));
        json_t *o = show_record("snapshots");
        json_object_set_new(o, "snapshots", list);
        json_object_set_new(o, "damaged", text_json_u64(c.n_damaged));
        ui_emit(&a->ui, o);
    } else {
        r = print_list(&c, shown, err);
    }
    return r == 0 && c.n_damaged ? BK_E_CORRUPT : r;
}

const struct command cmd_snapshots = {
    .name = "snapshots",
    .summary = N_("List the snapshots"),
    .opts = snapshots_opts,
    .args_size = sizeof(struct snapshots_args),
    .examples = (const struct example[]){ { N_("the newest of each name"), "bkctl snapshots --latest 1" },
                                          { N_("for scripts"), "bkctl snapshots --json --tag weekly" },
                                          { 0 } },
    .listing = true,
    .run = snapshots_run,
};
