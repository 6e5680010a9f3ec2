#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

#include "formats/chunk/chunk.h"

enum { DAMAGE_RANGES = 32 };

/* Which bytes of a file could not be had. */
struct damage {
    struct {
        uint64_t from, to;
    } v[DAMAGE_RANGES];
    size_t n;
    uint64_t more; /* bytes in ranges beyond the list */
    struct bk_error why;
};

/* A regular file on its way. Everything that still has to happen to it holds one of `pending`; the last one
 * finishes it. */
struct rfile {
    struct handle handle;
    pthread_mutex_t lock; /* guards opening and what is marked [l] */
    struct tdir *td;      /* a reference */
    struct link *link;    /* or NULL */
    struct attrs attrs;   /* xattrs point behind the name */
    uint64_t size;
    atomic_size_t pending;
    atomic_bool failed; /* reported; write no more */
    atomic_bool dirty;
    bool in_place; /* something was there to begin with */
    bool delta;    /* [l] write only what differs from what is there; false once that was replaced */
    bool opened;   /* [l] it exists, as (dev, ino) */
    bool done;     /* created, written and closed in one go */
    dev_t dev;
    ino_t ino;
    struct attrs_now now;  /* [l] */
    struct damage *damage; /* [l] owned */
    size_t name_len;
    char name[];
};

static struct place place_of(const struct rfile *f)
{
    return (struct place){ .dir = f->td, .name = f->name, .name_len = f->name_len };
}

static void fail_file(struct run *r, struct rfile *f, const struct bk_error *why)
{
    if (atomic_exchange(&f->failed, true))
        return;
    struct place at = place_of(f);
    run_problem(r, &at, why);
    run_mark_bad(r, &at);
}

/* ---- creating and opening ---- */

static int create(struct run *r, struct rfile *f, int dirfd, mode_t mode, struct bk_error *err)
{
    enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC };
    int fd = openat(dirfd, f->name, FLAGS, mode);
    if (fd < 0 && errno == EEXIST && r->opts->overwrite && !f->td->fresh) {
        uint64_t n = 0;
        int rc = target_remove(dirfd, f->name, &n, err);
        if (rc < 0)
            return rc;
        fd = openat(dirfd, f->name, FLAGS, mode);
    }
    if (fd < 0)
        return bk_fail_errno(err, errno, "create the file");
    f->now = (struct attrs_now){ .uid = r->attrs.euid,
                                 .gid = f->td->new_gid,
                                 .mode = mode & ~r->attrs.umask,
                                 .acl = f->td->acl,
                                 .no_flags = f->link && attrs_freezes(&f->attrs) };
    return fd;
}

static int create_sized(struct run *r, struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = create(r, f, dirfd, 0600, err);
    struct stat st;
    if (fd < 0)
        return fd;
    if ((f->size && ftruncate(fd, (off_t)f->size) < 0) || fstat(fd, &st) < 0) {
        int e = errno;
        close(fd);
        return bk_fail_errno(err, e, "size the file");
    }
    f->delta = false;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return fd;
}

enum { OPEN_FLAGS = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* What is there is changed only if it is still what was looked at. */
static int open_delta(struct run *r, struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = openat(dirfd, f->name, OPEN_FLAGS);
    if (fd < 0 && errno == EPERM && target_thaw(dirfd, f->name))
        fd = openat(dirfd, f->name, OPEN_FLAGS);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == f->dev && st.st_ino == f->ino) {
        if ((uint64_t)st.st_size != f->size && ftruncate(fd, (off_t)f->size) < 0) {
            int e = errno;
            close(fd);
            return bk_fail_errno(err, e, "size the file");
        }
        if ((uint64_t)st.st_size != f->size)
            atomic_store(&f->dirty, true);
        f->now = (struct attrs_now){ .uid = st.st_uid,
                                     .gid = st.st_gid,
                                     .mode = st.st_mode & 07777,
                                     .existing = true,
                                     .no_flags = f->link && attrs_freezes(&f->attrs) };
        return fd;
    }
    /* A running program, a file closed to us, or something else by now: a new file takes the name. */
    if (fd >= 0)
        close(fd);
    uint64_t n = 0;
    int rc = target_remove(dirfd, f->name, &n, err);
    return rc < 0 ? rc : create_sized(r, f, dirfd, err);
}

