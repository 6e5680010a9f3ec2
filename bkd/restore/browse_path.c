#include "bkd/restore/browse.h"

static void root_node(const struct snapshot_stream *tree, struct node *ret)
{
    *ret = (struct node){ .e = { .name = (const uint8_t *)"/",
                                 .name_len = 1,
                                 .type = TREE_DIR,
                                 .mode = 0755,
                                 .nlink = 1,
                                 .dir = tree->tree } };
}

int browse_path(struct reader *r, unsigned lane, const struct snapshot *s, const void *path, size_t path_len,
                struct node *ret, struct bk_error *err)
{
    const struct snapshot_stream *tree = snapshot_stream_of(s, STREAM_TREE);
    if (!tree)
        return bk_fail(err, BK_E_ABSENT, "the snapshot holds no files");
    bk_auto(node_clear) struct node at = { 0 };
    root_node(tree, &at);

    const char *p = path, *end = p + path_len;
    while (p < end) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        if (n == 0 || (n == 1 && p[0] == '.')) { /* "//", "/./" and a trailing '/' add nothing */
            p += n + 1;
            continue;
        }
        if (at.e.type != TREE_DIR)
            return bk_fail(err, BK_E_ABSENT, "'%.*s' is not in the snapshot: '%.*s' is not a directory",
                           (int)path_len, (const char *)path, (int)at.e.name_len, (const char *)at.e.name);
        bk_auto(node_clear) struct node below = { 0 };
        int rc = browse_lookup(r, lane, &at.e.dir, p, n, &below, err);
        if (rc < 0)
            return bk_context(err, "look up '%.*s'", (int)path_len, (const char *)path);
        if (rc == 0)
            return bk_fail(err, BK_E_ABSENT, "'%.*s' is not in the snapshot: it has no '%.*s'", (int)path_len,
                           (const char *)path, (int)n, p);
        node_clear(&at);
        at = below;
        below = (struct node){ 0 };
        p += n + 1;
    }
    *ret = at;
    at = (struct node){ 0 };
    return 0;
}

/* Directories that wait to be listed; the deepest is at the end. */
struct walk_level {
    struct browse_dir *dir;
    size_t path_len; /* of the walk's path, with this directory's name */
};
struct walk {
    struct bk_buf path;
    struct walk_level *v;
    size_t n, cap;
};

enum { WALK_DEPTH_MAX = 4096, WALK_PATH_MAX = WALK_DEPTH_MAX * (TREE_NAME_MAX + 1) };

static void walk_clear(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        browse_dir_free(w->v[i].dir);
    free(w->v);
    bk_buf_clear(&w->path);
}
BK_AUTO_CLEAR(struct walk, walk_clear)

static int walk_push(struct walk *w, struct reader *r, unsigned lane, const struct tree_dir *d,
                     struct bk_error *err)
{
    if (w->n == WALK_DEPTH_MAX)
        return bk_fail(err, BK_E_LIMIT, "directories are nested more than %d deep", (int)WALK_DEPTH_MAX);
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct walk_level *v = reallocarray(w->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "walk a snapshot");
        w->v = v;
        w->cap = cap;
    }
    struct walk_level l = { .path_len = w->path.len };
    int rc = browse_dir_open(r, lane, d, &l.dir, err);
    if (rc < 0)
        return rc;
    w->v[w->n++] = l;
    return 0;
}

static int walk_name(struct walk *w, size_t keep, const struct tree_entry *e, struct bk_error *err)
{
    w->path.len = keep;
    int rc = keep ? bk_buf_u8(&w->path, '/', err) : 0;
    return rc < 0 ? rc : bk_buf_append(&w->path, e->name, e->name_len, err);
}

int browse_walk(struct reader *r, unsigned lane, const struct tree_entry *top, const void *top_path,
                size_t top_path_len, browse_walk_fn *fn, void *ctx, struct bk_error *err)
{
    bk_auto(walk_clear) struct walk w = { .path = BK_BUF(WALK_PATH_MAX) };
    const uint8_t *p = top_path;
    while (top_path_len && p[0] == '/') {
        p++;
        top_path_len--;
    }
    while (top_path_len && p[top_path_len - 1] == '/')
        top_path_len--;
    int rc = bk_buf_reserve(&w.path, 1, err);
    if (rc < 0 || (top_path_len && (rc = bk_buf_append(&w.path, p, top_path_len, err)) < 0))
        return rc;
    bool synthetic = top->name_len == 1 && top->name[0] == '/';
    if (!synthetic) {
        rc = fn(ctx, w.path.data, w.path.len, top, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    if (top->type != TREE_DIR)
        return 0;
    if ((rc = walk_push(&w, r, lane, &top->dir, err)) < 0)
        return rc;

    while (w.n) {
        struct walk_level *l = &w.v[w.n - 1];
        struct tree_entry e;
        rc = browse_dir_next(l->dir, &e, err);
        if (rc < 0)
            return bk_context(err, "list '%.*s'", (int)l->path_len, (const char *)w.path.data);
        if (rc == 0) {
            browse_dir_free(l->dir);
            w.n--;
            continue;
        }
        if ((rc = walk_name(&w, l->path_len, &e, err)) < 0)
            return rc;
        rc = fn(ctx, w.path.data, w.path.len, &e, err);
        if (rc < 0)
            return rc;
        if (rc == 0 && e.type == TREE_DIR && (rc = walk_push(&w, r, lane, &e.dir, err)) < 0)
            return rc;
    }
    return 0;
}
