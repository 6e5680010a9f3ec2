/* The directory task: open, list, leave out, cut into pages. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "bkd/backup/walk.h"

static const char cachedir_signature[] = "Signature: 8a477f597d28d172789f06886806bc55";

static void show(struct walk *w, struct dir *d, unsigned lane)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    int64_t ns = now.tv_sec * 1000000000 + now.tv_nsec;
    struct walk_lane *l = &w->lanes[lane];
    if (ns - l->shown_ns < 50000000)
        return;
    l->shown_ns = ns;
    if (dirs_path(d, NULL, &l->path, NULL) == 0)
        job_set_path(w->job, l->path.data, l->path.len);
}

/* Does the file `name` begin with the prefix? An empty one always fits. */
static bool begins_with(int fd, const char *name, const char *prefix, size_t len)
{
    if (!len)
        return true;
    bk_auto(close) int f = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint8_t have[512];
    if (f < 0 || len > sizeof have)
        return false;
    return pread(f, have, len, 0) == (ssize_t)len && !memcmp(have, prefix, len);
}

static size_t tagged_by(const struct dir *d, int fd, const char *spec)
{
    char name[256];
    size_t len = strcspn(spec, ":");
    if (!len || len >= sizeof name)
        return SIZE_MAX;
    memcpy(name, spec, len);
    name[len] = '\0';
    size_t at = listing_find(&d->list, name);
    if (at == SIZE_MAX)
        return at;
    const char *prefix = spec[len] ? spec + len + 1 : "";
    return begins_with(fd, name, prefix, strlen(prefix)) ? at : SIZE_MAX;
}

/* A directory that carries a tag is kept with the tag alone, so that it is still one after a restore. */
static void leave_tag_only(const struct walk *w, struct dir *d, int fd)
{
    size_t at = SIZE_MAX;
    if (w->opts->exclude_caches) {
        at = listing_find(&d->list, "CACHEDIR.TAG");
        if (at != SIZE_MAX &&
            !begins_with(fd, "CACHEDIR.TAG", cachedir_signature, sizeof cachedir_signature - 1))
            at = SIZE_MAX;
    }
    for (size_t i = 0; i < w->opts->n_exclude_if_present && at == SIZE_MAX; i++)
        at = tagged_by(d, fd, w->opts->exclude_if_present[i]);
    if (at == SIZE_MAX)
        return;
    d->list.v[0] = d->list.v[at];
    d->list.n = 1;
}

static bool is_dir(int fd, const char *name, uint8_t d_type)
{
    struct statx st;
    if (d_type != DT_UNKNOWN)
        return d_type == DT_DIR;
    return meta_stat(fd, name, false, &st) == 0 && S_ISDIR(st.stx_mode);
}

static int leave_out(struct walk *w, struct dir *d, int fd, unsigned lane, struct bk_error *err)
{
    const struct exclude *x = w->exclude;
    struct bk_buf *path = &w->lanes[lane].path;
    if (exclude_is_empty(x) || !d->list.n)
        return 0;
    path->len = 0;
    if (exclude_wants_path(x)) {
        int r = dirs_path(d, NULL, path, err);
        if (r < 0)
            return r;
    }
    size_t n = 0;
    for (size_t i = 0; i < d->list.n; i++) {
        const char *name = listing_name(&d->list, i);
        bool dir = exclude_wants_type(x) && is_dir(fd, name, d->list.v[i].d_type);
        if (!exclude_match(x, (const char *)path->data, path->len, name, d->list.v[i].len, dir))
            d->list.v[n++] = d->list.v[i];
    }
    d->list.n = n;
    return 0;
}

static int list_roots(struct dir *d, struct bk_error *err)
{
    for (size_t i = 0; i < d->roots->n; i++) {
        const char *name = d->roots->children[i]->name;
        int r = listing_add(&d->list, name, strlen(name), DT_UNKNOWN, err);
        if (r < 0)
            return r;
    }
    listing_sort(&d->list);
    return 0;
}

/* Read ahead, or now. */
static int names(struct walk *w, struct dir *d, int fd, struct bk_error *why)
{
    struct ahead_dir known;
    if (!w->opts->ahead || !ahead_take(w->opts->ahead, fd, &known))
        return listing_read(fd, &d->list, why);
    d->list = known.list;
    d->stats = known.stats;
    return 0;
}

