/* Upwards: what is complete is encoded and stored. */
#include <errno.h>

#include "bkd/backup/folder.h"
#include "bkd/backup/walk.h"

static int add_out(struct page *p, const void *first, size_t len, const chunk_id *id, struct bk_error *err)
{
    struct page_out *v = reallocarray(p->out, p->n_out + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "keep a page");
    p->out = v;
    v[p->n_out++] = (struct page_out){ .first = first, .first_len = len, .id = *id };
    return 0;
}

/* Nothing differs from the parent: its pages are taken over. */
static bool all_same(struct page *p)
{
    if (!p->same || p->n_found != p->n || !p->old.dir || !old_scan_covers(&p->old, p->n))
        return false;
    for (size_t i = 0; i < p->n_items; i++) {
        const struct item *it = p->items[i];
        if (it->lost || !it->meta_same || it->e.dir.depth != it->before.depth ||
            (it->e.dir.depth && chunk_id_cmp(&it->e.dir.id, &it->before.id)))
            return false;
    }
    for (size_t k = p->old.first; p->w->verify && k < p->old.next; k++)
        if (!old_page_holds(p->w->reader, &p->dir->old.pages[k].id))
            return false;
    return true;
}

static int take_over(struct page *p, struct bk_error *err)
{
    const struct listing *l = &p->dir->list;
    for (size_t k = p->old.first; k < p->old.next; k++) {
        const struct tree_child *c = &p->dir->old.pages[k];
        bool head = k == p->old.first;
        int r = add_out(p, head ? (const void *)listing_name(l, p->first) : c->first,
                        head ? l->v[p->first].len : c->first_len, &c->id, err);
        if (r < 0)
            return r;
    }
    return 0;
}

struct encoder {
    struct page *p;
    struct walk_lane *l;
    unsigned lane;
    struct tree_writer writer;
    size_t n; /* entries in the page */
    const uint8_t *first;
    size_t first_len;
};

static int flush(struct encoder *e, struct bk_error *err)
{
    if (!e->n)
        return 0;
    chunk_id id;
    int r = sink_put(e->p->w->sink, e->lane, CHUNK_META, e->l->page.data, e->l->page.len, &id, err);
    if (r == 0)
        r = add_out(e->p, e->first, e->first_len, &id, err);
    e->n = 0;
    return r;
}

/* name: from the listing, which outlives what the entry borrows */
static int encode(struct encoder *e, const struct tree_entry *x, const char *name, struct bk_error *err)
{
    int r = 0;
    if (!e->n) {
        e->l->page.len = 0;
        e->first = (const uint8_t *)name;
        e->first_len = x->name_len;
        r = tree_page_begin(&e->writer, &e->l->page, err);
    }
    if (r == 0)
        r = tree_page_add(&e->writer, x, err);
    if (r < 0)
        return r;
    e->n++;
    return tree_page_full(&e->writer) ? flush(e, err) : 0;
}

static void count(struct walk_lane *l, const struct tree_entry *e)
{
    owners_note(&l->owners, e->uid, e->gid);
    if (e->type == TREE_DIR) {
        l->totals.n_dirs++;
    } else if (e->type == TREE_FILE) {
        l->totals.n_files++;
        l->totals.content_bytes += e->content.size;
    } else {
        l->totals.n_others++;
    }
}

static int store_page(struct page *p, unsigned lane, struct bk_error *err)
{
    struct walk_lane *l = &p->w->lanes[lane];
    const struct listing *names = &p->dir->list;
    for (size_t i = 0; i < p->n_items; i++)
        if (!p->items[i]->lost)
            count(l, &p->items[i]->e);
    if (all_same(p))
        return take_over(p, err);

    struct encoder e = { .p = p, .l = l, .lane = lane };
    if (p->old.dir)
        old_scan_rewind(&p->old);
    p->old.lane = lane; /* the scan may have run on another worker */
    for (size_t i = 0, k = 0; i < p->n; i++) {
        const char *name = listing_name(names, p->first + i);
        const struct tree_entry *x = NULL;
        int r = 0;
        if (p->states[i] == ITEM_NEW) {
            struct item *it = p->items[k++];
            x = it->lost ? NULL : &it->e;
        } else if (p->states[i] == ITEM_SAME) {
            r = old_scan_find(&p->old, name, names->v[p->first + i].len, &x, err);
        }
        if (r >= 0 && x)
            r = encode(&e, x, name, err);
        if (r < 0)
            return r;
    }
    return flush(&e, err);
}

static void page_clear(struct page *p)
{
    for (size_t i = 0; i < p->n_items; i++) {
        free(p->items[i]->own);
        free(p->items[i]);
    }
    free(p->items);
    p->items = NULL;
    p->n_items = 0;
    free(p->states);
    p->states = NULL;
    old_scan_clear(&p->old);
}

static bool as_before(const struct old_dir *old, const struct tree_child *v, size_t n)
{
    if (!old->n || old->n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (chunk_id_cmp(&v[i].id, &old->pages[i].id))
            return false;
    return true;
}

static int store_dir(struct walk *w, struct dir *d, unsigned lane, struct tree_dir *ret, struct bk_error *err)
{
    size_t n = 0;
    *ret = (struct tree_dir){ 0 };
    for (size_t i = 0; i < d->n_pages; i++)
        n += d->pages[i].n_out;
    if (!n)
        return 0;
    bk_auto(free) struct tree_child *v = calloc(n, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "a directory of %zu pages", n);
    n = 0;
    for (size_t i = 0; i < d->n_pages; i++)
        for (size_t k = 0; k < d->pages[i].n_out; k++) {
            const struct page_out *o = &d->pages[i].out[k];
            v[n++] = (struct tree_child){ .first = o->first, .first_len = o->first_len, .id = o->id };
        }
    if (!w->verify && as_before(&d->old, v, n)) {
        *ret = d->old.dir;
        return 0;
    }
    return folder_index(w->sink, lane, v, n, &w->lanes[lane].page, ret, err);
}

/* The directory is complete: its result goes to the entry above. Returns the page that waits for it, NULL at
 * the top. */
static struct page *dir_up(struct walk *w, struct dir *d, unsigned lane)
{
    struct bk_error err = { 0 };
    struct tree_dir result = { 0 };
    if (!pool_failed(w->pool) && store_dir(w, d, lane, &result, &err) < 0)
        walk_fail(w, &err);
    struct page *up = d->up_page;
    if (d->up_item)
        d->up_item->e.dir = result;
    else
        w->root = result;
    dirs_forget(w->dirs, d);
    for (size_t i = 0; i < d->n_pages; i++) {
        page_clear(&d->pages[i]);
        free(d->pages[i].out);
    }
    free(d->pages);
    old_close(&d->old);
    listing_clear(&d->list);
    free(d->stats);
    free(d);
    return up;
}

/* A loop, not a recursion: a hostile tree may be very deep. */
void walk_settle(struct page *p, unsigned lane)
{
    while (p && atomic_fetch_sub(&p->pending, 1) == 1) {
        struct bk_error err = { 0 };
        struct walk *w = p->w;
        struct dir *d = p->dir;
        if (!pool_failed(w->pool) && p->states && store_page(p, lane, &err) < 0)
            walk_fail(w, &err);
        page_clear(p);
        if (atomic_fetch_sub(&d->pending, 1) != 1)
            return;
        p = dir_up(w, d, lane);
    }
}

void walk_dir_done(struct walk *w, struct dir *d, unsigned lane)
{
    struct page *up = dir_up(w, d, lane);
    if (up)
        walk_settle(up, lane);
}