static int reopen(const struct rfile *f, int dirfd, struct bk_error *err)
{
    int fd = openat(dirfd, f->name, OPEN_FLAGS);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open the file again");
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino) {
        close(fd);
        return bk_fail(err, BK_E_IO, "the file was replaced while it was restored");
    }
    return fd;
}

static int pin(struct run *r, struct rfile *f, int *ret_fd, struct bk_error *err)
{
    int fd = handles_pin(&r->files, &f->handle);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    pthread_mutex_lock(&f->lock);
    int rc = 0;
    fd = handles_pin(&r->files, &f->handle);
    if (fd < 0) {
        int dirfd;
        rc = tdir_pin(&r->targets, f->td, &dirfd, err);
        if (rc == 0) {
            rc = fd = f->opened  ? reopen(f, dirfd, err)
                      : f->delta ? open_delta(r, f, dirfd, err)
                                 : create_sized(r, f, dirfd, err);
            tdir_unpin(&r->targets, f->td);
        }
        if (rc >= 0) {
            f->opened = true;
            handles_adopt_fd(&r->files, &f->handle, fd);
        }
    }
    pthread_mutex_unlock(&f->lock);
    if (rc < 0)
        return rc;
    *ret_fd = fd;
    return 0;
}

/* ---- writing ---- */

