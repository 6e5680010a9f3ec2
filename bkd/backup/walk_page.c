/* The page task: ask for each name, compare with the parent, read what is new. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "bkd/backup/walk_file.h"

struct scan { /* of one page, while it runs */
    struct page *p;
    struct walk_lane *l;
    unsigned lane;
    int dirfd;
    struct task *first, **last; /* tasks to push when all names were seen */
    uint64_t same_bytes;        /* of files taken over */
    bool old_lost;              /* the parent is damaged from here on */
};

static int add_item(struct scan *s, size_t i, struct item **ret, struct bk_error *err)
{
    struct page *p = s->p;
    if (!p->items) {
        p->items = calloc(p->n, sizeof(struct item *));
        if (!p->items)
            return bk_fail_errno(err, ENOMEM, "a page of %zu entries", p->n);
    }
    struct item *it = calloc(1, sizeof *it);
    if (!it)
        return bk_fail_errno(err, ENOMEM, "a page of %zu entries", p->n);
    it->index = (uint32_t)i;
    p->items[p->n_items++] = it;
    p->states[i] = ITEM_NEW;
    *ret = it;
    return 0;
}

static void fill(struct scan *s, struct item *it, const struct statx *st)
{
    const struct listing *l = &s->p->dir->list;
    size_t at = s->p->first + it->index;
    meta_entry(st, &it->e);
    it->e.name = (const uint8_t *)listing_name(l, at);
    it->e.name_len = l->v[at].len;
}

static void later(struct scan *s, struct task *t)
{
    t->next = NULL;
    *s->last = t;
    s->last = &t->next;
    atomic_fetch_add(&s->p->pending, 1);
}

/* Were attributes left out of the parent's entry that this run wants? */
static bool lacks_xattrs(const struct page *p, const struct tree_entry *old)
{
    return (old->flags & TREE_XATTRS_PARTIAL) && !p->w->opts->no_xattrs;
}

static int new_dir(struct scan *s, size_t i, const struct statx *st, const struct tree_entry *old,
                   struct bk_error *err)
{
    struct page *p = s->p;
    struct dir *up = p->dir;
    struct item *it;
    int r = add_item(s, i, &it, err);
    if (r < 0)
        return r;
    fill(s, it, st);
    if (old && old->type == TREE_DIR) {
        it->meta_same = meta_same(old, st) && !lacks_xattrs(p, old);
        it->before = old->dir;
        if (it->meta_same) {
            struct tree_entry e = *old;
            e.name = it->e.name;
            it->e = e;
        }
        it->e.dir = (struct tree_dir){ 0 };
    }
    uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);
    const struct roots_node *node = up->roots ? roots_child(up->roots, (const char *)it->e.name) : NULL;
    uint64_t one_dev = node && (node->given || !node->whole) ? dev : up->one_dev;
    bool foreign = p->w->opts->one_file_system && dev != one_dev;
    if (foreign && !(node && node->n))
        return 0; /* the mount point is kept, empty */
    struct dir *d = calloc(1, sizeof *d);
    if (!d)
        return bk_fail_errno(err, ENOMEM, "a directory");
    *d = (struct dir){ .task.run = walk_dir,
                       .w = p->w,
                       .up = up,
                       .up_page = p,
                       .up_item = it,
                       .name = (const char *)it->e.name,
                       .roots = node,
                       .only_roots = node && !node->given && (!node->whole || foreign || up->only_roots),
                       .follow = node && !node->whole,
                       .dev = dev,
                       .ino = st->stx_ino,
                       .one_dev = one_dev,
                       .fd = -1 };
    if (old && old->type == TREE_DIR)
        d->old.dir = old->dir;
    later(s, &d->task);
    return 0;
}

/* xattrs of what is not opened: carried over when the ctime says that nothing was touched */
static void describe_closed(struct scan *s, struct item *it, const struct tree_entry *old)
{
    struct page *p = s->p;
    const char *name = (const char *)it->e.name;
    if (p->w->opts->no_xattrs) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        return;
    }
    if (old && old->type == it->e.type && !(old->flags & TREE_XATTRS_PARTIAL) &&
        old->ctime.s == it->e.ctime.s && old->ctime.ns == it->e.ctime.ns) {
        it->e.xattrs = old->xattrs; /* the page scan keeps them */
        it->e.xattrs_len = old->xattrs_len;
        return;
    }
    struct bk_buf b = BK_BUF(TREE_XATTRS_MAX);
    int sys = meta_xattrs_at(s->dirfd, name, &b);
    if (sys) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        walk_trouble(p->w, p->dir, name, TROUBLE_METADATA, sys, N_("extended attributes"));
    }
    walk_own_xattrs(it, &b);
}

