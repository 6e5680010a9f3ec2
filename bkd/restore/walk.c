#include "bkd/restore/run.h"

#include <fcntl.h>

enum { WALK_DEPTH_MAX = 4096, WALK_PATH_MAX = 1 << 24 };

/* Directories still to list; the last one is next: depth first. */
struct stack {
    struct walk_dir *v; /* owned */
    size_t n, cap;
};

static int push(struct stack *s, const struct walk_dir *d, struct bk_error *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct walk_dir *v = reallocarray(s->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "walk the snapshot");
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = *d;
    return 0;
}

static void stack_clear(struct run *r, struct stack *s)
{
    while (s->n)
        tdir_unref(&r->targets, s->v[--s->n].td);
    free(s->v);
}

/* One directory being listed. */
struct listing {
    struct run *run;
    struct walk_dir dir;
    struct bk_buf path;        /* absolute, of the snapshot; empty when no pattern wants it */
    struct target_names names; /* what is in the target, when extras are to go */
    bool *known;               /* owned: of names, the snapshot has it */
    bool incomplete;
};

static void listing_close(struct listing *l)
{
    bk_buf_clear(&l->path);
    target_names_clear(&l->names);
    free(l->known);
}
BK_AUTO_CLEAR(struct listing, listing_close)

static int absolute(struct listing *l, struct bk_error *err)
{
    l->path = BK_BUF(WALK_PATH_MAX);
    if (select_is_all(&l->run->select))
        return 0;
    int rc = bk_buf_u8(&l->path, '/', err);
    size_t n = strlen(l->run->prefix);
    if (rc == 0 && n)
        rc = bk_buf_append(&l->path, l->run->prefix, n, err);
    if (rc == 0 && n && l->dir.td->name_len)
        rc = bk_buf_u8(&l->path, '/', err);
    return rc < 0 ? rc : tdir_path(l->dir.td, NULL, 0, &l->path, err);
}

static enum select_verdict verdict(const struct listing *l, const void *name, size_t len, bool is_dir)
{
    return select_is_all(&l->run->select)
               ? SELECT_YES
               : select_entry(&l->run->select, l->dir.inside, (const char *)l->path.data, l->path.len, name,
                              len, is_dir);
}

static int name_order(const void *key, const void *elem)
{
    return strcmp(key, *(char *const *)elem);
}

static void note_known(struct listing *l, const struct tree_entry *e)
{
    if (!l->names.n || e->name_len > TREE_NAME_MAX)
        return;
    char name[TREE_NAME_MAX + 1];
    tree_name_copy(e, name);
    char **at = bsearch(name, l->names.v, l->names.n, sizeof *l->names.v, name_order);
    if (at)
        l->known[at - l->names.v] = true;
}

static int list_target(struct listing *l, struct bk_error *err)
{
    struct run *r = l->run;
    if (!r->opts->delete_extra || !r->opts->overwrite || r->opts->dry_run || !l->dir.td->made ||
        l->dir.td->fresh)
        return 0;
    int fd;
    int rc = tdir_pin(&r->targets, l->dir.td, &fd, err);
    if (rc < 0)
        return rc;
    rc = target_list(fd, &l->names, err);
    tdir_unpin(&r->targets, l->dir.td);
    if (rc == 0 && l->names.n && !(l->known = calloc(l->names.n, sizeof *l->known)))
        rc = bk_fail(err, BK_E_NOMEM, "list a directory");
    return rc;
}

/* Never when a page could not be read: what it lists would be taken for extra. */
static void delete_extra(struct listing *l)
{
    struct run *r = l->run;
    struct bk_error err = { 0 };
    int fd;
    if (!l->names.n || l->incomplete || tdir_pin(&r->targets, l->dir.td, &fd, &err) < 0)
        return;
    for (size_t i = 0; i < l->names.n; i++) {
        const char *name = l->names.v[i];
        struct stat st;
        if (l->known[i] || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            verdict(l, name, strlen(name), S_ISDIR(st.st_mode)) != SELECT_YES)
            continue;
        if (target_remove(fd, name, &r->n_deleted, &err) < 0)
            run_problem(r, &(struct place){ .dir = l->dir.td, .name = name, .name_len = strlen(name) }, &err);
    }
    tdir_unpin(&r->targets, l->dir.td);
}

