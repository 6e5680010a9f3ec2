#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

enum { FILES_WAITING = 1024 };

/* One file to read back. Frees itself. */
struct check {
    struct task task;
    struct run *run;
    struct tdir *td; /* a reference */
    struct node node;
};

struct reading {
    struct run *run;
    unsigned worker;
    int fd;
    uint8_t *buf; /* CHUNK_MAX bytes */
};

static int differs(uint64_t from, uint64_t len, struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "bytes %llu to %llu read back differ from the snapshot",
                   (unsigned long long)from, (unsigned long long)(from + len));
}

static int read_back(const struct reading *g, uint64_t at, size_t len, struct bk_error *err)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(g->fd, g->buf + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read the file back");
        if (n == 0)
            return differs(at + got, len - got, err);
        got += (size_t)n;
    }
    return 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int check_zero(const struct reading *g, uint64_t at, uint64_t len, struct bk_error *err)
{
    for (uint64_t end = at + len; at < end;) {
        off_t data = lseek(g->fd, (off_t)at, SEEK_DATA);
        if ((data < 0 && errno == ENXIO) || data >= (off_t)end)
            return 0;
        if (data > (off_t)at)
            at = (uint64_t)data;
        size_t n = end - at < CHUNK_MAX ? (size_t)(end - at) : CHUNK_MAX;
        int r = read_back(g, at, n, err);
        if (r < 0)
            return r;
        if (!all_zero(g->buf, n))
            return differs(at, n, err);
        at += n;
    }
    return 0;
}

static int check_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct reading *g = ctx;
    struct run *r = g->run;
    int rc = job_check(r->job, err);
    if (rc < 0)
        return rc;
    if (x->kind != EXTENT_DATA) {
        rc = check_zero(g, offset, x->len, err);
    } else if (x->len > CHUNK_MAX) {
        rc = bk_fail(err, BK_E_CORRUPT, "an extent is longer than any chunk");
    } else if ((rc = read_back(g, offset, (size_t)x->len, err)) == 0) {
        int same = reader_matches(r->reader, g->worker, x, g->buf, err);
        rc = same < 0 ? same : same ? 0 : differs(offset, x->len, err);
    }
    if (rc == 0) {
        atomic_fetch_add_explicit(&r->bytes_verified, x->len, memory_order_relaxed);
        atomic_fetch_add_explicit(&r->job->read_bytes, x->len, memory_order_relaxed);
    }
    return rc;
}

static int check_file(struct run *r, unsigned worker, struct tdir *td, const struct tree_entry *e,
                      struct bk_error *err)
{
    char name[TREE_NAME_MAX + 1];
    tree_name_copy(e, name);
    int dirfd;
    int rc = tdir_pin(&r->targets, td, &dirfd, err);
    if (rc < 0)
        return rc;
    bk_auto(close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int e_open = errno;
    tdir_unpin(&r->targets, td);
    if (fd < 0)
        return bk_fail_errno(err, e_open, "open the file to read it back");
    struct stat st;
    if (fstat(fd, &st) < 0)
        return bk_fail_errno(err, errno, "look at the file to read it back");
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->content.size)
        return bk_fail(err, BK_E_CORRUPT, "the file is not there with its size");
    /* From the medium, not from memory: pages were written by the sync before this pass. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    bk_auto(free) uint8_t *buf = malloc(e->content.size < CHUNK_MAX ? e->content.size + 1 : CHUNK_MAX);
    if (!buf)
        return bk_fail(err, BK_E_NOMEM, "read the file back");
    struct reading g = { .run = r, .worker = worker, .fd = fd, .buf = buf };
    return browse_extents(r->reader, worker, &e->content, 0, e->content.size, check_extent, &g, err);
}

static void check_run_task(struct task *t, unsigned worker)
{
    struct check *c = (struct check *)t;
    struct run *r = c->run;
    struct bk_error err = { 0 };
    struct place at = { .dir = c->td, .name = c->node.e.name, .name_len = c->node.e.name_len };
    if (!pool_failed(r->pool) && check_file(r, worker, c->td, &c->node.e, &err) < 0) {
        if (run_is_fatal(err.code))
            pool_fail(r->pool, &err);
        else
            run_problem(r, &at, &err);
    }
    tdir_unref(&r->targets, c->td);
    node_clear(&c->node);
    free(c);
}

static int check_push(struct run *r, struct tdir *td, const struct tree_entry *e, struct bk_error *err)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail(err, BK_E_NOMEM, "read the files back");
    int rc = node_copy(e, &c->node, err);
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->task.run = check_run_task;
    c->run = r;
    c->td = td;
    tdir_ref(td);
    pool_push(r->pool, &c->task);
    pool_wait_below(r->pool, FILES_WAITING);
    return 0;
}

int verify_entry(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret_below,
                 bool *ret_descend, struct bk_error *err)
{
    struct place at = { .dir = td, .name = e->name, .name_len = e->name_len };
    *ret_descend = false;
    if (!tree_name_valid(e->name, e->name_len) || run_is_bad(r, &at))
        return 0; /* told before */
    if (e->type != TREE_FILE && e->type != TREE_DIR)
        return 0;
    if (tdir_make(&r->targets, td, false, &r->n_deleted, err) < 0)
        return err->code == BK_E_CANCELLED ? err->code : bk_context(err, "read back");
    if (e->type == TREE_FILE)
        return check_push(r, td, e, err);
    struct tdir *d;
    int rc = tdir_new(&r->targets, td, e->name, e->name_len, NULL, &d, err);
    if (rc < 0)
        return rc;
    if ((rc = tdir_make(&r->targets, d, false, &r->n_deleted, err)) < 0) {
        tdir_unref(&r->targets, d);
        return rc;
    }
    *ret_below = (struct walk_dir){ .tree = e->dir, .td = d, .inside = true };
    *ret_descend = true;
    return 0;
}

int verify_run(struct run *r, const struct tree_dir *root, struct bk_error *err)
{
    r->verifying = true;
    r->targets.open_only = true;
    int rc = walk_paths(r, root, err);
    struct bk_error late = { 0 };
    int drained = pool_drain(r->pool, rc < 0 ? &late : err);
    return rc < 0 ? rc : drained;
}
