/* diff: what changed between two snapshots. Folders whose pages have the same name are the same, so that only
 * what changed is read. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/place.h"
#include "bkctl/show.h"

struct diff_args {
    bool metadata;
};

static const struct opt diff_opts[] = {
    OPT_FLAG(struct diff_args, metadata, 0, "metadata",
             N_("also tell where only mode, owner, time or xattrs changed")),
    OPT_END,
};

enum change { ADDED, REMOVED, MODIFIED, RETYPED, METADATA, N_CHANGES };
static const char *const change_names[] = { "added", "removed", "modified", "retyped", "metadata" };
static const char change_signs[] = "+-MTm";
enum { DIFF_PATH_MAX = 1 << 20, DIFF_DEPTH_MAX = 4096 };

struct diff {
    struct app *a;
    struct view *v;
    bool metadata;
    struct bk_buf path;
    unsigned depth;
    uint64_t n[N_CHANGES];
    uint64_t bytes_added, bytes_removed;
};

static uint64_t size_of(const struct tree_entry *e)
{
    return e->type == TREE_FILE ? e->content.size : 0;
}

static void tell(struct diff *d, enum change c, const struct tree_entry *old, const struct tree_entry *new)
{
    d->n[c]++;
    uint64_t before = old ? size_of(old) : 0, after = new ? size_of(new) : 0;
    if (after > before)
        d->bytes_added += after - before;
    else
        d->bytes_removed += before - after;
    if (d->a->g.json) {
        json_t *o = show_entry_json("change", d->path.data, d->path.len, new ? new : old);
        json_object_set_new(o, "change", json_string(change_names[c]));
        if (old && new)
            json_object_set_new(o, "old_size", text_json_u64(before));
        ui_emit(&d->a->ui, o);
        return;
    }
    printf("%c ", change_signs[c]);
    text_path_put(stdout, d->path.data, d->path.len);
    puts((new ? new : old)->type == TREE_DIR ? "/" : "");
}

static int on_one_side(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                       bool is_new, struct bk_error *err)
{
    struct diff *d = ctx;
    int r = job_check(&d->a->job, err);
    if (r < 0)
        return r;
    struct bk_buf keep = d->path;
    /* tell reads the path only */
    d->path.data = (uint8_t *)(uintptr_t)path;
    d->path.len = path_len;
    tell(d, is_new ? ADDED : REMOVED, is_new ? NULL : e, is_new ? e : NULL);
    d->path = keep;
    return 0;
}

static int on_added(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                    struct bk_error *err)
{
    return on_one_side(ctx, path, path_len, e, true, err);
}

static int on_removed(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                      struct bk_error *err)
{
    return on_one_side(ctx, path, path_len, e, false, err);
}

/* An entry that only one side has, with all below it. The path is at it. */
static int one_side(struct diff *d, const struct tree_entry *e, bool is_new, struct bk_error *err)
{
    return browse_walk(d->v->reader, 0, e, d->path.data, d->path.len, is_new ? on_added : on_removed, d, err);
}

static bool same_dir(const struct tree_dir *a, const struct tree_dir *b)
{
    return a->depth == b->depth && (!a->depth || !chunk_id_cmp(&a->id, &b->id));
}

static bool same_extent(const struct extent *a, const struct extent *b)
{
    return a->len == b->len && a->kind == b->kind &&
           (a->kind != EXTENT_DATA || (a->off == b->off && !chunk_id_cmp(&a->id, &b->id)));
}

