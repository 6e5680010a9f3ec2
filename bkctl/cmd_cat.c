/* cat: the content of a file or stream, to standard output. */
#include "bkctl/command.h"
#include "bkctl/place.h"
#include "bkctl/show.h"
#include "bkd/restore/restore.h"

static int cat_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)args;
    bk_auto(view_clear) struct view v = { 0 };
    bk_auto(place_clear) struct place p = { 0 };
    int r = app_open_view(a, &v, err);
    if (r == 0)
        r = place_find(&v, ops->v[0], true, &p, err);
    if (r < 0)
        return r;
    if (!p.stream && p.node.e.type == TREE_DIR) {
        bk_fail(err, BK_E_USAGE, "'%s' is a folder", ops->v[0]);
        return bk_hint(err, "list it with: bkctl ls");
    }
    if (!p.stream && p.node.e.type != TREE_FILE)
        return bk_fail(err, BK_E_USAGE, "'%s' is not a regular file", ops->v[0]);
    const struct content *c = p.stream ? &p.stream->content : &p.node.e.content;
    if (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO))
        a->ui.live = false; /* the content and a live line would mix */
    r = ui_begin(&a->ui, "cat", err);
    if (r == 0)
        r = restore_content(v.repo, &a->job, c, STDOUT_FILENO, err);
    ui_end(&a->ui);
    if (r == 0 && a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "bytes", text_json_u64(c->size));
        ui_emit(&a->ui, o);
    }
    return r;
}

const struct command cmd_cat = {
    .name = "cat",
    .summary = N_("Print the content of a file or stream of a snapshot"),
    .operands = N_("SNAP[:PATH]"),
    .about = N_("Without PATH the snapshot's only stream is printed. With --json the data still goes to "
                "standard output and "
                "the JSON to standard error."),
    .min_operands = 1,
    .max_operands = 1,
    .data_on_stdout = true,
    .examples = (const struct example[]){ { N_("one file"), "bkctl cat latest:/etc/fstab" },
                                          { N_("a database dump, back into the database"),
                                            "bkctl cat db@latest:db.sql | psql mydb" },
                                          { 0 } },
    .run = cat_run,
};
