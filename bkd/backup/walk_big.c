/* Big files: a task per segment, so that one file uses all workers. The pool is a stack, so that a file's
 * segments run before the next big file is opened. */
#include <errno.h>
#include <fcntl.h>

#include "bkd/backup/walk_file.h"

struct big;
struct part {
    struct task task;
    struct big *big;
    uint64_t from, end;
    struct pieces pieces;
    struct ingest_read read;
};
struct big {
    struct task task;
    struct page *page;
    struct item *item;
    int fd;
    struct statx st;
    bool sparse;
    struct part *parts; /* owned */
    size_t n, cap;
    atomic_size_t pending;
};

static void big_free(struct big *b)
{
    for (size_t i = 0; i < b->n; i++)
        pieces_clear(&b->parts[i].pieces);
    free(b->parts);
    if (b->fd >= 0)
        close(b->fd);
    free(b);
}

static int add_part(struct big *b, uint64_t from, uint64_t end, struct bk_error *err)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 16;
        struct part *v = reallocarray(b->parts, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "a file of %zu segments", b->n);
        b->parts = v;
        b->cap = cap;
    }
    b->parts[b->n++] = (struct part){ .from = from, .end = end };
    return 0;
}

/* A run of segments that are holes altogether is one part: a sparse file may claim more segments than memory
 * could list. */
static int plan(struct big *b, uint64_t segment, struct bk_error *err)
{
    uint64_t size = b->st.stx_size;
    for (uint64_t at = 0; at < size;) {
        uint64_t end = size - at < segment ? size : at + segment;
        off_t data = b->sparse ? lseek(b->fd, (off_t)at, SEEK_DATA) : (off_t)at;
        if (data < 0 && errno == ENXIO)
            end = size;
        else if (data > 0 && (uint64_t)data >= end)
            end = (uint64_t)data >= size ? size : (uint64_t)data / segment * segment;
        int r = add_part(b, at, end, err);
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

static int join(struct big *b, unsigned lane, struct ingest_read *ret, bool *ret_short, struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces all = { 0 };
    *ret = (struct ingest_read){ 0 };
    *ret_short = false;
    for (size_t i = 0; i < b->n && !*ret_short; i++) {
        struct part *t = &b->parts[i];
        int r = pieces_append(&all, &t->pieces, err);
        if (r < 0)
            return r;
        ret->len += t->read.len;
        if (t->read.sys)
            ret->sys = t->read.sys;
        *ret_short = t->read.len < t->end - t->from;
    }
    return pieces_join(&all, b->page->w->lanes[lane].in.sink, lane, &b->item->e.content, err);
}

static void finish(struct big *b, unsigned lane)
{
    struct page *p = b->page;
    struct walk *w = p->w;
    struct item *it = b->item;
    struct bk_error err = { 0 };
    if (!pool_failed(w->pool) && !it->lost) {
        struct ingest_read rd;
        bool is_short;
        struct statx after;
        if (join(b, lane, &rd, &is_short, &err) < 0) {
            walk_fail(w, &err);
        } else {
            bool changed = is_short || meta_stat_fd(b->fd, &after) || after.stx_size != b->st.stx_size ||
                           memcmp(&after.stx_mtime, &b->st.stx_mtime, sizeof after.stx_mtime) ||
                           memcmp(&after.stx_ctime, &b->st.stx_ctime, sizeof after.stx_ctime);
            const char *name = (const char *)it->e.name;
            if (changed || rd.sys)
                it->e.flags |= TREE_CONTENT_PARTIAL;
            if (rd.sys)
                walk_trouble(w, p->dir, name, TROUBLE_PARTIAL, rd.sys,
                             N_("what could not be read is zeroes"));
            else if (changed)
                walk_trouble(w, p->dir, name, TROUBLE_CHANGED, 0, "");
            walk_file_describe(p, it, b->fd);
        }
    }
    big_free(b);
    walk_settle(p, lane);
}

static void run_part(struct task *t, unsigned lane)
{
    struct part *part = (struct part *)t;
    struct big *b = part->big;
    struct walk *w = b->page->w;
    struct bk_error err = { 0 };
    if (!pool_failed(w->pool) && ingest_range(&w->lanes[lane].in, b->fd, part->from, part->end, b->sparse,
                                              &part->pieces, &part->read, &err) < 0)
        walk_fail(w, &err);
    if (atomic_fetch_sub(&b->pending, 1) == 1)
        finish(b, lane);
}

/* 0 with parts to run (or none for a file that became empty). */
static int start(struct big *b, struct bk_error *err)
{
    struct page *p = b->page;
    struct item *it = b->item;
    const char *name = (const char *)it->e.name;
    int dirfd, sys = dirs_open(p->w->dirs, p->dir, &dirfd);
    if (!sys) {
        sys = walk_file_open(dirfd, name, &b->fd);
        dirs_close(p->w->dirs, p->dir);
    }
    if (!sys)
        sys = meta_stat_fd(b->fd, &b->st);
    if (!sys && !S_ISREG(b->st.stx_mode))
        sys = ESTALE;
    if (sys) {
        it->lost = true;
        walk_trouble_errno(p->w, p->dir, name, sys);
        return 0;
    }
    struct tree_entry e;
    if (!meta_entry(&b->st, &e))
        return 0;
    e.name = it->e.name;
    e.name_len = it->e.name_len;
    it->e = e;
    walk_file_outwait(&e);
    posix_fadvise(b->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    b->sparse = b->st.stx_blocks * 512 < b->st.stx_size;
    return plan(b, repo_config(p->w->sink->repo)->segment_bytes, err);
}

static void run_big(struct task *t, unsigned lane)
{
    struct big *b = (struct big *)t;
    struct walk *w = b->page->w;
    struct bk_error err = { 0 };
    if (!pool_failed(w->pool) && start(b, &err) < 0)
        walk_fail(w, &err);
    if (pool_failed(w->pool) || !b->n) {
        finish(b, lane);
        return;
    }
    job_set_path(w->job, b->item->e.name, b->item->e.name_len);
    atomic_store(&b->pending, b->n);
    for (size_t i = 0; i < b->n; i++) {
        b->parts[i].big = b;
        b->parts[i].task =
            (struct task){ .run = run_part, .next = i + 1 < b->n ? &b->parts[i + 1].task : NULL };
    }
    pool_push_chain(w->pool, &b->parts[0].task);
}

int walk_file_task(struct page *p, struct item *it, struct task **ret, struct bk_error *err)
{
    struct big *b = calloc(1, sizeof *b);
    if (!b)
        return bk_fail_errno(err, ENOMEM, "read a big file");
    *b = (struct big){ .task.run = run_big, .page = p, .item = it, .fd = -1 };
    *ret = &b->task;
    return 0;
}
