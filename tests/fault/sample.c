#include "tests/fault/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "bkd/restore/browse.h"

static uint64_t noise(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Text that compresses somewhat, never twice the same. */
static void fill(struct sample_file *f, size_t len, uint64_t seed)
{
    f->data = malloc(len ? len : 1);
    assert_non_null(f->data);
    f->len = len;
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < len; i++)
        f->data[i] = (uint8_t)("abcdefgh01234567"[noise(&x) >> 60] + (i % 97 == 0));
}

static void add(struct sample_state *s, const char *path, size_t len, uint64_t seed)
{
    assert_true(s->n < SAMPLE_FILES);
    struct sample_file *f = &s->v[s->n++];
    snprintf(f->path, sizeof f->path, "%s", path);
    fill(f, len, seed);
}

static void describe(struct sample_state *s, int state)
{
    static const size_t sizes[] = { 0, 1, 40, 700, 3000, 9000, 20000, 33000 };
    char path[64];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "d%u/f%u", i % 4, i);
        add(s, path, sizes[i % 8], i + 1 + (state && i % 5 == 0 ? 1000 : 0));
    }
    add(s, "big/one", 300000, 50);
    add(s, "big/two", 500000, state ? 52 : 51);
    if (state) { /* grows at its end */
        add(s, "big/log", 260000, 53);
        add(s, "new/file", 12000, 54);
    } else {
        add(s, "big/log", 200000, 53);
        add(s, "old", 5000, 55);
    }
}

static void state_path(const struct sample *t, int state, const char *path, char out[static 256])
{
    snprintf(out, 256, "%s/state%d%s%s", t->top, state, path[0] ? "/" : "", path);
}

