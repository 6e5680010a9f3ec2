#include "bkd/copy/losses.h"

#include <stdio.h>

enum { PATH_LIMIT = 64 << 20, KEPT_MAX = 1000000 };
#define RECORDS_LIMIT ((size_t)1 << 30)

void losses_init(struct losses *l, const struct copy_opts *o, const struct snapshot *s)
{
    *l = (struct losses){ .o = o, .snap = s, .path = BK_BUF(PATH_LIMIT), .records = BK_BUF(RECORDS_LIMIT) };
}

void losses_clear(struct losses *l)
{
    bk_buf_clear(&l->path);
    bk_buf_clear(&l->records);
}

static int add(struct losses *l, enum tree_trouble trouble, uint64_t offset, uint64_t len,
               const struct bk_error *why, struct bk_error *err)
{
    struct copy_loss told = { .snap = l->snap,
                              .path = l->path.len ? l->path.data : (const uint8_t *)"/",
                              .path_len = l->path.len ? l->path.len : 1,
                              .offset = offset,
                              .len = len,
                              .why = why };
    if (l->n++ < COPY_LOSSES_TOLD && l->o->on_loss)
        l->o->on_loss(l->o->ctx, &told);
    if (l->n_kept == KEPT_MAX || !l->o->keep_damaged)
        return 0;
    char detail[128] = "damaged in the repository it was copied from";
    if (len)
        snprintf(detail, sizeof detail, "bytes %llu to %llu are damaged in the repository it was copied from",
                 (unsigned long long)offset, (unsigned long long)(offset + len - 1));
    struct tree_exception x = { .trouble = trouble,
                                .path = told.path,
                                .path_len = told.path_len < TREE_PATH_MAX ? told.path_len : TREE_PATH_MAX,
                                .detail = (const uint8_t *)detail,
                                .detail_len = strlen(detail) };
    int r = tree_exception_append(&l->records, &x, err);
    if (r == BK_E_LIMIT)
        return 0; /* counted it is */
    l->n_kept += r == 0;
    return r;
}

int losses_settle(struct losses *l, struct bk_error *err)
{
    if (!l->len)
        return 0;
    uint64_t len = l->len;
    l->len = 0;
    return add(l, TROUBLE_PARTIAL, l->offset, len, &l->why, err);
}

int losses_gone(struct losses *l, const struct bk_error *why, struct bk_error *err)
{
    int r = losses_settle(l, err);
    return r < 0 ? r : add(l, TROUBLE_UNREADABLE, 0, 0, why, err);
}

int losses_bytes(struct losses *l, uint64_t offset, uint64_t len, const struct bk_error *why,
                 struct bk_error *err)
{
    if (l->len && l->offset + l->len == offset) {
        l->len += len;
        return 0;
    }
    int r = losses_settle(l, err);
    if (r < 0)
        return r;
    l->offset = offset;
    l->len = len;
    l->why = *why;
    return 0;
}
