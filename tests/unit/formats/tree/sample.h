/* Random entries that own their bytes, for the tests of tree/. */
#ifndef TESTS_UNIT_FORMATS_TREE_SAMPLE_H
#define TESTS_UNIT_FORMATS_TREE_SAMPLE_H

#include "formats/tree/tree.h"
#include "tests/unit/formats/support.h"

struct sample {
    struct tree_entry e; /* points below */
    uint8_t name[TREE_NAME_MAX];
    uint8_t link[64];
    uint8_t xattrs[64];
};

static inline UNUSED_FN int sample_cmp(const void *x, const void *y)
{
    const struct sample *a = x, *b = y;
    size_t n = a->e.name_len < b->e.name_len ? a->e.name_len : b->e.name_len;
    int c = memcmp(a->name, b->name, n);
    return c ? c : (a->e.name_len > b->e.name_len) - (a->e.name_len < b->e.name_len);
}

static inline UNUSED_FN struct tree_time sample_time(struct dice *d, int64_t near)
{
    struct tree_time t = { .s = near };
    switch (roll_n(d, 4)) {
    case 0:
        t.s = (int64_t)roll(d); /* before 1970, past 2106, anything */
        break;
    case 1:
        t.s += (int64_t)roll_n(d, 1000);
        break;
    default:
        break;
    }
    if (roll_n(d, 2))
        t.ns = (uint32_t)roll_n(d, 1000000000);
    return t;
}

static inline UNUSED_FN void sample_content(struct dice *d, struct content *c)
{
    c->n_inline = (uint8_t)roll_n(d, 3);
    for (unsigned i = 0; i < c->n_inline; i++) {
        c->inline_[i] = (struct extent){ .len = 1 + roll_n(d, 70000) };
        roll_bytes(d, c->inline_[i].id.b, CHUNK_ID);
        c->size += c->inline_[i].len;
    }
    if (roll_n(d, 8) == 0) {
        *c = (struct content){ .size = 1 + roll_n(d, 1u << 31), .depth = (uint8_t)(1 + roll_n(d, 3)) };
        roll_bytes(d, c->root.b, CHUNK_ID);
    }
}

static inline UNUSED_FN void sample_payload(struct dice *d, struct sample *s)
{
    struct tree_entry *e = &s->e;
    if (e->type == TREE_FILE)
        sample_content(d, &e->content);
    if (e->type == TREE_DIR && roll_n(d, 4)) {
        e->dir.depth = (uint8_t)(1 + roll_n(d, TREE_DEPTH_MAX));
        roll_bytes(d, e->dir.id.b, CHUNK_ID);
    }
    if (e->type == TREE_SYMLINK) {
        e->link_len = 1 + roll_n(d, sizeof s->link);
        for (size_t i = 0; i < e->link_len; i++)
            s->link[i] = (uint8_t)(1 + roll_n(d, 255));
        e->link = s->link;
    }
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK) {
        e->rdev_major = (uint32_t)roll_size(d);
        e->rdev_minor = (uint32_t)roll_size(d);
    }
}

/* Plain enough that entries often agree with the one before them, wild enough to reach every field. s is set
 * up in place: its entry points into it. */