/* A directory that is not wanted itself; made when something inside it is. */
static int pass_through(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret,
                        struct bk_error *err)
{
    struct attrs m = attrs_of(e);
    *ret = (struct walk_dir){ .tree = e->dir };
    if (!tree_name_valid(e->name, e->name_len))
        return bk_fail(err, BK_E_CORRUPT, "no file can have this name");
    int rc = tdir_new(&r->targets, td, e->name, e->name_len, &m, &ret->td, err);
    if (rc == 0)
        ret->td->lead = true;
    return rc;
}

static int visit(struct listing *l, const struct tree_entry *e, struct stack *below, struct bk_error *err)
{
    struct run *r = l->run;
    struct place at = { .dir = l->dir.td, .name = e->name, .name_len = e->name_len };
    note_known(l, e);
    enum select_verdict v = verdict(l, e->name, e->name_len, e->type == TREE_DIR);
    if (v == SELECT_NO)
        return 0;
    struct bk_error why = { 0 };
    struct walk_dir d = { 0 };
    bool descend = v == SELECT_PASS;
    int rc = v == SELECT_PASS ? pass_through(r, l->dir.td, e, &d, &why)
             : r->verifying   ? verify_entry(r, l->dir.td, e, &d, &descend, &why)
                              : entry_restore(r, l->dir.td, e, &d, &descend, &why);
    if (rc == 0 && descend) {
        rc = push(below, &d, &why);
        if (rc < 0)
            tdir_unref(&r->targets, d.td);
    }
    if (rc < 0 && (run_is_fatal(why.code) || pool_failed(r->pool))) {
        *err = why;
        return rc;
    }
    if (rc < 0) {
        run_problem(r, &at, &why);
        if (e->type == TREE_FILE)
            run_mark_bad(r, &at);
    }
    return 0;
}

static int list_dir(struct run *r, const struct walk_dir *d, struct stack *below, struct bk_error *err)
{
    bk_auto(listing_close) struct listing l = { .run = r, .dir = *d };
    struct place at = { .dir = d->td, .name = "", .name_len = 0 };
    struct bk_error why = { 0 };
    int rc = absolute(&l, err);
    if (rc < 0)
        return rc;
    if (list_target(&l, &why) < 0)
        run_problem(r, &at, &why);

    bk_auto(browse_dir_free) struct browse_dir *b = NULL;
    rc = browse_dir_open(r->reader, r->lane, &d->tree, &b, &why);
    struct tree_entry e;
    while (rc >= 0 && (rc = job_check(r->job, err)) == 0 && (rc = browse_dir_next(b, &e, &why)) != 0) {
        if (rc > 0 && (rc = visit(&l, &e, below, err)) < 0)
            return rc;
        if (rc < 0 && !run_is_fatal(why.code)) {
            /* One page is lost; the others are not. */
            l.incomplete = true;
            if (!r->verifying) {
                bk_context(&why, "some of what is in this directory could not be restored");
                run_problem(r, &at, &why);
            }
            rc = 0;
        }
    }
    if (rc < 0) {
        if (!err->code)
            *err = why;
        if (run_is_fatal(err->code))
            return rc;
        run_problem(r, &at, err);
        bk_error_clear(err);
        return 0;
    }
    if (!r->verifying)
        delete_extra(&l);
    return 0;
}

static unsigned depth_of(const struct tdir *d)
{
    unsigned n = 0;
    for (; d && n <= WALK_DEPTH_MAX; d = d->parent)
        n++;
    return n;
}

int walk_below(struct run *r, struct walk_dir d, struct bk_error *err)
{
    struct stack s = { 0 };
    int rc = push(&s, &d, err);
    if (rc < 0)
        tdir_unref(&r->targets, d.td);
    while (rc == 0 && s.n) {
        struct walk_dir now = s.v[--s.n];
        if (depth_of(now.td) > WALK_DEPTH_MAX) {
            struct bk_error why = { 0 };
            bk_fail(&why, BK_E_LIMIT, "directories are nested more than %d deep", (int)WALK_DEPTH_MAX);
            run_problem(r, &(struct place){ .dir = now.td, .name = "", .name_len = 0 }, &why);
        } else {
            rc = list_dir(r, &now, &s, err);
        }
        tdir_unref(&r->targets, now.td);
    }
    stack_clear(r, &s);
    return rc;
}
