/* Snapshots made by hand, into a memory store: what a test says is in them, however hostile. */
#ifndef TESTS_SNAP_FIXTURE_H
#define TESTS_SNAP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "bkd/repo/names.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"
#include "bkd/restore/browse.h"
#include "bkd/store/mem.h"

#define OK(call)                                          \
    do {                                                  \
        int ok_r = (call);                                \
        if (ok_r < 0)                                     \
            fail_msg("%s: %d %s", #call, ok_r, err.text); \
    } while (0)

enum { PIECE = 8192, MAX_ITEMS = 4096 };

struct item {
    const char *path; /* parent directories first */
    struct tree_entry e;
    struct item *in; /* directory it is in, NULL: the root */
};

struct snap {
    struct store *store; /* the repository's */
    struct repo *repo;
    struct index *index;
    struct writer *writer;
    struct job job;
    struct snapshot s;
    struct item items[MAX_ITEMS];
    size_t n;
    char names[MAX_ITEMS][TREE_NAME_MAX + 1];
    uint64_t next_ino;
};

static inline void snap_begin(struct snap *b)
{
    struct bk_error err = { 0 };
    static const struct slot_secret key = { .kind = SLOT_KEYFILE,
                                            .data = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                            .len = 32 };
    OK(job_init(&b->job, &err));
    b->job.n_threads = 2;
    OK(store_mem_new(&b->store, &err));
    struct config c;
    config_defaults(&c);
    c.frame_bytes = 64 << 10;
    struct repo_init_opts o = { .suite = SUITE_AES256_GCM, .secret = &key, .label = "t", .config = &c };
    OK(repo_init_adopt_store(b->store, &o, &world_real, &b->repo, &err));
    OK(index_open(b->repo, NULL, NULL, &b->index, &err));
    struct writer_opts w = { .n_lanes = 1, .level = 1, .memory_bytes = 64 << 20 };
    OK(writer_new(b->repo, b->index, &b->job, &w, &b->writer, &err));
    b->next_ino = 100;
}

static inline chunk_id snap_chunk(struct snap *b, enum chunk_kind kind, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    chunk_id id;
    OK(writer_put(b->writer, 0, kind, data, len, &id, &err));
    return id;
}

static inline struct item *snap_add(struct snap *b, const char *path, enum tree_type type, uint32_t mode)
{
    assert_true(b->n < MAX_ITEMS);
    struct item *it = &b->items[b->n];
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    it->path = path;
    if (slash)
        for (size_t i = 0; i < b->n; i++)
            if (strlen(b->items[i].path) == (size_t)(slash - path) &&
                memcmp(b->items[i].path, path, (size_t)(slash - path)) == 0)
                it->in = &b->items[i];
    assert_true(!slash || it->in);
    strcpy(b->names[b->n], name);
    it->e = (struct tree_entry){ .name = (const uint8_t *)b->names[b->n],
                                 .name_len = strlen(name),
                                 .type = type,
                                 .mode = mode,
                                 .uid = geteuid(),
                                 .gid = getegid(),
                                 .dev = 7,
                                 .ino = b->next_ino++,
                                 .nlink = 1,
                                 .mtime = { 1500000000, 123456789 } };
    b->n++;
    return it;
}

/* Content of any extents: inline, or one leaf page. */
static inline struct content snap_content(struct snap *b, const struct extents *x)
{
    struct bk_error err = { 0 };
    struct content c = { .size = x->len };
    if (x->n <= CONTENT_INLINE_MAX) {
        c.n_inline = (uint8_t)x->n;
        for (size_t i = 0; i < x->n; i++)
            c.inline_[i] = x->v[i];
        return c;
    }
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    OK(content_leaf_encode(x, &page, &err));
    c.depth = 1;
    c.root = snap_chunk(b, CHUNK_META, page.data, page.len);
    return c;
}

static inline void snap_piece(struct snap *b, struct extents *x, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    struct extent e = { .len = len, .kind = EXTENT_DATA, .id = snap_chunk(b, CHUNK_DATA, data, len) };
    OK(extents_add(x, &e, &err));
}

static inline void snap_gap(struct extents *x, enum extent_kind kind, uint64_t len)
{
    struct bk_error err = { 0 };
    struct extent e = { .len = len, .kind = kind };
    OK(extents_add(x, &e, &err));
}

static inline struct content snap_bytes(struct snap *b, const void *data, size_t len)
{
    struct extents x = { 0 };
    for (size_t at = 0; at < len; at += PIECE)
        snap_piece(b, &x, (const uint8_t *)data + at, len - at < PIECE ? len - at : PIECE);
    struct content c = snap_content(b, &x);
    extents_clear(&x);
    return c;
}

static inline struct item *snap_file(struct snap *b, const char *path, const void *data, size_t len)
{
    struct item *it = snap_add(b, path, TREE_FILE, 0644);
    it->e.content = snap_bytes(b, data, len);
    return it;
}

static inline struct item *snap_dir(struct snap *b, const char *path)
{
    return snap_add(b, path, TREE_DIR, 0755);
}

static inline struct item *snap_link(struct snap *b, const char *path, const char *to)
{
    struct item *it = snap_add(b, path, TREE_SYMLINK, 0777);
    it->e.link = (const uint8_t *)to;
    it->e.link_len = strlen(to);
    return it;
}

/* A page with one entry. */
static inline chunk_id snap_page(struct snap *b, const struct tree_entry *e)
{
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    struct tree_writer w;
    OK(tree_page_begin(&w, &page, &err));
    OK(tree_page_add(&w, e, &err));
    return snap_chunk(b, CHUNK_META, page.data, page.len);
}

static inline int snap_by_name(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    return strcmp((const char *)x->e.name, (const char *)y->e.name);
}

static inline struct tree_dir snap_tree(struct snap *b, struct item *dir)
{
    struct bk_error err = { 0 };
    struct item **v = calloc(MAX_ITEMS, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->items[i].in != dir)
            continue;
        v[n++] = &b->items[i];
        if (b->items[i].e.type == TREE_DIR)
            b->items[i].e.dir = snap_tree(b, &b->items[i]);
    }
    struct tree_dir d = { 0 };
    if (n == 0) {
        free(v);
        return d;
    }
    qsort(v, n, sizeof *v, snap_by_name);
    struct tree_child *pages = calloc(n, sizeof *pages);
    size_t n_pages = 0, in_page = 0;
    struct bk_buf page = BK_BUF(CHUNK_MAX);
    struct tree_writer w;
    for (size_t i = 0; i < n; i++) {
        if (in_page == 0) {
            OK(tree_page_begin(&w, &page, &err));
            pages[n_pages].first = v[i]->e.name;
            pages[n_pages].first_len = v[i]->e.name_len;
        }
        OK(tree_page_add(&w, &v[i]->e, &err));
        in_page++;
        if (i + 1 == n || tree_page_ends(v[i]->e.name, v[i]->e.name_len, in_page, page.len)) {
            pages[n_pages++].id = snap_chunk(b, CHUNK_META, page.data, page.len);
            bk_buf_clear(&page);
            in_page = 0;
        }
    }
    d.depth = 1;
    d.id = pages[0].id;
    if (n_pages > 1) {
        OK(tree_index_encode(2, pages, n_pages, &page, &err));
        d.depth = 2;
        d.id = snap_chunk(b, CHUNK_META, page.data, page.len);
        bk_buf_clear(&page);
    }
    free(pages);
    free(v);
    return d;
}