static void read_link(struct scan *s, struct item *it)
{
    struct page *p = s->p;
    const char *name = (const char *)it->e.name;
    struct bk_buf b = BK_BUF((size_t)TREE_LINK_MAX * 8);
    int sys = meta_link(s->dirfd, name, &b);
    if (sys) {
        bk_buf_clear(&b);
        it->lost = true;
        walk_trouble_errno(p->w, p->dir, name, sys);
        return;
    }
    /* one block for both: the target in front, xattrs of links are rare */
    size_t len = b.len;
    struct bk_buf x = BK_BUF(TREE_XATTRS_MAX);
    sys = p->w->opts->no_xattrs ? 0 : meta_xattrs_at(s->dirfd, name, &x);
    if (sys || bk_buf_append(&b, x.data, x.len, NULL) < 0) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        walk_trouble(p->w, p->dir, name, TROUBLE_METADATA, sys, N_("extended attributes"));
    }
    bk_buf_clear(&x);
    if (p->w->opts->no_xattrs)
        it->e.flags |= TREE_XATTRS_PARTIAL;
    it->own = b.data;
    it->e.link = b.data;
    it->e.link_len = len;
    if (b.len > len) {
        it->e.xattrs = b.data + len;
        it->e.xattrs_len = b.len - len;
    }
}

/* May the parent's content be used again? 1, 0 or an error. */
static int content_holds(struct scan *s, const struct tree_entry *old, struct bk_error *err)
{
    struct walk *w = s->p->w;
    return w->verify && old->type == TREE_FILE ? old_content_holds(w->reader, s->lane, &old->content, err)
                                               : 1;
}

static int new_file(struct scan *s, struct item *it, const struct statx *st, const struct tree_entry *old,
                    struct bk_error *err)
{
    struct walk *w = s->p->w;
    int holds = 0;
    if (old && !(old->flags & TREE_CONTENT_PARTIAL) && meta_content_same(old, st, w->ignore))
        holds = content_holds(s, old, err);
    if (holds < 0)
        return holds;
    if (holds) {
        it->e.content = old->content;
        it->e.fsflags = old->fsflags;
        it->e.flags |= old->flags & TREE_HAS_FSFLAGS;
        describe_closed(s, it, old);
        s->l->totals.n_unchanged++;
        s->same_bytes += st->stx_size;
        return 0;
    }
    if (st->stx_size <= s->l->in.segment_bytes)
        return walk_file_read(s->p, it, s->dirfd, s->lane, err);
    struct task *t;
    int r = walk_file_task(s->p, it, &t, err);
    if (r == 0)
        later(s, t);
    return r;
}

static int new_other(struct scan *s, size_t i, const struct statx *st, const struct tree_entry *old,
                     struct bk_error *err)
{
    struct item *it;
    int r = add_item(s, i, &it, err);
    if (r < 0)
        return r;
    fill(s, it, st);
    if (it->e.type == TREE_FILE)
        return new_file(s, it, st, old, err);
    if (it->e.type == TREE_SYMLINK)
        read_link(s, it);
    else
        describe_closed(s, it, old);
    return 0;
}

/* A file with trouble in the parent is read again: the trouble may have gone. */
static bool is_same(const struct page *p, const struct tree_entry *old, const struct statx *st)
{
    return p->w->ignore == 0 && !(old->flags & TREE_CONTENT_PARTIAL) && !lacks_xattrs(p, old) &&
           meta_same(old, st);
}

/* The parent's entry of the name, if it has one. A page that is damaged there costs a comparison: from it on
 * all names are new. What was found before it stays usable, its pages are loaded. */
static int find_old(struct scan *s, size_t i, const struct tree_entry **ret, struct bk_error *err)
{
    struct page *p = s->p;
    const struct listing *l = &p->dir->list;
    struct bk_error why = { 0 };
    if (!p->old.dir || s->old_lost)
        return 0;
    int r = old_scan_find(&p->old, listing_name(l, p->first + i), l->v[p->first + i].len, ret, &why);
    p->n_found += r > 0;
    if (r >= 0)
        return 0;
    if (bk_code_aborts(r)) {
        *err = why;
        return r;
    }
    walk_parent_damaged(p->w, &why);
    s->old_lost = true;
    p->same = false;
    return 0;
}

/* Where there is nothing to compare with, a name that the directory calls a regular file is opened right
 * away: the descriptor says all that asking for the name would. 1: done; 0: it is to be looked at as any
 * other. */
