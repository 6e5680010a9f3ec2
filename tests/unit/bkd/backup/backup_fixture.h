/* A repository in memory, a place on disk, and backups from one to the other. */
#ifndef TESTS_BACKUP_FIXTURE_H
#define TESTS_BACKUP_FIXTURE_H

#include "tests/unit/bkd/repo/repo_fixture.h"
#include "tests/unit/bkd/source/place.h"

#include "bkd/backup/backup.h"
#include "bkd/repo/catalog.h"
#include "bkd/restore/browse.h"

struct bed {
    struct store *mem;
    struct repo *repo;
    unsigned n_threads;
    struct backup_files opts;
    struct backup_common common;
    const char *paths[4];
    char root[64];
};

static inline struct bed bed_with(const struct config *config)
{
    struct bk_error err = { 0 };
    struct bed b = { .mem = new_mem(), .n_threads = 2 };
    OK(try_init(lend(b.mem), SUITE_AES256_GCM, config, &err));
    b.repo = open_mem(b.mem);
    b.common =
        (struct backup_common){ .name = "test", .host = "host", .level = LEVEL_INCREMENTAL, .zstd_level = 1 };
    return b;
}

static inline struct bed bed_new(void)
{
    return bed_with(NULL);
}

static inline void bed_free(struct bed *b)
{
    repo_free(b->repo);
    store_free(b->mem);
}

/* Back the place up; fails the test unless the code is `want`. */
static inline struct backup_result bed_try(struct bed *b, int want)
{
    struct bk_error err = { 0 };
    struct backup_result res = { 0 };
    struct job j = { .n_threads = b->n_threads };
    assert_int_equal(job_init(&j, &err), 0);
    if (!b->paths[0])
        b->paths[0] = place;
    b->opts.paths = b->paths;
    b->opts.n_paths = 0;
    while (b->opts.n_paths < 4 && b->paths[b->opts.n_paths])
        b->opts.n_paths++;
    int r = backup_files(b->repo, &j, &b->common, &b->opts, &res, &err);
    job_clear(&j);
    if (r != want)
        fail_msg("backup: %d %s", r, err.text);
    return res;
}

static inline struct snapshot bed_run(struct bed *b)
{
    return bed_try(b, 0).snap;
}

static inline struct tree_dir tree_of(const struct snapshot *s)
{
    const struct snapshot_stream *st = snapshot_stream_of(s, STREAM_TREE);
    assert_non_null(st);
    return st->tree;
}

static inline bool same_tree(const struct snapshot *a, const struct snapshot *b)
{
    struct tree_dir x = tree_of(a), y = tree_of(b);
    return x.depth == y.depth && !chunk_id_cmp(&x.id, &y.id);
}

struct view {
    struct index *index;
    struct reader *reader;
    const struct snapshot *snap;
};

static inline struct view view_open(struct bed *b, const struct snapshot *s)
{
    struct bk_error err = { 0 };
    struct view v = { .snap = s };
    OK(index_open(b->repo, NULL, NULL, &v.index, &err));
    OK(reader_new(b->repo, v.index, 1, 16 << 20, &v.reader, &err));
    return v;
}

static inline void view_close(struct view *v)
{
    reader_free(v->reader);
    index_free(v->index);
}

/* 0, or the code when it is not there. name: relative to the place. */
static inline int view_find(struct view *v, const char *name, struct node *ret)
{
    struct bk_error err = { 0 };
    const char *path = name[0] == '/' ? name : at(name);
    return browse_path(v->reader, 0, v->snap, path, strlen(path), ret, &err);
}

static inline bool view_has(struct view *v, const char *name)
{
    struct node n = { 0 };
    int r = view_find(v, name, &n);
    node_clear(&n);
    return r == 0;
}

static inline void view_content_is(struct view *v, const struct content *c, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    assert_int_equal(c->size, len);
    uint8_t *got = malloc(len + 1);
    size_t n = 0;
    OK(browse_read(v->reader, 0, c, 0, got, len, &n, &err));
    assert_int_equal(n, len);
    if (memcmp(got, data, len))
        fail_msg("content differs");
    free(got);
}

static inline void view_file_is(struct view *v, const char *name, const void *data, size_t len)
{
    struct node n = { 0 };
    assert_int_equal(view_find(v, name, &n), 0);
    assert_int_equal(n.e.type, TREE_FILE);
    view_content_is(v, &n.e.content, data, len);
    node_clear(&n);
}

/* Each object of that prefix damaged at a byte. */
static inline void flip_all(struct store *s, const char *prefix, size_t at_byte)
{
    struct bk_error err = { 0 };
    bk_auto(names_clear) struct names list = { 0 };
    OK(names_list(s, prefix, 1000, &list, &err));
    assert_true(list.n > 0);
    for (size_t i = 0; i < list.n; i++)
        flip(s, list.v[i].name, at_byte);
}

/* Bytes that do not compress and differ by seed. */
static inline void noise(uint8_t *p, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(seed >> 56);
    }
}

#endif