static inline UNUSED_FN void sample_roll(struct dice *d, struct sample *s)
{
    *s = (struct sample){ 0 };
    struct tree_entry *e = &s->e;
    e->name = s->name;
    do {
        e->name_len = roll_n(d, 20) ? 1 + roll_n(d, 12) : 1 + roll_n(d, TREE_NAME_MAX);
        roll_bytes(d, s->name, e->name_len);
    } while (!tree_name_valid(s->name, e->name_len));
    bool plain = roll_n(d, 3) != 0;
    e->type = (enum tree_type)(plain ? TREE_FILE : 1 + roll_n(d, 7));
    e->flags = TREE_HAS_FSFLAGS | TREE_HAS_BTIME;
    if (roll_n(d, 6) == 0)
        e->flags = (uint32_t)roll_n(d, TREE_FLAGS_KNOWN + 1);
    e->mode = plain ? 0644 : (uint32_t)roll_n(d, 010000);
    e->uid = plain ? 1000 : (uint32_t)roll_size(d);
    e->gid = plain ? 1000 : (uint32_t)roll_size(d);
    e->dev = roll_n(d, 9) ? 65024 : roll_size(d);
    e->ino = roll_n(d, 9) ? 1000000 + roll_n(d, 1000) : roll(d);
    e->nlink = roll_n(d, 9) ? 1 : roll_size(d);
    e->mtime = sample_time(d, 1700000000);
    e->ctime = roll_n(d, 2) ? e->mtime : sample_time(d, 1700000000);
    if (e->flags & TREE_HAS_BTIME)
        e->btime = roll_n(d, 2) ? e->ctime : sample_time(d, 1700000000);
    e->fsflags = roll_n(d, 5) ? 0x80000 : (uint32_t)roll_size(d);
    if (roll_n(d, 6) == 0) {
        e->xattrs_len = 1 + roll_n(d, sizeof s->xattrs);
        roll_bytes(d, s->xattrs, e->xattrs_len);
        e->xattrs = s->xattrs;
    }
    sample_payload(d, s);
}

/* n samples in order, without duplicates; owned */
static inline UNUSED_FN struct sample *sample_list(struct dice *d, size_t *n)
{
    struct sample *v = calloc(*n, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < *n; i++)
        sample_roll(d, &v[i]);
    qsort(v, *n, sizeof *v, sample_cmp);
    size_t m = 0;
    for (size_t i = 0; i < *n; i++)
        if (m == 0 || sample_cmp(&v[m - 1], &v[i]) != 0)
            v[m++] = v[i];
    for (size_t i = 0; i < m; i++) { /* they moved */
        v[i].e.name = v[i].name;
        v[i].e.link = v[i].e.link ? v[i].link : NULL;
        v[i].e.xattrs = v[i].e.xattrs ? v[i].xattrs : NULL;
    }
    *n = m;
    return v;
}

static inline UNUSED_FN void assert_same_time(const struct tree_time *a, const struct tree_time *b)
{
    assert_int_equal(a->s, b->s);
    assert_int_equal(a->ns, b->ns);
}

static inline UNUSED_FN void assert_same_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    assert_int_equal(a_len, b_len);
    if (a_len)
        assert_memory_equal(a, b, a_len);
}

static inline UNUSED_FN void assert_same_entry(const struct tree_entry *a, const struct tree_entry *b)
{
    assert_same_bytes(a->name, a->name_len, b->name, b->name_len);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->dev, b->dev);
    assert_int_equal(a->ino, b->ino);
    assert_int_equal(a->nlink, b->nlink);
    assert_same_time(&a->mtime, &b->mtime);
    assert_same_time(&a->ctime, &b->ctime);
    assert_same_time(&a->btime, &b->btime);
    assert_int_equal(a->fsflags, b->fsflags);
    assert_int_equal(a->rdev_major, b->rdev_major);
    assert_int_equal(a->rdev_minor, b->rdev_minor);
    assert_same_bytes(a->link, a->link_len, b->link, b->link_len);
    assert_same_bytes(a->xattrs, a->xattrs_len, b->xattrs, b->xattrs_len);
    assert_int_equal(a->dir.depth, b->dir.depth);
    assert_memory_equal(a->dir.id.b, b->dir.id.b, CHUNK_ID);
    assert_int_equal(a->content.size, b->content.size);
    assert_int_equal(a->content.depth, b->content.depth);
    assert_memory_equal(a->content.root.b, b->content.root.b, CHUNK_ID);
    assert_int_equal(a->content.n_inline, b->content.n_inline);
    for (unsigned i = 0; i < a->content.n_inline; i++) {
        assert_int_equal(a->content.inline_[i].len, b->content.inline_[i].len);
        assert_memory_equal(a->content.inline_[i].id.b, b->content.inline_[i].id.b, CHUNK_ID);
    }
}

#endif
