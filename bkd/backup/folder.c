#include "bkd/backup/folder.h"

#include <errno.h>

static int put_level(struct sink *s, unsigned lane, unsigned depth, struct tree_child *v, size_t n,
                     struct bk_buf *page, size_t *ret_n, struct bk_error *err)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i += TREE_FANOUT) {
        size_t k = n - i < TREE_FANOUT ? n - i : TREE_FANOUT;
        struct tree_child up = { .first = v[i].first, .first_len = v[i].first_len };
        page->len = 0;
        int r = tree_index_encode(depth, v + i, k, page, err);
        if (r == 0)
            r = sink_put(s, lane, CHUNK_META, page->data, page->len, &up.id, err);
        if (r < 0)
            return r;
        v[out++] = up;
    }
    *ret_n = out;
    return 0;
}

int folder_index(struct sink *s, unsigned lane, struct tree_child *v, size_t n, struct bk_buf *page,
                 struct tree_dir *ret, struct bk_error *err)
{
    unsigned depth = n ? 1 : 0;
    while (n > 1) {
        if (++depth > TREE_DEPTH_MAX)
            return bk_fail(err, BK_E_LIMIT, "a directory has too many entries");
        int r = put_level(s, lane, depth, v, n, page, &n, err);
        if (r < 0)
            return r;
    }
    *ret = (struct tree_dir){ .depth = (uint8_t)depth };
    if (n)
        ret->id = v[0].id;
    return 0;
}

void folder_init(struct folder *f, struct sink *s, unsigned lane)
{
    *f = (struct folder){ .sink = s, .lane = lane, .page = BK_BUF(CHUNK_MAX) };
}

void folder_clear(struct folder *f)
{
    bk_buf_clear(&f->page);
    free(f->pages);
    f->pages = NULL;
    f->n = f->cap = 0;
}

static int close_page(struct folder *f, struct bk_error *err)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 8;
        struct tree_child *v = reallocarray(f->pages, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "a directory of %zu pages", f->n);
        f->pages = v;
        f->cap = cap;
    }
    struct tree_child *c = &f->pages[f->n];
    *c = (struct tree_child){ .first = f->first, .first_len = f->first_len };
    int r = sink_put(f->sink, f->lane, CHUNK_META, f->page.data, f->page.len, &c->id, err);
    if (r < 0)
        return r;
    f->n++;
    f->in_page = 0;
    return 0;
}

int folder_add(struct folder *f, const struct tree_entry *e, struct bk_error *err)
{
    int r = 0;
    if (!f->in_page) {
        f->page.len = 0;
        f->first = e->name;
        f->first_len = e->name_len;
        r = tree_page_begin(&f->writer, &f->page, err);
    }
    if (r == 0)
        r = tree_page_add(&f->writer, e, err);
    if (r < 0)
        return r;
    f->in_page++;
    return tree_page_full(&f->writer) ? close_page(f, err) : 0;
}

int folder_done(struct folder *f, struct tree_dir *ret, struct bk_error *err)
{
    int r = f->in_page ? close_page(f, err) : 0;
    return r < 0 ? r : folder_index(f->sink, f->lane, f->pages, f->n, &f->page, ret, err);
}