static int read_unasked(struct scan *s, size_t i, struct bk_error *err)
{
    struct page *p = s->p;
    const struct listing *l = &p->dir->list;
    bk_auto(close) int fd = -1;
    struct statx st;
    if (l->v[p->first + i].d_type != DT_REG || p->old.dir || p->w->opts->exclude_larger ||
        walk_file_open_plain(s->dirfd, listing_name(l, p->first + i), &fd, &st) ||
        st.stx_size > s->l->in.segment_bytes)
        return 0;
    p->same = false;
    struct item *it;
    int r = add_item(s, i, &it, err);
    if (r < 0)
        return r;
    fill(s, it, &st);
    r = walk_file_read_open(p, it, fd, &st, s->lane, err);
    return r < 0 ? r : 1;
}

/* What may be known from asking ahead. */
static int ask(const struct scan *s, size_t i, bool follow, struct statx *ret)
{
    const struct dir *d = s->p->dir;
    size_t at = s->p->first + i;
    if (follow || !d->stats || !d->stats[at].stx_mask)
        return meta_stat(s->dirfd, listing_name(&d->list, at), follow, ret);
    *ret = d->stats[at];
    return 0;
}

static int one(struct scan *s, size_t i, struct bk_error *err)
{
    struct page *p = s->p;
    struct walk *w = p->w;
    const struct listing *l = &p->dir->list;
    const char *name = listing_name(l, p->first + i);
    const struct roots_node *node = p->dir->roots ? roots_child(p->dir->roots, name) : NULL;

    const struct tree_entry *old = NULL;
    int r = find_old(s, i, &old, err);
    if (r == 0 && !node)
        r = read_unasked(s, i, err);
    if (r != 0)
        return r < 0 ? r : 0;

    struct statx st;
    int sys = ask(s, i, node && !node->whole, &st);
    if (sys) {
        p->same = false;
        walk_trouble_errno(w, p->dir, name, sys);
        atomic_fetch_add(&w->roots_lost, roots_count(node));
        return 0;
    }
    if (S_ISREG(st.stx_mode) && w->opts->exclude_larger && st.stx_size > w->opts->exclude_larger) {
        p->same &= !old;
        return 0;
    }
    if (!meta_type(st.stx_mode)) {
        p->same = false;
        walk_trouble(w, p->dir, name, TROUBLE_SKIPPED, 0, N_("an unknown type of file"));
        return 0;
    }
    if (S_ISDIR(st.stx_mode))
        return new_dir(s, i, &st, old, err);
    int same = old && is_same(p, old, &st) ? content_holds(s, old, err) : 0;
    if (same < 0)
        return same;
    if (same) {
        p->states[i] = ITEM_SAME;
        owners_note(&s->l->owners, st.stx_uid, st.stx_gid);
        if (old->type == TREE_FILE) {
            s->l->totals.n_files++;
            s->l->totals.n_unchanged++;
            s->l->totals.content_bytes += st.stx_size;
            s->same_bytes += st.stx_size;
        } else {
            s->l->totals.n_others++;
        }
        return 0;
    }
    p->same = false;
    return new_other(s, i, &st, old, err);
}

static int names(struct scan *s, struct bk_error *err)
{
    struct page *p = s->p;
    p->states = calloc(p->n, 1);
    if (!p->states)
        return bk_fail_errno(err, ENOMEM, "a page of %zu entries", p->n);
    p->same = true;
    if (p->dir->old.n)
        old_scan_open(&p->old, p->w->reader, s->lane, &p->dir->old, listing_name(&p->dir->list, p->first));
    for (size_t i = 0; i < p->n; i++) {
        int r = one(s, i, err);
        if (r < 0)
            return r;
    }
    atomic_fetch_add_explicit(&p->w->job->done_items, p->n, memory_order_relaxed);
    if (s->same_bytes)
        atomic_fetch_add_explicit(&p->w->job->done_bytes, s->same_bytes, memory_order_relaxed);
    return 0;
}

void walk_page(struct task *t, unsigned lane)
{
    struct page *p = (struct page *)t;
    struct walk *w = p->w;
    struct bk_error err = { 0 };
    atomic_store(&p->pending, 1);
    struct scan s = { .p = p, .l = &w->lanes[lane], .lane = lane };
    s.last = &s.first;
    int sys = 0;
    if (!pool_failed(w->pool)) {
        sys = dirs_open(w->dirs, p->dir, &s.dirfd);
        if (sys) {
            walk_trouble_errno(w, p->dir, NULL, sys);
        } else {
            int r = job_check(w->job, &err);
            if (r == 0)
                r = names(&s, &err);
            struct bk_error late = { 0 };
            int e = ingest_settle(&s.l->in, &late);
            if (e < 0 && r == 0) {
                r = e;
                err = late;
            }
            dirs_close(w->dirs, p->dir);
            if (r < 0)
                walk_fail(w, &err);
        }
    }
    if (s.first)
        pool_push_chain(w->pool, s.first);
    walk_settle(p, lane);
}
