#include "bkd/backup/old.h"

#include <errno.h>

void old_close(struct old_dir *d)
{
    for (size_t i = 0; i < d->n_bytes; i++)
        bk_buf_clear(&d->bytes[i]);
    free(d->bytes);
    free(d->pages);
    *d = (struct old_dir){ 0 };
}

static int keep_bytes(struct old_dir *d, struct bk_buf *b, struct bk_error *err)
{
    struct bk_buf *v = reallocarray(d->bytes, d->n_bytes + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "read a directory of the parent");
    d->bytes = v;
    v[d->n_bytes++] = *b;
    *b = BK_BUF(0);
    return 0;
}

/* One level down: the children of all index pages in d->pages replace them. */
static int expand(struct reader *r, unsigned lane, unsigned depth, struct old_dir *d, struct bk_error *err)
{
    bk_auto(free) struct tree_child *all = NULL;
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CHUNK_MAX);
        bk_auto(free) struct tree_child *v = NULL;
        size_t k = 0;
        int e = reader_chunk(r, lane, CHUNK_META, &d->pages[i].id, &b, err);
        if (e == 0)
            e = tree_index_decode(b.data, b.len, depth, &v, &k, err);
        if (e == 0)
            e = keep_bytes(d, &b, err);
        if (e < 0)
            return e;
        struct tree_child *more = reallocarray(all, n + k + 1, sizeof *more);
        if (!more)
            return bk_fail_errno(err, ENOMEM, "read a directory of the parent");
        all = more;
        if (k)
            memcpy(all + n, v, k * sizeof *v);
        n += k;
    }
    free(d->pages);
    d->pages = bk_steal(all);
    d->n = n;
    return 0;
}

int old_open(struct reader *r, unsigned lane, const struct tree_dir *dir, struct old_dir *ret,
             struct bk_error *err)
{
    *ret = (struct old_dir){ .dir = *dir };
    if (!dir->depth)
        return 0;
    if (dir->depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "a directory of the parent has depth %u", dir->depth);
    ret->pages = malloc(sizeof *ret->pages);
    if (!ret->pages)
        return bk_fail_errno(err, ENOMEM, "read a directory of the parent");
    ret->pages[0] = (struct tree_child){ .first = (const uint8_t *)"", .id = dir->id };
    ret->n = 1;
    for (unsigned depth = dir->depth; depth > 1; depth--) {
        int e = expand(r, lane, depth, ret, err);
        if (e < 0) {
            old_close(ret);
            return e;
        }
    }
    return 0;
}

static int compare(const uint8_t *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c ? c : (a_len > b_len) - (a_len < b_len);
}

void old_scan_open(struct old_scan *s, struct reader *r, unsigned lane, const struct old_dir *d,
                   const char *name)
{
    size_t len = strlen(name), lo = 0, hi = d->n;
    while (lo < hi) { /* the last page whose first name is not after ours */
        size_t mid = lo + (hi - lo) / 2;
        if (compare(d->pages[mid].first, d->pages[mid].first_len, name, len) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *s = (struct old_scan){
        .reader = r, .lane = lane, .dir = d, .first = lo ? lo - 1 : 0, .next = lo ? lo - 1 : 0
    };
}

void old_scan_clear(struct old_scan *s)
{
    for (size_t i = 0; i < s->n_loaded; i++)
        bk_buf_clear(&s->loaded[i]);
    free(s->loaded);
    *s = (struct old_scan){ 0 };
}

static int load(struct old_scan *s, struct bk_error *err)
{
    size_t at = s->next - s->first;
    if (at == s->n_loaded) {
        if (s->n_loaded == s->cap) {
            size_t cap = s->cap ? s->cap * 2 : 2;
            struct bk_buf *v = reallocarray(s->loaded, cap, sizeof *v);
            if (!v)
                return bk_fail_errno(err, ENOMEM, "read a page of the parent");
            s->loaded = v;
            s->cap = cap;
        }
        struct bk_buf b = BK_BUF(CHUNK_MAX);
        int r = reader_chunk(s->reader, s->lane, CHUNK_META, &s->dir->pages[s->next].id, &b, err);
        if (r < 0) {
            bk_buf_clear(&b);
            return r;
        }
        s->loaded[s->n_loaded++] = b;
    }
    int r = tree_page_open(s->loaded[at].data, s->loaded[at].len, &s->page, err);
    if (r < 0)
        return r;
    s->next++;
    s->in_page = true;
    return 0;
}

/* Does the next page still begin at or before the name? The last entry of a page says nothing about where the
 * next one starts. */
static bool next_may_hold(const struct old_scan *s, const char *name, size_t len)
{
    return s->next < s->dir->n &&
           (s->next == s->first ||
            compare(s->dir->pages[s->next].first, s->dir->pages[s->next].first_len, name, len) <= 0);
}

int old_scan_find(struct old_scan *s, const char *name, size_t len, const struct tree_entry **ret,
                  struct bk_error *err)
{
    for (;;) {
        if (!s->have) {
            if (!s->in_page) {
                if (!next_may_hold(s, name, len))
                    return 0;
                int r = load(s, err);
                if (r < 0)
                    return r;
            }
            int r = tree_page_next(&s->page, &s->ahead, err);
            if (r < 0)
                return r;
            s->have = r > 0;
            s->in_page = r > 0;
            if (!r)
                continue;
        }
        int c = compare(s->ahead.name, s->ahead.name_len, name, len);
        if (c > 0)
            return 0;
        s->have = false;
        s->n_passed++;
        if (!c) {
            *ret = &s->ahead;
            return 1;
        }
    }
}

void old_scan_rewind(struct old_scan *s)
{
    s->next = s->first;
    s->in_page = false;
    s->have = false;
    s->n_passed = 0;
}

bool old_scan_covers(struct old_scan *s, size_t n)
{
    if (s->have || s->n_passed != n || s->next == s->first)
        return false;
    if (!s->in_page)
        return true;
    struct tree_page rest = s->page; /* nothing may be left behind the last find */
    struct tree_entry e;
    return tree_page_next(&rest, &e, NULL) == 0;
}
