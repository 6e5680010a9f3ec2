/* tag: add or remove tags of a snapshot. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"

static int tag_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)args;
    bool add = !strcmp(ops->v[0], "add");
    if (!add && strcmp(ops->v[0], "remove")) {
        bk_fail(err, BK_E_USAGE, "unknown action '%s'", ops->v[0]);
        return bk_hint(err, "choose one of: %s", cmd_tag.verbs);
    }
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    const struct catalog_item *item;
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r == 0)
        r = catalog_resolve(&c, ops->v[1], &item, err);
    if (r < 0)
        return r;
    char who[512], id[SHOW_ID];
    app_who(who, sizeof who);
    struct note_change change = { .hold = -1, .reason = "", .who = who };
    const char *const *tags = (const char *const *)ops->v + 2;
    if (add) {
        change.add_tags = tags;
        change.n_add = ops->n - 2;
    } else {
        change.remove_tags = tags;
        change.n_remove = ops->n - 2;
    }
    r = catalog_annotate(repo, item, &change, err);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "snapshot", json_string(text_hex(item->snap.id, SESSION_ID, id)));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(_("snapshot %s: tags changed\n"), show_short_id(item->snap.id, id));
    }
    return 0;
}

const struct command cmd_tag = {
    .name = "tag",
    .summary = N_("Add tags to a snapshot or remove them"),
    .operands = N_("add|remove SNAP TAG..."),
    .verbs = "add|remove",
    .min_operands = 3,
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){ { N_("mark the newest"), "bkctl tag add latest before-upgrade" }, { 0 } },
    .run = tag_run,
};