static void write_whole(const char *path, const uint8_t *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void materialise(const struct sample *t, int state)
{
    const struct sample_state *s = &t->states[state];
    char path[256], other[256];
    state_path(t, state, "", path);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < s->n; i++) {
        const struct sample_file *f = &s->v[i];
        state_path(t, state, f->path, path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        if (mkdir(path, 0755) < 0)
            assert_int_equal(errno, EEXIST);
        *slash = '/';
        state_path(t, 0, f->path, other);
        const struct sample_file *g = NULL;
        for (size_t k = 0; state && k < t->states[0].n && !g; k++)
            if (strcmp(t->states[0].v[k].path, f->path) == 0)
                g = &t->states[0].v[k];
        if (g && g->len == f->len && memcmp(g->data, f->data, f->len) == 0)
            assert_int_equal(link(other, path), 0);
        else
            write_whole(path, f->data, f->len);
    }
}

void sample_make(struct sample *t)
{
    memset(t, 0, sizeof *t);
    const char *dir = getenv("TMPDIR"); /* memory rather than a disk: thousands of small files come and go */
    if (!dir)
        dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    assert_true((size_t)snprintf(t->top, sizeof t->top, "%s/bk-fault-XXXXXX", dir) < sizeof t->top);
    assert_non_null(mkdtemp(t->top));
    snprintf(t->shown, sizeof t->shown, "%s/source", t->top);
    snprintf(t->restored, sizeof t->restored, "%s/restored", t->top);
    t->state = -1;
    for (int s = 0; s < SAMPLE_STATES; s++) {
        describe(&t->states[s], s);
        materialise(t, s);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void sample_remove_below(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void sample_remove(struct sample *t)
{
    sample_remove_below(t->top);
    for (int s = 0; s < SAMPLE_STATES; s++)
        for (size_t i = 0; i < t->states[s].n; i++)
            free(t->states[s].v[i].data);
}

void sample_show(struct sample *t, int state)
{
    char path[256];
    if (t->state == state)
        return;
    if (t->state >= 0) {
        state_path(t, t->state, "", path);
        assert_int_equal(rename(t->shown, path), 0);
    }
    state_path(t, state, "", path);
    assert_int_equal(rename(path, t->shown), 0);
    t->state = state;
}

static int read_node(struct reader *rd, const struct content *c, struct bk_buf *out, struct bk_error *err)
{
    uint8_t piece[65536];
    out->len = 0;
    for (;;) {
        size_t n = 0;
        int r = browse_read(rd, 0, c, out->len, piece, sizeof piece, &n, err);
        if (r == 0 && n)
            r = bk_buf_append(out, piece, n, err);
        if (r < 0 || n < sizeof piece)
            return r;
    }
}

struct counter {
    size_t files;
};

static int count_file(void *ctx, const uint8_t *path, size_t path_len, const struct tree_entry *e,
                      struct bk_error *err)
{
    (void)path;
    (void)path_len;
    (void)err;
    struct counter *c = ctx;
    c->files += e->type == TREE_FILE;
    return 0;
}

int sample_compare(const struct sample *t, int state, struct repo *r, const struct snapshot *s,
                   struct bk_error *err)
{
    const struct sample_state *want = &t->states[state];
    bk_auto(index_free) struct index *x = NULL;
    bk_auto(reader_free) struct reader *rd = NULL;
    int rc = index_open(r, NULL, NULL, &x, err);
    if (rc == 0)
        rc = reader_new(r, x, 1, (size_t)4 << 20, &rd, err);
    bk_auto(bk_buf_clear) struct bk_buf got = BK_BUF(1 << 20);
    for (size_t i = 0; i < want->n && rc == 0; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", t->shown, want->v[i].path);
        bk_auto(node_clear) struct node node = { 0 };
        rc = browse_path(rd, 0, s, path, strlen(path), &node, err);
        if (rc == 0)
            rc = read_node(rd, &node.e.content, &got, err);
        if (rc == 0 &&
            (got.len != want->v[i].len || (got.len && memcmp(got.data, want->v[i].data, got.len) != 0)))
            fail_msg("%s read back wrong without an error", path);
    }
    if (rc < 0)
        return rc;
    bk_auto(node_clear) struct node top = { 0 };
    struct counter c = { 0 };
    rc = browse_path(rd, 0, s, "/", 1, &top, err);
    if (rc == 0)
        rc = browse_walk(rd, 0, &top.e, "", 0, count_file, &c, err);
    if (rc == 0)
        assert_int_equal(c.files, want->n);
    return rc;
}

static void note_problem(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why)
{
    struct sample_problems *p = ctx;
    if (p->n == BK_COUNT(p->v))
        return;
    snprintf(p->v[p->n].path, sizeof p->v[0].path, "%.*s", (int)path_len, (const char *)path);
    p->v[p->n++].code = why->code;
}

/* A problem with a directory stands for all below it. */
bool sample_reported(const struct sample_problems *p, const char *path)
{
    while (*path == '/')
        path++;
    for (size_t i = 0; i < p->n; i++) {
        const char *q = p->v[i].path;
        while (*q == '/')
            q++;
        size_t n = strlen(q);
        if (strncmp(path, q, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 0))
            return true;
    }
    return false;
}

static bool same_as_disk(const char *path, const struct sample_file *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    uint8_t *got = malloc(f->len + 1);
    assert_non_null(got);
    ssize_t n = read(fd, got, f->len + 1);
    bool same = n >= 0 && (size_t)n == f->len && memcmp(got, f->data, f->len) == 0;
    free(got);
    close(fd);
    return same;
}

int sample_restore(struct sample *t, int state, struct repo *r, struct job *j, const struct snapshot *s,
                   struct sample_problems *p, struct bk_error *err)
{
    sample_remove_below(t->restored);
    p->n = 0;
    struct restore_opts o = { .target = t->restored, .on_problem = note_problem, .ctx = p };
    struct restore_report report = { 0 };
    int rc = restore_files(r, j, s, &o, &report, err);
    if (rc < 0)
        return rc;
    assert_true(report.n_problems > 0 || p->n == 0);
    assert_true(report.n_problems == 0 || p->n > 0);
    const struct sample_state *want = &t->states[state];
    for (size_t i = 0; i < want->n; i++) {
        char inside[256], path[512];
        snprintf(inside, sizeof inside, "%s/%s", t->shown + 1, want->v[i].path);
        snprintf(path, sizeof path, "%s/%s", t->restored, inside);
        if (!sample_reported(p, inside) && !same_as_disk(path, &want->v[i]))
            fail_msg("%s restored wrong without an error", path);
    }
    return 0;
}
