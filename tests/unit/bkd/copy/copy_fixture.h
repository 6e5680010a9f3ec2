/* Two repositories in memory, backups into the one, copies into the other, and a comparison of all that a
 * snapshot and its copy hold. */
#ifndef TESTS_COPY_FIXTURE_H
#define TESTS_COPY_FIXTURE_H

#include "tests/unit/bkd/backup/backup_fixture.h"

#include "bkd/copy/copy.h"
#include "bkd/repo/check.h"

struct far {
    struct store *mem;
    struct repo *repo;
};

static inline struct far far_new(enum suite_id suite)
{
    struct bk_error err = { 0 };
    struct far f = { .mem = new_mem() };
    OK(try_init(lend(f.mem), suite, NULL, &err));
    f.repo = open_mem(f.mem);
    return f;
}

static inline void far_free(struct far *f)
{
    repo_free(f->repo);
    store_free(f->mem);
}

static inline void copy_job(struct job *j)
{
    struct bk_error err = { 0 };
    *j = (struct job){ .n_threads = 2, .memory_bytes = JOB_MEMORY_MIN };
    OK(job_init(j, &err));
}

struct copied_all {
    unsigned copied, skipped, refused;
    struct copy_result last, sum;
};

/* Everything that is not there; the code of the first copy that fails. */
static inline int copy_try(struct repo *from, struct repo *to, const struct copy_opts *o,
                           struct copied_all *ret, struct bk_error *err)
{
    struct job j;
    copy_job(&j);
    bk_auto(copy_free) struct copy *c = NULL;
    *ret = (struct copied_all){ 0 };
    int r = copy_open(from, to, &j, o, &c, err);
    for (size_t i = 0; r == 0 && i < copy_source(c)->n; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        const struct snapshot *there = copy_there(c, it);
        if (there && (o->keep_damaged || !copy_is_damaged(there, &it->snap))) {
            ret->skipped++;
            continue;
        }
        r = copy_one(c, it, &ret->last, err);
        if (r < 0)
            break;
        ret->copied += !ret->last.refused;
        ret->refused += ret->last.refused;
        ret->sum.chunks_read += ret->last.chunks_read;
        ret->sum.pages_read += ret->last.pages_read;
        ret->sum.new_bytes += ret->last.new_bytes;
    }
    copy_free(bk_steal(c));
    job_clear(&j);
    return r;
}

static inline struct copied_all copy_all(struct repo *from, struct repo *to)
{
    struct bk_error err = { 0 };
    struct copied_all all;
    OK(copy_try(from, to, &(struct copy_opts){ .zstd_level = 1 }, &all, &err));
    return all;
}

struct half { /* of a comparison */
    struct index *index;
    struct reader *reader;
};

static inline struct half half_open(struct repo *r)
{
    struct bk_error err = { 0 };
    struct half h;
    OK(index_open(r, NULL, NULL, &h.index, &err));
    OK(reader_new(r, h.index, 1, 16 << 20, &h.reader, &err));
    return h;
}

static inline void half_close(struct half *h)
{
    reader_free(h->reader);
    index_free(h->index);
}

static inline void same_content(struct half *a, struct half *b, const struct content *x,
                                const struct content *y)
{
    struct bk_error err = { 0 };
    assert_int_equal(x->size, y->size);
    assert_int_equal(x->depth, y->depth);
    uint8_t *p = malloc(x->size + 1), *q = malloc(x->size + 1);
    size_t n = 0, m = 0;
    OK(browse_read(a->reader, 0, x, 0, p, x->size, &n, &err));
    OK(browse_read(b->reader, 0, y, 0, q, y->size, &m, &err));
    assert_int_equal(n, x->size);
    assert_int_equal(m, n);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static inline void same_time(const struct tree_time *a, const struct tree_time *b)
{
    assert_int_equal(a->s, b->s);
    assert_int_equal(a->ns, b->ns);
}

static inline void same_dir(struct half *a, struct half *b, const struct tree_dir *x,
                            const struct tree_dir *y)
{
    struct bk_error err = { 0 };
    struct browse_dir *da, *db;
    struct tree_entry e, f;
    OK(browse_dir_open(a->reader, 0, x, &da, &err));
    OK(browse_dir_open(b->reader, 0, y, &db, &err));
    for (;;) {
        int more = browse_dir_next(da, &e, &err);
        assert_int_equal(browse_dir_next(db, &f, &err), more);
        if (more != 1) {
            assert_int_equal(more, 0);
            break;
        }
        assert_int_equal(e.name_len, f.name_len);
        assert_memory_equal(e.name, f.name, e.name_len);
        assert_int_equal(e.type, f.type);
        assert_int_equal(e.flags, f.flags);
        assert_int_equal(e.mode, f.mode);
        assert_int_equal(e.ino, f.ino);
        assert_int_equal(e.nlink, f.nlink);
        same_time(&e.mtime, &f.mtime);
        same_time(&e.ctime, &f.ctime);
        assert_int_equal(e.link_len, f.link_len);
        if (e.link_len)
            assert_memory_equal(e.link, f.link, e.link_len);
        assert_int_equal(e.xattrs_len, f.xattrs_len);
        if (e.type == TREE_FILE)
            same_content(a, b, &e.content, &f.content);
        if (e.type == TREE_DIR)
            same_dir(a, b, &e.dir, &f.dir);
    }
    browse_dir_free(da);
    browse_dir_free(db);
}

/* All snapshots of `from`, the copies of which are all of `to`, in the same order. */
static inline void same_all(struct repo *from, struct repo *to)
{
    struct bk_error err = { 0 };
    bk_auto(catalog_clear) struct catalog a = { 0 }, b = { 0 };
    OK(catalog_load(from, NULL, NULL, &a, &err));
    OK(catalog_load(to, NULL, NULL, &b, &err));
    assert_int_equal(a.n, b.n);
    struct half x = half_open(from), y = half_open(to);
    for (size_t i = 0; i < a.n; i++) {
        const struct snapshot *s = &a.v[i].snap, *t = &b.v[i].snap;
        assert_string_equal(s->name, t->name);
        assert_int_equal(s->start_ns, t->start_ns);
        assert_int_equal(s->n_files, t->n_files);
        assert_int_equal(s->state, t->state);
        struct copy_origin o, p;
        copy_origin_of(from, s, &o);
        copy_origin_of(to, t, &p);
        assert_memory_equal(&o, &p, sizeof o);
        assert_int_equal(s->n_streams, t->n_streams);
        for (size_t k = 0; k < s->n_streams; k++)
            if (s->streams[k].kind == STREAM_TREE)
                same_dir(&x, &y, &s->streams[k].tree, &t->streams[k].tree);
            else
                same_content(&x, &y, &s->streams[k].content, &t->streams[k].content);
    }
    half_close(&x);
    half_close(&y);
}

static inline void is_sound(struct repo *r)
{
    struct bk_error err = { 0 };
    struct check_report report = { 0 };
    struct job j;
    copy_job(&j);
    OK(check_run(r, &j, &(struct check_opts){ .read_data = true }, NULL, NULL, &report, &err));
    job_clear(&j);
    assert_int_equal(report.n_damages, 0);
    assert_int_equal(report.n_files_hit, 0);
    assert_int_equal(report.n_stale_sessions, 0);
}

#endif