static bool same_content(const struct content *a, const struct content *b)
{
    if (a->size != b->size || a->depth != b->depth)
        return false;
    if (a->depth)
        return !chunk_id_cmp(&a->root, &b->root);
    if (a->n_inline != b->n_inline)
        return false;
    for (unsigned i = 0; i < a->n_inline; i++)
        if (!same_extent(&a->inline_[i], &b->inline_[i]))
            return false;
    return true;
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

static bool same_inside(const struct tree_entry *a, const struct tree_entry *b)
{
    switch (a->type) {
    case TREE_FILE:
        return same_content(&a->content, &b->content);
    case TREE_SYMLINK:
        return same_bytes(a->link, a->link_len, b->link, b->link_len);
    case TREE_CHAR:
    case TREE_BLOCK:
        return a->rdev_major == b->rdev_major && a->rdev_minor == b->rdev_minor;
    default:
        return true;
    }
}

/* What a restore would set. Inode numbers, link counts and ctime differ without anybody's doing. */
static bool same_metadata(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime.s == b->mtime.s &&
           a->mtime.ns == b->mtime.ns && a->fsflags == b->fsflags &&
           same_bytes(a->xattrs, a->xattrs_len, b->xattrs, b->xattrs_len);
}

static int compare_dirs(struct diff *d, const struct tree_dir *a, const struct tree_dir *b,
                        struct bk_error *err);

static int both_sides(struct diff *d, const struct tree_entry *a, const struct tree_entry *b,
                      struct bk_error *err)
{
    if (a->type != b->type) {
        tell(d, RETYPED, a, b);
        size_t at = d->path.len;
        int r = 0;
        if (a->type == TREE_DIR)
            r = one_side(d, a, false, err);
        if (r == 0 && b->type == TREE_DIR)
            r = one_side(d, b, true, err);
        d->path.len = at;
        return r;
    }
    if (!same_inside(a, b))
        tell(d, MODIFIED, a, b);
    else if (d->metadata && !same_metadata(a, b))
        tell(d, METADATA, a, b);
    if (a->type != TREE_DIR || same_dir(&a->dir, &b->dir))
        return 0;
    return compare_dirs(d, &a->dir, &b->dir, err);
}

static int order(const struct tree_entry *a, const struct tree_entry *b)
{
    size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
    int c = memcmp(a->name, b->name, n);
    return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static int push_name(struct diff *d, const struct tree_entry *e, struct bk_error *err)
{
    int r = d->path.len ? bk_buf_append(&d->path, "/", 1, err) : 0;
    return r < 0 ? r : bk_buf_append(&d->path, e->name, e->name_len, err);
}

/* One step of the merge of two sorted folders. */
static int merge_step(struct diff *d, const struct tree_entry *a, const struct tree_entry *b, int c,
                      struct bk_error *err)
{
    size_t at = d->path.len;
    int r = job_check(&d->a->job, err);
    if (r == 0)
        r = push_name(d, c <= 0 ? a : b, err);
    if (r == 0)
        r = c == 0 ? both_sides(d, a, b, err) : one_side(d, c < 0 ? a : b, c > 0, err);
    d->path.len = at;
    return r;
}

static int compare_dirs(struct diff *d, const struct tree_dir *a, const struct tree_dir *b,
                        struct bk_error *err)
{
    if (d->depth >= DIFF_DEPTH_MAX)
        return bk_fail(err, BK_E_LIMIT, "folders are nested more than %d deep", DIFF_DEPTH_MAX);
    bk_auto(browse_dir_free) struct browse_dir *x = NULL;
    bk_auto(browse_dir_free) struct browse_dir *y = NULL;
    struct tree_entry ea, eb;
    int r = browse_dir_open(d->v->reader, 0, a, &x, err);
    if (r == 0)
        r = browse_dir_open(d->v->reader, 0, b, &y, err);
    if (r < 0)
        return r;
    d->depth++;
    int has_a = browse_dir_next(x, &ea, err);
    int has_b = has_a < 0 ? has_a : browse_dir_next(y, &eb, err);
    while (r == 0 && has_a >= 0 && has_b >= 0 && (has_a || has_b)) {
        int c = !has_a ? 1 : !has_b ? -1 : order(&ea, &eb);
        r = merge_step(d, &ea, &eb, c, err);
        if (r == 0 && c <= 0)
            has_a = browse_dir_next(x, &ea, err);
        if (r == 0 && has_a >= 0 && c >= 0)
            has_b = browse_dir_next(y, &eb, err);
    }
    d->depth--;
    return r < 0 ? r : has_a < 0 ? has_a : has_b < 0 ? has_b : 0;
}

/* "SNAP" with the common path as "SNAP:PATH". */
static int find_side(struct view *v, const char *snap, const char *path, struct place *ret,
                     struct bk_error *err)
{
    bk_auto(free) char *text = NULL;
    if (path && asprintf(&text, "%s:%s", snap, path) < 0)
        return bk_fail(err, BK_E_NOMEM, "compare");
    return place_find(v, text ? text : snap, true, ret, err);
}

static int compare_places(struct diff *d, const struct place *a, const struct place *b, struct bk_error *err)
{
    if (a->stream && b->stream) {
        struct tree_entry ea = { .type = TREE_FILE, .content = a->stream->content };
        struct tree_entry eb = { .type = TREE_FILE, .content = b->stream->content };
        int r = bk_buf_append(&d->path, b->stream->name, strlen(b->stream->name), err);
        return r < 0 ? r : both_sides(d, &ea, &eb, err);
    }
    if (a->stream || b->stream)
        return bk_fail(err, BK_E_USAGE, "one snapshot holds a stream, the other files");
    int r = bk_buf_append(&d->path, b->path, strlen(b->path), err);
    if (r < 0)
        return r;
    if (!b->path[0]) /* the top itself has no metadata */
        return same_dir(&a->node.e.dir, &b->node.e.dir)
                   ? 0
                   : compare_dirs(d, &a->node.e.dir, &b->node.e.dir, err);
    return both_sides(d, &a->node.e, &b->node.e, err);
}

static void summarize(struct diff *d)
{
    if (d->a->g.json) {
        json_t *o = show_record("result");
        for (size_t i = 0; i < N_CHANGES; i++)
            json_object_set_new(o, change_names[i], text_json_u64(d->n[i]));
        json_object_set_new(o, "bytes_added", text_json_u64(d->bytes_added));
        json_object_set_new(o, "bytes_removed", text_json_u64(d->bytes_removed));
        ui_emit(&d->a->ui, o);
    } else if (!d->a->g.quiet) {
        char b1[TEXT_SIZE], b2[TEXT_SIZE];
        fprintf(stderr, _("%llu added, %llu removed, %llu modified, %llu metadata; +%s -%s\n"),
                (unsigned long long)d->n[ADDED], (unsigned long long)d->n[REMOVED],
                (unsigned long long)(d->n[MODIFIED] + d->n[RETYPED]), (unsigned long long)d->n[METADATA],
                text_bytes(d->bytes_added, b1), text_bytes(d->bytes_removed, b2));
    }
}

static int diff_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct diff_args *x = args;
    const char *path = ops->n > 2 ? ops->v[2] : NULL;
    bk_auto(view_clear) struct view v = { 0 };
    bk_auto(place_clear) struct place p = { 0 }, q = { 0 };
    int r = app_open_view(a, &v, err);
    if (r == 0)
        r = find_side(&v, ops->v[0], path, &p, err);
    if (r == 0)
        r = find_side(&v, ops->v[1], path, &q, err);
    if (r < 0)
        return r;
    struct diff d = { .a = a, .v = &v, .metadata = x->metadata, .path = BK_BUF(DIFF_PATH_MAX) };
    r = compare_places(&d, &p, &q, err);
    if (r == 0)
        summarize(&d);
    bk_buf_clear(&d.path);
    return r;
}

const struct command cmd_diff = {
    .name = "diff",
    .summary = N_("Compare two snapshots"),
    .operands = N_("SNAP1[:PATH] SNAP2[:PATH] [PATH]"),
    .about = N_("Prints a line for what differs: + added, - removed, M modified, T another kind of thing, "
                "and with --metadata m "
                "where only mode, owner, time, flags or extended attributes differ."),
    .opts = diff_opts,
    .args_size = sizeof(struct diff_args),
    .min_operands = 2,
    .max_operands = 3,
    .examples =
        (const struct example[]){ { N_("what changed below /etc"), "bkctl diff 3f2a91c0 latest /etc" },
                                  { 0 } },
    .listing = true,
    .run = diff_run,
};
