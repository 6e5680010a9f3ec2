#include "bkd/restore/run.h"

/* A wanted path: components of the snapshot, '/' between them and nowhere else. */
struct want {
    char *path; /* owned */
};
struct wants {
    struct want *v; /* owned; sorted so that a directory comes before what is in it */
    size_t n;
};

static void wants_clear(struct wants *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i].path);
    free(w->v);
}
BK_AUTO_CLEAR(struct wants, wants_clear)

static int normalise(const char *path, char **ret, struct bk_error *err)
{
    char *out = malloc(strlen(path) + 1), *to = out;
    if (!out)
        return bk_fail(err, BK_E_NOMEM, "read the wanted paths");
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && memcmp(p, "..", 2) == 0) {
            free(out);
            return bk_fail(err, BK_E_USAGE, "'%s': paths of a snapshot have no '..'", path);
        }
        if (n && !(n == 1 && *p == '.')) {
            if (to > out)
                *to++ = '/';
            memcpy(to, p, n);
            to += n;
        }
        p += n;
        p += *p == '/';
    }
    *to = '\0';
    *ret = out;
    return 0;
}

static int by_component(const void *a, const void *b)
{
    const unsigned char *x = (const unsigned char *)((const struct want *)a)->path;
    const unsigned char *y = (const unsigned char *)((const struct want *)b)->path;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    int l = *x == '/' ? 1 : *x ? *x + 1 : 0, m = *y == '/' ? 1 : *y ? *y + 1 : 0;
    return l - m;
}

/* All of them must be there before anything is touched. */
static int wants_init(struct run *r, struct wants *w, struct bk_error *err)
{
    w->v = calloc(r->opts->n_paths + 1, sizeof *w->v);
    if (!w->v)
        return bk_fail(err, BK_E_NOMEM, "read the wanted paths");
    for (size_t i = 0; i < r->opts->n_paths; i++) {
        int rc = normalise(r->opts->paths[i], &w->v[w->n].path, err);
        if (rc < 0)
            return rc;
        const char *path = w->v[w->n++].path;
        bk_auto(node_clear) struct node n = { 0 };
        if ((rc = browse_path(r->reader, r->lane, r->snap, path, strlen(path), &n, err)) < 0)
            return rc;
    }
    qsort(w->v, w->n, sizeof *w->v, by_component);
    return 0;
}

static int take(struct run *r, struct tdir *td, const struct tree_entry *e, struct bk_error *err)
{
    struct walk_dir d = { 0 };
    bool descend = false;
    struct bk_error why = { 0 };
    int rc = r->verifying ? verify_entry(r, td, e, &d, &descend, &why)
                          : entry_restore(r, td, e, &d, &descend, &why);
    if (rc < 0 && (run_is_fatal(why.code) || pool_failed(r->pool))) {
        *err = why;
        return rc;
    }
    if (rc < 0)
        run_problem(r, &(struct place){ .dir = td, .name = e->name, .name_len = e->name_len }, &why);
    if (rc < 0 || !descend)
        return 0;
    d.inside = false; /* patterns choose within it */
    return walk_below(r, d, err);
}

static int part(struct run *r, const struct tree_dir *tree, struct tdir *td, const struct want *v, size_t n,
                size_t skip, struct bk_error *err);

/* v[0..n) go through, or end at, the entry e. */
static int group(struct run *r, const struct tree_entry *e, struct tdir *td, const struct want *v, size_t n,
                 size_t end, struct bk_error *err)
{
    if (v[0].path[end] == '\0')
        return take(r, td, e, err);
    struct attrs m = attrs_of(e);
    struct tdir *d;
    int rc = tdir_new(&r->targets, td, e->name, e->name_len, &m, &d, err);
    if (rc < 0)
        return rc;
    d->lead = true;
    rc = part(r, &e->dir, d, v, n, end + 1, err);
    tdir_unref(&r->targets, d);
    return rc;
}

static int part(struct run *r, const struct tree_dir *tree, struct tdir *td, const struct want *v, size_t n,
                size_t skip, struct bk_error *err)
{
    for (size_t i = 0, j; i < n; i = j) {
        const char *name = v[i].path + skip;
        size_t len = strcspn(name, "/");
        for (j = i + 1; j < n; j++)
            if (strncmp(v[j].path + skip, name, len) != 0 ||
                (v[j].path[skip + len] && v[j].path[skip + len] != '/'))
                break;
        bk_auto(node_clear) struct node node = { 0 };
        int rc = browse_lookup(r->reader, r->lane, tree, name, len, &node, err);
        if (rc == 0)
            rc = bk_fail(err, BK_E_ABSENT, "'%s' is not in the snapshot", v[i].path);
        if (rc < 0 || (rc = group(r, &node.e, td, v + i, j - i, skip + len, err)) < 0)
            return rc;
    }
    return 0;
}

static int set_prefix(struct run *r, const char *path, size_t len, struct bk_error *err)
{
    char *p = strndup(path, len);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "read the wanted paths");
    free(r->prefix);
    r->prefix = p;
    return 0;
}

/* The one path becomes the target itself, or (not a directory) goes straight into it. */
static int stripped(struct run *r, const char *path, struct bk_error *err)
{
    bk_auto(node_clear) struct node n = { 0 };
    int rc = browse_path(r->reader, r->lane, r->snap, path, strlen(path), &n, err);
    if (rc < 0)
        return rc;
    const char *slash = strrchr(path, '/');
    if (n.e.type != TREE_DIR) {
        rc = set_prefix(r, path, slash ? (size_t)(slash - path) : 0, err);
        return rc < 0 ? rc : take(r, r->root, &n.e, err);
    }
    if ((rc = set_prefix(r, path, strlen(path), err)) < 0)
        return rc;
    struct attrs m = attrs_of(&n.e);
    if (path[0] && !r->verifying && (rc = tdir_set_attrs(r->root, &m, err)) < 0)
        return rc;
    tdir_ref(r->root);
    return walk_below(r, (struct walk_dir){ .tree = n.e.dir, .td = r->root }, err);
}

int walk_paths(struct run *r, const struct tree_dir *root, struct bk_error *err)
{
    bk_auto(wants_clear) struct wants w = { 0 };
    int rc = wants_init(r, &w, err);
    if (rc < 0)
        return rc;
    if (r->opts->strip && w.n == 1)
        return stripped(r, w.v[0].path, err);
    if (w.n && w.v[0].path[0])
        return part(r, root, r->root, w.v, w.n, 0, err);
    tdir_ref(r->root);
    return walk_below(r, (struct walk_dir){ .tree = *root, .td = r->root }, err);
}
