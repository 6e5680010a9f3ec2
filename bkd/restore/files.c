#include "bkd/restore/rfile.h"

#include <fcntl.h>

struct adding {
    struct run *run;
    struct rfile *file; /* NULL: dry run */
    uint64_t at;        /* end of what was added */
    bool any;
};

static int add_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct adding *a = ctx;
    struct run *r = a->run;
    struct rfile *f = a->file;
    a->at = offset + x->len;
    if (x->kind != EXTENT_DATA) {
        bool fill = x->kind == EXTENT_ZERO && !r->opts->sparse_zeroes;
        if (!f || (!f->in_place && !fill))
            return 0;
        atomic_fetch_add(&f->pending, 1);
        a->any = true;
        return plan_add_bare(r->plan, x->kind, f, offset, x->len, err);
    }
    if (f)
        atomic_fetch_add(&f->pending, 1);
    else
        atomic_fetch_add(&r->bytes, x->len);
    a->any = true;
    return plan_add(r->plan, x, f, offset, err);
}

static int add_content(struct run *r, struct rfile *f, const struct content *c, struct bk_error *err)
{
    struct adding a = { .run = r, .file = f };
    struct bk_error why = { 0 };
    int rc = browse_extents(r->reader, r->lane, c, 0, c->size, add_extent, &a, &why);
    if (rc < 0 && (pool_failed(r->pool) || run_is_fatal(why.code))) {
        *err = why;
        return rc;
    }
    if (rc < 0 && f)
        rfile_lose(r, f, a.at, c->size, &why);
    if (!a.any && f) {
        atomic_fetch_add(&f->pending, 1);
        return plan_add_bare(r->plan, EXTENT_HOLE, f, 0, 0, err);
    }
    return 0;
}

static struct rfile *new_file(struct run *r, struct tdir *td, const struct tree_entry *e)
{
    struct attrs m = attrs_of(e);
    struct rfile *f = calloc(1, sizeof *f + e->name_len + 1 + m.xattrs_len);
    if (!f)
        return NULL;
    (void)r;
    f->handle = HANDLE_INIT;
    pthread_mutex_init(&f->lock, NULL);
    atomic_init(&f->pending, 1);
    f->td = td;
    tdir_ref(td);
    f->attrs = m;
    f->size = e->content.size;
    f->name_len = e->name_len;
    memcpy(f->name, e->name, e->name_len);
    if (m.xattrs_len) {
        uint8_t *x = (uint8_t *)f->name + e->name_len + 1;
        memcpy(x, m.xattrs, m.xattrs_len);
        f->attrs.xattrs = x;
    }
    return f;
}

static bool unchanged(const struct tree_entry *e, const struct stat *st)
{
    return (uint64_t)st->st_size == e->content.size && st->st_mtim.tv_sec == e->mtime.s &&
           st->st_mtim.tv_nsec == (long)e->mtime.ns;
}

/* Its content stays; owner, mode and attributes may still differ. */
static void keep(struct run *r, struct tdir *td, int dirfd, const char *name, const struct tree_entry *e,
                 const struct stat *st)
{
    struct place at = { .dir = td, .name = e->name, .name_len = e->name_len };
    struct attrs m = attrs_of(e);
    struct attrs_now now = {
        .uid = st->st_uid, .gid = st->st_gid, .mode = st->st_mode & 07777, .existing = true, .no_time = true
    };
    bk_auto(close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat again;
    if (fd >= 0 && fstat(fd, &again) == 0 && (again.st_ino != st->st_ino || again.st_dev != st->st_dev)) {
        struct bk_error why = { 0 };
        bk_fail(&why, BK_E_IO, "the file was replaced while it was restored");
        run_problem(r, &at, &why);
        return;
    }
    if (fd >= 0)
        attrs_apply_fd(&r->attrs, &at, fd, &m, &now);
    else
        attrs_apply_at(&r->attrs, &at, dirfd, name, &m, &now);
    atomic_fetch_add(&r->n_kept, 1);
    atomic_fetch_add(&r->n_files, 1);
    atomic_fetch_add(&r->job->done_bytes, e->content.size);
    run_count_item(r, &at);
}

/* 1: kept as it is; 0: *ret_delta says whether it is changed in place or made anew. */
static int decide(struct run *r, struct tdir *td, const struct tree_entry *e, const struct file_seen *seen,
                  bool *ret_delta, struct bk_error *err)
{
    if (!r->opts->overwrite)
        return bk_fail(err, BK_E_EXISTS, "something of that name exists");
    char name[TREE_NAME_MAX + 1];
    tree_name_copy(e, name);
    int dirfd;
    int rc = tdir_pin(&r->targets, td, &dirfd, err);
    if (rc < 0)
        return rc;
    /* More names than the snapshot knows: some other place shares the file, which must not change. */
    uint64_t nlink = e->nlink ? e->nlink : 1;
    if (!S_ISREG(seen->st.st_mode) || seen->st.st_nlink > nlink) {
        uint64_t n = 0;
        rc = target_remove(dirfd, name, &n, err);
    } else if (!r->opts->compare && unchanged(e, &seen->st)) {
        keep(r, td, dirfd, name, e, &seen->st);
        rc = 1;
    } else {
        *ret_delta = true;
    }
    tdir_unpin(&r->targets, td);
    return rc;
}

int file_restore(struct run *r, struct tdir *td, const struct tree_entry *e, const struct file_seen *seen,
                 struct link *link, struct bk_error *err)
{
    if (r->opts->dry_run) {
        atomic_fetch_add(&r->n_files, 1);
        return add_content(r, NULL, &e->content, err);
    }
    bool delta = false;
    int rc = e->content.size > INT64_MAX ? bk_fail(err, BK_E_CORRUPT, "the file's size is out of range")
             : seen->exists              ? decide(r, td, e, seen, &delta, err)
                                         : 0;
    struct rfile *f = rc == 0 ? new_file(r, td, e) : NULL;
    if (rc == 0 && !f)
        rc = bk_fail(err, BK_E_NOMEM, "restore a file");
    if (rc != 0) {
        if (link)
            links_done(r, link, rc > 0);
        return rc < 0 ? rc : 0;
    }
    f->link = link;
    f->delta = f->in_place = delta;
    if (delta) {
        f->dev = seen->st.st_dev;
        f->ino = seen->st.st_ino;
    }
    rc = add_content(r, f, &e->content, err);
    if (rc < 0)
        pool_fail(r->pool, err);
    rfile_put(r, f, 1);
    return rc;
}