static int put_bytes(int fd, const uint8_t *p, size_t len, uint64_t at, bool seek, struct bk_error *err)
{
    while (len) {
        ssize_t n = seek ? pwrite(fd, p, len, (off_t)at) : write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "write the file");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Would a new file with its final mode show more than it should before it has its owner? */
static mode_t first_mode(struct run *r, const struct rfile *f)
{
    if (f->attrs.xattrs_len)
        return 0600;
    if (!r->opts->no_owner && (idmap_user(r->idmap, f->attrs.uid) != r->attrs.euid ||
                               idmap_group(r->idmap, f->attrs.gid) != f->td->new_gid))
        return 0600;
    return f->attrs.mode & 0777;
}

/* All its bytes are here: create, write, set, close. The common case, and what the speed of small files hangs
 * on. */
static int write_whole(struct run *r, struct rfile *f, const uint8_t *p, size_t len, struct bk_error *err)
{
    int dirfd;
    int rc = tdir_pin(&r->targets, f->td, &dirfd, err);
    if (rc < 0)
        return rc;
    int fd = create(r, f, dirfd, first_mode(r, f), err);
    tdir_unpin(&r->targets, f->td);
    if (fd < 0)
        return fd;
    f->done = true;
    rc = put_bytes(fd, p, len, 0, false, err);
    if (rc == 0) {
        struct place at = place_of(f);
        attrs_apply_fd(&r->attrs, &at, fd, &f->attrs, &f->now);
    }
    if (close(fd) < 0 && rc == 0)
        rc = bk_fail_errno(err, errno, "close the file");
    if (rc == 0)
        atomic_fetch_add_explicit(&r->bytes_written, len, memory_order_relaxed);
    return rc;
}

static int write_part(struct run *r, struct rfile *f, unsigned worker, const uint8_t *p, size_t len,
                      uint64_t at, struct bk_error *err)
{
    int fd;
    int rc = pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    uint64_t written = len;
    if (f->delta) {
        uint8_t *scratch = run_scratch(r, worker);
        written = 0;
        rc = scratch ? delta_write(fd, at, p, len, scratch, &written) : -ENOMEM;
        if (rc < 0)
            rc = bk_fail_errno(err, -rc, "compare and write the file");
        if (written)
            atomic_store(&f->dirty, true);
    } else {
        rc = put_bytes(fd, p, len, at, true, err);
    }
    handles_unpin(&r->files, &f->handle);
    atomic_fetch_add_explicit(&r->bytes_written, written, memory_order_relaxed);
    return rc;
}

static int zero_part(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it,
                     struct bk_error *err)
{
    int fd;
    int rc = pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    bool hole = it->off == EXTENT_HOLE || r->opts->sparse_zeroes;
    uint64_t written = 0;
    if (f->delta) {
        uint8_t *scratch = run_scratch(r, worker);
        rc = scratch ? delta_zero(fd, it->at, it->len, hole, scratch, &written) : -ENOMEM;
        if (rc < 0)
            rc = bk_fail_errno(err, -rc, "zero a part of the file");
        if (written)
            atomic_store(&f->dirty, true);
        atomic_fetch_add_explicit(&r->bytes_written, written, memory_order_relaxed);
    } else if (!hole && fallocate(fd, 0, (off_t)it->at, (off_t)it->len) < 0 && errno == ENOSPC) {
        rc = bk_fail_errno(err, errno, "reserve space for the file");
    }
    handles_unpin(&r->files, &f->handle);
    return rc;
}

/* ---- finishing ---- */

static void report_damage(struct run *r, struct rfile *f)
{
    struct place at = place_of(f);
    struct damage *d = f->damage;
    run_mark_bad(r, &at);
    for (size_t i = 0; i < d->n; i++) {
        struct bk_error err = d->why;
        bk_context(&err, "bytes %llu to %llu could not be restored and are zero",
                   (unsigned long long)d->v[i].from, (unsigned long long)d->v[i].to);
        run_problem(r, &at, &err);
    }
    if (d->more) {
        struct bk_error err = d->why;
        bk_context(&err, "%llu more bytes, in many places, could not be restored and are zero",
                   (unsigned long long)d->more);
        run_problem(r, &at, &err);
    }
}

static int settle(struct run *r, struct rfile *f, struct bk_error *err)
{
    int fd;
    int rc = pin(r, f, &fd, err);
    if (rc < 0)
        return rc;
    struct place at = place_of(f);
    f->now.no_time = f->damage != NULL;
    if (atomic_load(&f->dirty) && (f->now.mode & (S_ISUID | S_ISGID)))
        f->now.mode = (mode_t)-1; /* writing may have cleared them */
    attrs_apply_fd(&r->attrs, &at, fd, &f->attrs, &f->now);
    return close(handles_take(&r->files, &f->handle, true)) < 0 ? bk_fail_errno(err, errno, "close the file")
                                                                : 0;
}

static void finish(struct run *r, struct rfile *f)
{
    bool stopped = pool_failed(r->pool);
    struct bk_error err = { 0 };
    if (!stopped && !f->done && !atomic_load(&f->failed) && settle(r, f, &err) < 0) {
        fail_file(r, f, &err);
        if (run_is_fatal(err.code))
            pool_fail(r->pool, &err);
    }
    int fd = handles_take(&r->files, &f->handle, false);
    if (fd >= 0)
        close(fd);
    if (f->damage && !stopped)
        report_damage(r, f);
    if (f->link)
        links_done(r, f->link, f->done || f->opened);
    if (!stopped && !atomic_load(&f->failed)) {
        struct place at = place_of(f);
        atomic_fetch_add_explicit(&r->n_files, 1, memory_order_relaxed);
        run_count_item(r, &at);
    }
    tdir_unref(&r->targets, f->td);
    pthread_mutex_destroy(&f->lock);
    free(f->damage);
    free(f);
}

static void put(struct run *r, struct rfile *f, size_t n)
{
    if (atomic_fetch_sub(&f->pending, n) == n)
        finish(r, f);
}

/* ---- what the plan calls ---- */

static int settle_error(struct run *r, struct rfile *f, int rc, const struct bk_error *err)
{
    if (rc >= 0)
        return 0;
    if (run_is_fatal(err->code))
        return rc;
    fail_file(r, f, err);
    return 0;
}

static int sink_data(void *ctx, unsigned worker, const struct plan_item *const *v, size_t n, const uint8_t *p,
                     size_t len, struct bk_error *err)
{
    struct run *r = ctx;
    struct rfile *f = v[0]->dst;
    int rc = 0;
    if (!pool_failed(r->pool) && !atomic_load(&f->failed)) {
        bool whole = v[0]->at == 0 && len == f->size && !f->in_place;
        rc = whole ? write_whole(r, f, p, len, err) : write_part(r, f, worker, p, len, v[0]->at, err);
        if (rc == 0) {
            atomic_fetch_add_explicit(&r->bytes, len, memory_order_relaxed);
            atomic_fetch_add_explicit(&r->job->done_bytes, len, memory_order_relaxed);
        }
        rc = settle_error(r, f, rc, err);
    }
    /* A fatal error is known to the pool before the file is finished. */
    if (rc < 0)
        pool_fail(r->pool, err);
    put(r, f, n);
    return rc;
}

static int sink_bare(void *ctx, unsigned worker, const struct plan_item *it, struct bk_error *err)
{
    struct run *r = ctx;
    struct rfile *f = it->dst;
    int rc = 0;
    if (!pool_failed(r->pool) && !atomic_load(&f->failed)) {
        if (it->len == 0 && f->size == 0 && !f->in_place)
            rc = write_whole(r, f, NULL, 0, err);
        else if (it->len)
            rc = zero_part(r, f, worker, it, err);
        rc = settle_error(r, f, rc, err);
    }
    if (rc < 0)
        pool_fail(r->pool, err);
    put(r, f, 1);
    return rc;
}

static void add_range(struct run *r, struct rfile *f, uint64_t from, uint64_t to, const struct bk_error *why)
{
    pthread_mutex_lock(&f->lock);
    if (!f->damage && (f->damage = calloc(1, sizeof *f->damage)))
        f->damage->why = *why;
    struct damage *d = f->damage;
    if (!d)
        ;
    else if (d->n && d->v[d->n - 1].to == from)
        d->v[d->n - 1].to = to;
    else if (d->n < DAMAGE_RANGES) {
        d->v[d->n].from = from;
        d->v[d->n++].to = to;
    } else
        d->more += to - from;
    pthread_mutex_unlock(&f->lock);
    if (!d) /* no memory to remember it: say it at once */
        fail_file(r, f, why);
}

/* In place, what is there may be what the damaged chunk held; else zeroes are better than a mixture of two
 * states. */
static bool mend(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it)
{
    struct bk_error err;
    int fd;
    if (!f->in_place || atomic_load(&f->failed) || pin(r, f, &fd, &err) < 0)
        return false;
    bool good = false;
    uint8_t *bytes = it->off == 0 && it->len <= CHUNK_MAX ? malloc(it->len) : NULL;
    chunk_id id;
    if (bytes && f->delta && pread(fd, bytes, it->len, (off_t)it->at) == (ssize_t)it->len &&
        chunk_name(repo_namer(r->repo), CHUNK_DATA, bytes, it->len, &id, &err) == 0)
        good = chunk_id_cmp(&id, &it->id) == 0;
    free(bytes);
    uint8_t *scratch = run_scratch(r, worker);
    uint64_t written = 0;
    if (!good && f->delta && scratch && delta_zero(fd, it->at, it->len, false, scratch, &written) < 0)
        good = false;
    if (written)
        atomic_store(&f->dirty, true);
    handles_unpin(&r->files, &f->handle);
    return good;
}

static void sink_damage(void *ctx, unsigned worker, const struct plan_item *it, const struct bk_error *why)
{
    struct run *r = ctx;
    struct rfile *f = it->dst;
    if (!f) /* dry run */
        return;
    if (!pool_failed(r->pool) && why->code != BK_E_CANCELLED && !mend(r, f, worker, it))
        add_range(r, f, it->at, it->at + it->len, why);
    put(r, f, 1);
}

const struct plan_sink file_sink = { .data = sink_data, .bare = sink_bare, .damage = sink_damage };

/* ---- what the walker calls ---- */

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
        add_range(r, f, a.at, c->size, &why);
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
    put(r, f, 1);
    return rc;
}
