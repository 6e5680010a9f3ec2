/* find: names in one snapshot or all. */
#include <fnmatch.h>
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/place.h"
#include "bkctl/show.h"

struct find_args {
    const char *snapshot, *name, *under;
    bool long_form, ignore_case;
    int type;
};

static const struct opt find_opts[] = {
    OPT_STR(struct find_args, snapshot, 's', "snapshot", N_("SNAP"), N_("look in this snapshot only"),
            .conflicts = "name"),
    OPT_STR(struct find_args, name, 0, "name", N_("NAME"), N_("look in the snapshots of this name only")),
    OPT_STR(struct find_args, under, 0, "under", N_("PATH"), N_("look below PATH only")),
    OPT_CHOICE(struct find_args, type, 0, "type", "any|file|dir|symlink", N_("only things of this kind"),
               .def = "any"),
    OPT_FLAG(struct find_args, ignore_case, 'i', "ignore-case", N_("take upper and lower case as equal")),
    OPT_FLAG(struct find_args, long_form, 'l', "long", N_("show mode, owner, size and time")),
    OPT_END,
};

struct finding {
    struct app *a;
    const struct find_args *x;
    const struct operands *patterns;
    const struct snapshot *snap;
    struct bk_buf text; /* a path or name, ended by NUL, for fnmatch */
    bool head_shown;
    uint64_t n;
};

/* A pattern with a '/' is for the whole path, another for the name alone. */
static int fits(struct finding *f, const uint8_t *path, size_t len, const struct tree_entry *e,
                struct bk_error *err)
{
    static const enum tree_type types[] = { 0, TREE_FILE, TREE_DIR, TREE_SYMLINK };
    if (f->x->type && e->type != types[f->x->type])
        return 0;
    f->text.len = 0;
    int r = bk_buf_append(&f->text, "/", 1, err);
    if (r == 0)
        r = bk_buf_append(&f->text, path, len, err);
    if (r == 0)
        r = bk_buf_u8(&f->text, 0, err);
    if (r < 0)
        return r;
    const char *full = (const char *)f->text.data;
    const char *slash = strrchr(full, '/');
    int flags = f->x->ignore_case ? FNM_CASEFOLD : 0;
    for (size_t i = 0; i < f->patterns->n; i++) {
        const char *p = f->patterns->v[i];
        if (!fnmatch(p, strchr(p, '/') ? full + (p[0] != '/') : slash + 1, flags))
            return 1;
    }
    return 0;
}

static int on_walk(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                   struct bk_error *err)
{
    struct finding *f = ctx;
    int r = job_check(&f->a->job, err);
    if (r == 0)
        r = fits(f, path, path_len, e, err);
    if (r <= 0)
        return r;
    char id[SHOW_ID], when[TEXT_TIME];
    f->n++;
    if (f->a->g.json) {
        json_t *o = show_entry_json("match", path, path_len, e);
        json_object_set_new(o, "snapshot", json_string(text_hex(f->snap->id, SESSION_ID, id)));
        ui_emit(&f->a->ui, o);
        return 0;
    }
    if (!f->head_shown)
        printf(_("snapshot %s of %s, %s:\n"), show_short_id(f->snap->id, id), f->snap->name,
               text_time(f->snap->start_ns / 1000000000, when));
    f->head_shown = true;
    if (f->x->long_form) {
        show_entry_long(stdout, path, path_len, e);
    } else {
        text_path_put(stdout, path, path_len);
        puts("");
    }
    return 0;
}

static int search(struct finding *f, struct view *v, const struct snapshot *s, struct bk_error *err)
{
    f->snap = s;
    f->head_shown = false;
    if (!snapshot_stream_of(s, STREAM_TREE))
        return 0;
    const char *under = f->x->under ? f->x->under : "";
    while (*under == '/')
        under++;
    size_t len = strlen(under);
    while (len && under[len - 1] == '/')
        len--;
    bk_auto(node_clear) struct node n = { 0 };
    int r = browse_path(v->reader, 0, s, under, len, &n, err);
    if (r == BK_E_ABSENT && !f->x->snapshot) {
        bk_error_clear(err);
        return 0;
    }
    return r < 0 ? r : browse_walk(v->reader, 0, &n.e, under, len, on_walk, f, err);
}

static int find_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct find_args *x = args;
    bk_auto(view_clear) struct view v = { 0 };
    int r = app_open_view(a, &v, err);
    struct finding f = { .a = a, .x = x, .patterns = ops, .text = BK_BUF(1 << 20) };
    if (r == 0 && x->snapshot) {
        const struct catalog_item *i;
        r = catalog_resolve(&v.catalog, x->snapshot, &i, err);
        if (r == 0)
            r = search(&f, &v, &i->snap, err);
    } else {
        for (size_t i = 0; r == 0 && i < v.catalog.n; i++)
            if (!x->name || !strcmp(v.catalog.v[i].snap.name, x->name))
                r = search(&f, &v, &v.catalog.v[i].snap, err);
    }
    if (r == 0 && a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "matches", text_json_u64(f.n));
        ui_emit(&a->ui, o);
    }
    bk_buf_clear(&f.text);
    return r;
}

const struct command cmd_find = {
    .name = "find",
    .summary = N_("Find names in one snapshot or in all"),
    .operands = N_("PATTERN..."),
    .about = N_("A pattern is a shell pattern (*, ?, [a-z]). With a '/' in it, it is for the whole path; "
                "else for the name alone."),
    .opts = find_opts,
    .args_size = sizeof(struct find_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .examples = (const struct example[]){ { N_("in which snapshots is it?"), "bkctl find 'report*.odt'" },
                                          { N_("in the newest, below a folder"),
                                            "bkctl find -s latest --under /home -l '*.key'" },
                                          { 0 } },
    .listing = true,
    .run = find_run,
};
