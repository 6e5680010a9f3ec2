#include "bkd/backup/trouble.h"

#include <errno.h>

void troubles_init(struct troubles *t, const struct backup_common *c, struct job *j)
{
    *t = (struct troubles){ .common = c, .job = j };
    pthread_mutex_init(&t->lock, NULL);
}

void troubles_clear(struct troubles *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i].text);
    free(t->v);
    t->v = NULL;
    t->n = t->cap = 0;
    pthread_mutex_destroy(&t->lock);
}

static int keep(struct troubles *t, const struct trouble_item *x)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct trouble_item *v = reallocarray(t->v, cap, sizeof *v);
        if (!v)
            return -1;
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = *x;
    return 0;
}

static struct tree_exception exception_of(const struct trouble_item *x)
{
    const char *detail = x->text + x->path_len + 1;
    return (struct tree_exception){ .trouble = x->trouble,
                                    .sys = x->sys,
                                    .path = (const uint8_t *)x->text,
                                    .path_len = x->path_len,
                                    .detail = (const uint8_t *)detail,
                                    .detail_len = strlen(detail) };
}

int troubles_add(struct troubles *t, enum tree_trouble kind, int sys, const char *path, const char *detail,
                 struct bk_error *err)
{
    /* What is longer than the format holds is cut: a trouble must not cost the snapshot. */
    size_t plen = strnlen(path, TREE_PATH_MAX), dlen = strnlen(detail, TREE_DETAIL_MAX);
    struct trouble_item x = { .trouble = kind, .sys = (uint32_t)sys, .path_len = plen };
    x.text = malloc(plen + dlen + 2);
    if (!x.text)
        return bk_fail_errno(err, ENOMEM, "keep an exception");
    memcpy(x.text, path, plen);
    x.text[plen] = '\0';
    memcpy(x.text + plen + 1, detail, dlen);
    x.text[plen + 1 + dlen] = '\0';

    atomic_fetch_add_explicit(&t->job->exceptions, 1, memory_order_relaxed);
    if (t->common->on_exception) {
        struct tree_exception e = exception_of(&x);
        t->common->on_exception(t->common->ctx, &e);
    }
    pthread_mutex_lock(&t->lock);
    t->total++;
    bool full = t->n >= TROUBLES_KEPT;
    int r = full ? 0 : keep(t, &x);
    pthread_mutex_unlock(&t->lock);
    if (full || r < 0)
        free(x.text);
    return r < 0 ? bk_fail_errno(err, ENOMEM, "keep an exception") : 0;
}

static int by_path(const void *pa, const void *pb)
{
    const struct trouble_item *a = pa, *b = pb;
    int c = strcmp(a->text, b->text);
    return c ? c : (int)a->trouble - (int)b->trouble;
}

int troubles_store(struct troubles *t, struct ingest *g, struct content *ret, struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces p = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(64 << 20);
    if (t->n > 1)
        qsort(t->v, t->n, sizeof *t->v, by_path);
    for (size_t i = 0; i < t->n; i++) {
        struct tree_exception e = exception_of(&t->v[i]);
        b.len = 0;
        int r = tree_exception_append(&b, &e, err);
        if (r == 0)
            r = ingest_feed(g, b.data, b.len, &p, err);
        if (r < 0)
            return r;
    }
    int r = ingest_flush(g, &p, err);
    return r < 0 ? r : pieces_join(&p, g->sink, g->lane, ret, err);
}
