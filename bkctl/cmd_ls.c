/* ls: what a snapshot holds. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/place.h"
#include "bkctl/show.h"

struct ls_args {
    bool long_form, recursive;
};

static const struct opt ls_opts[] = {
    OPT_FLAG(struct ls_args, long_form, 'l', "long", N_("show mode, owner, size and time")),
    OPT_FLAG(struct ls_args, recursive, 'R', "recursive", N_("everything below, not only the folder itself")),
    OPT_END,
};

struct listing {
    struct app *a;
    const struct ls_args *x;
    uint64_t n, bytes;
};

static void put_entry(struct listing *l, const void *path, size_t len, const struct tree_entry *e)
{
    l->n++;
    l->bytes += e->type == TREE_FILE ? e->content.size : 0;
    if (l->a->g.json) {
        ui_emit(&l->a->ui, show_entry_json("entry", path, len, e));
    } else if (l->x->long_form) {
        show_entry_long(stdout, path, len, e);
    } else {
        text_path_put(stdout, path, len);
        puts(e->type == TREE_DIR ? "/" : "");
    }
}

static int on_walk(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                   struct bk_error *err)
{
    struct listing *l = ctx;
    int r = job_check(&l->a->job, err);
    if (r == 0)
        put_entry(l, path, path_len, e);
    return r;
}

static int list_dir(struct listing *l, struct view *v, const struct place *p, struct bk_error *err)
{
    bk_auto(browse_dir_free) struct browse_dir *d = NULL;
    int r = browse_dir_open(v->reader, 0, &p->node.e.dir, &d, err);
    struct tree_entry e;
    bk_auto(bk_buf_clear) struct bk_buf full = BK_BUF(1 << 20);
    while (r == 0 && (r = browse_dir_next(d, &e, err)) == 1) {
        r = job_check(&l->a->job, err);
        full.len = 0;
        if (r == 0 && p->path[0])
            r = bk_buf_append(&full, p->path, strlen(p->path), err);
        if (r == 0 && p->path[0])
            r = bk_buf_append(&full, "/", 1, err);
        if (r == 0)
            r = bk_buf_append(&full, e.name, e.name_len, err);
        if (r == 0)
            put_entry(l, full.data, full.len, &e);
    }
    return r;
}

static void list_streams(struct listing *l, const struct snapshot *s, const char *only)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        const struct snapshot_stream *t = &s->streams[i];
        if ((t->kind != STREAM_BLOB && t->kind != STREAM_DISK) || (*only && strcmp(t->name, only)))
            continue;
        struct tree_entry e = { .type = TREE_FILE, .mode = 0400, .nlink = 1, .content = t->content };
        e.mtime.s = s->start_ns / 1000000000;
        put_entry(l, t->name, strlen(t->name), &e);
    }
}

static int ls_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    bk_auto(view_clear) struct view v = { 0 };
    bk_auto(place_clear) struct place p = { 0 };
    int r = app_open_view(a, &v, err);
    if (r == 0)
        r = place_find(&v, ops->v[0], false, &p, err);
    if (r < 0)
        return r;
    struct listing l = { .a = a, .x = args };
    if (p.stream || !p.path[0])
        list_streams(&l, p.snap, p.path);
    bool tree = !p.stream && snapshot_stream_of(p.snap, STREAM_TREE);
    if (tree && p.node.e.type == TREE_DIR && !l.x->recursive)
        r = list_dir(&l, &v, &p, err);
    else if (tree)
        r = browse_walk(v.reader, 0, &p.node.e, p.path, strlen(p.path), on_walk, &l, err);
    if (r == 0 && a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "entries", text_json_u64(l.n));
        json_object_set_new(o, "bytes", text_json_u64(l.bytes));
        ui_emit(&a->ui, o);
    }
    return r;
}

const struct command cmd_ls = {
    .name = "ls",
    .summary = N_("List a folder of a snapshot"),
    .operands = N_("SNAP[:PATH]"),
    .opts = ls_opts,
    .args_size = sizeof(struct ls_args),
    .min_operands = 1,
    .max_operands = 1,
    .examples =
        (const struct example[]){ { N_("the top of the newest snapshot"), "bkctl ls latest" },
                                  { N_("all below /etc, with details"), "bkctl ls -lR web@latest:/etc" },
                                  { 0 } },
    .listing = true,
    .run = ls_run,
};