static inline void snap_end(struct snap *b)
{
    struct bk_error err = { 0 };
    b->s.streams = calloc(1, sizeof *b->s.streams);
    b->s.n_streams = 1;
    b->s.streams[0].kind = STREAM_TREE;
    b->s.streams[0].name = strdup("");
    b->s.streams[0].tree = snap_tree(b, NULL);
    OK(writer_finish(b->writer, &err));
}

static inline void snap_clear(struct snap *b)
{
    snapshot_clear(&b->s);
    writer_free(b->writer);
    index_free(b->index);
    repo_free(b->repo);
    job_clear(&b->job);
    free(b);
}

static inline struct snap *snap_new(void)
{
    struct snap *b = calloc(1, sizeof *b);
    assert_non_null(b);
    snap_begin(b);
    return b;
}

/* ---- the target ---- */

static inline int rm_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static inline char *temp_dir(void)
{
    char *p = strdup("/tmp/restore-test-XXXXXX");
    assert_non_null(mkdtemp(p));
    return p;
}

static inline void temp_drop(char *p)
{
    nftw(p, rm_one, 32, FTW_DEPTH | FTW_PHYS);
    free(p);
}

static inline char *join(const char *dir, const char *name)
{
    static char out[8][8192];
    static unsigned turn;
    char *p = out[turn++ % 8];
    assert_true(strlen(dir) + strlen(name) + 2 <= sizeof out[0]);
    stpcpy(stpcpy(stpcpy(p, dir), "/"), name);
    return p;
}

static inline void spill(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static inline void assert_content(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    uint8_t *got = malloc(len + 1);
    size_t n = 0;
    for (ssize_t r; (r = read(fd, got + n, len + 1 - n)) > 0;)
        n += (size_t)r;
    close(fd);
    assert_int_equal(n, len);
    assert_memory_equal(got, data, len);
    free(got);
}

static inline void fill(uint8_t *p, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (uint8_t)(seed >> 24);
    }
}

#endif