static int list(struct walk *w, struct dir *d, int fd, unsigned lane, struct bk_error *err)
{
    if (d->only_roots)
        return list_roots(d, err);
    struct bk_error why = { 0 };
    int r = names(w, d, fd, &why);
    size_t n = d->list.n;
    if (r < 0 && r != BK_E_NOMEM)
        walk_trouble(w, d, NULL, TROUBLE_UNREADABLE, why.sys, N_("the directory could not be listed whole"));
    else if (r < 0) {
        *err = why;
        return r;
    }
    leave_tag_only(w, d, fd);
    r = leave_out(w, d, fd, lane, err);
    if (d->list.n != n) { /* no longer in step */
        free(d->stats);
        d->stats = NULL;
    }
    return r;
}

/* xattrs and flags of a directory whose metadata is not the parent's */
static void describe(struct walk *w, struct dir *d, int fd)
{
    struct item *it = d->up_item;
    if (!it || it->meta_same)
        return;
    if (meta_fsflags(fd, &it->e.fsflags))
        it->e.flags |= TREE_HAS_FSFLAGS;
    if (w->opts->no_xattrs) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        return;
    }
    struct bk_buf b = BK_BUF(TREE_XATTRS_MAX);
    int sys = meta_xattrs_fd(fd, &b);
    if (sys) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        walk_trouble(w, d, NULL, TROUBLE_METADATA, sys, N_("extended attributes"));
    }
    walk_own_xattrs(it, &b);
}

static int cut_pages(struct walk *w, struct dir *d, struct bk_error *err)
{
    size_t n_pages = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t n = 0, k = 0, first = 0;
        for (size_t i = 0; i < d->list.n; i++) {
            n++;
            if (i + 1 < d->list.n && !tree_page_ends(listing_name(&d->list, i), d->list.v[i].len, n, 0))
                continue;
            if (pass) {
                struct page *p = &d->pages[k];
                *p = (struct page){ .task.run = walk_page, .w = w, .dir = d, .first = first, .n = n };
                p->task.next = i + 1 < d->list.n ? &d->pages[k + 1].task : NULL;
            }
            k++;
            first = i + 1;
            n = 0;
        }
        n_pages = k;
        if (!pass && k) {
            d->pages = calloc(k, sizeof *d->pages);
            if (!d->pages)
                return bk_fail_errno(err, ENOMEM, "a directory of %zu names", d->list.n);
        }
    }
    d->n_pages = n_pages;
    atomic_store(&d->pending, n_pages);
    return 0;
}

static int prepare(struct walk *w, struct dir *d, int fd, unsigned lane, struct bk_error *err)
{
    int r = job_check(w->job, err);
    if (r < 0)
        return r;
    describe(w, d, fd);
    r = list(w, d, fd, lane, err);
    if (r < 0)
        return r;
    if (w->reader && d->old.dir.depth) {
        struct tree_dir td = d->old.dir;
        struct bk_error why = { 0 };
        r = old_open(w->reader, lane, &td, &d->old, &why);
        if (r < 0) { /* a damaged parent costs a comparison, not the backup */
            walk_parent_damaged(w, &why);
            d->old = (struct old_dir){ 0 };
        }
    }
    return cut_pages(w, d, err);
}

void walk_dir(struct task *t, unsigned lane)
{
    struct dir *d = (struct dir *)t;
    struct walk *w = d->w;
    struct bk_error err = { 0 };
    int fd;
    if (pool_failed(w->pool)) {
        walk_dir_done(w, d, lane);
        return;
    }
    show(w, d, lane);
    int sys = dirs_open(w->dirs, d, &fd);
    if (sys) {
        walk_trouble_errno(w, d, NULL, sys);
        if (d->up_item && (sys == ENOENT || sys == ESTALE))
            d->up_item->lost = true;
        atomic_fetch_add(&w->roots_lost, roots_count(d->roots));
        d->old = (struct old_dir){ 0 };
        walk_dir_done(w, d, lane);
        return;
    }
    int r = prepare(w, d, fd, lane, &err);
    dirs_close(w->dirs, d);
    if (r < 0)
        walk_fail(w, &err);
    if (r < 0 || !d->n_pages)
        walk_dir_done(w, d, lane);
    else
        pool_push_chain(w->pool, &d->pages[0].task);
}
