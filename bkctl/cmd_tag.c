/* tag: add or remove tags of a snapshot. */
#include "bkctl/annotate.h"
#include "bkctl/show.h"

static int tag_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)args;
    int add = annotate_verb(ops, "add", "remove", cmd_tag.verbs, err);
    if (add < 0)
        return add;
    struct note_change change = { .hold = -1, .reason = "" };
    const char *const *tags = (const char *const *)ops->v + 2;
    if (add) {
        change.add_tags = tags;
        change.n_add = ops->n - 2;
    } else {
        change.remove_tags = tags;
        change.n_remove = ops->n - 2;
    }
    uint8_t snapshot[SESSION_ID];
    char id[SHOW_ID];
    int r = annotate_snapshot(a, ops, &change, snapshot, err);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "snapshot", json_string(text_hex(snapshot, SESSION_ID, id)));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(_("snapshot %s: tags changed\n"), show_short_id(snapshot, id));
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
