#include "bkd/store/rados.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bkd/store/rados_io.h"

enum {
    AT_ONCE = 8,     /* docs/design/store-rados.md, "How many at once" */
    LIST_DEPTH = 64, /* sizes asked for ahead of the listing */
};
#define READ_MOST ((size_t)64 << 20)
/* Records and segments have to fit, whatever the size of packs. */
#define OBJECT_LEAST ((uint64_t)32 << 20)

struct rados {
    struct store store;
    struct rados_io *io;
};

static int fail_absent(const struct rados *s, const char *name, struct bk_error *err)
{
    return bk_fail(err, BK_E_ABSENT, "object %s does not exist in %s", name, s->store.url);
}

/* FULL_TRY: on a full cluster the answer comes at once, instead of when there is room. */
static int write_op(struct rados *s, rados_write_op_t op, const char *name, int *ret_rc, struct bk_error *err)
{
    struct rados_wait w;
    int r = rados_io_begin(s->io, &w, err);
    if (r < 0)
        return r;
    int rc =
        rados_lib.aio_write_op_operate(op, s->io->ctx, w.completion, name, NULL, LIBRADOS_OPERATION_FULL_TRY);
    *ret_rc = rados_io_end(s->io, &w, rc);
    return 0;
}

static int rados_put(struct store *store, const char *name, const void *data, size_t len,
                     struct bk_error *err)
{
    struct rados *s = (struct rados *)store;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    if (len > store->max_object_bytes)
        return rados_io_fail(s->io, -EFBIG, N_("write object"), name, err);
    rados_write_op_t op = rados_lib.create_write_op();
    rados_lib.write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
    rados_lib.write_op_write_full(op, len ? data : "", len);
    int rc = 0;
    int r = write_op(s, op, name, &rc, err);
    rados_lib.release_write_op(op);
    if (r < 0 || rc >= 0)
        return r;
    if (rc == -EEXIST)
        return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
    return rados_io_fail(s->io, rc, N_("write object"), name, err);
}

static int size_of(struct rados *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct rados_wait w;
    uint64_t size = 0;
    time_t mtime;
    int r = rados_io_begin(s->io, &w, err);
    if (r < 0)
        return r;
    int rc = rados_io_end(s->io, &w, rados_lib.aio_stat(s->io->ctx, name, w.completion, &size, &mtime));
    if (rc == -ENOENT)
        return fail_absent(s, name, err);
    if (rc < 0)
        return rados_io_fail(s->io, rc, N_("stat object"), name, err);
    *ret_size = size;
    return 0;
}

static int rados_stat_object(struct store *store, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct rados *s = (struct rados *)store;
    return store_name_valid(name) ? size_of(s, name, ret_size, err) : fail_absent(s, name, err);
}

static int read_some(struct rados *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret,
                     struct bk_error *err)
{
    struct rados_wait w;
    int r = rados_io_begin(s->io, &w, err);
    if (r < 0)
        return r;
    int rc = rados_io_end(s->io, &w, rados_lib.aio_read(s->io->ctx, name, w.completion, out, len, offset));
    if (rc == -ENOENT)
        return fail_absent(s, name, err);
    if (rc < 0)
        return rados_io_fail(s->io, rc, N_("read object"), name, err);
    *ret = (size_t)rc;
    return 0;
}

static int rados_get(struct store *store, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct rados *s = (struct rados *)store;
    size_t done = 0, got = 0;
    if (!store_name_valid(name))
        return fail_absent(s, name, err);
    if (len == 0) { /* to a cluster, a read of no bytes is one of all */
        uint64_t size;
        int r = size_of(s, name, &size, err);
        if (r == 0)
            *ret_len = 0;
        return r;
    }
    do {
        size_t n = len - done < READ_MOST ? len - done : READ_MOST;
        int r = read_some(s, name, offset + done, (uint8_t *)out + done, n, &got, err);
        if (r < 0)
            return r;
        done += got;
        if (got < n)
            break;
    } while (done < len);
    *ret_len = done;
    return 0;
}

static int rados_remove_object(struct store *store, const char *name, struct bk_error *err)
{
    struct rados *s = (struct rados *)store;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    rados_write_op_t op = rados_lib.create_write_op();
    rados_lib.write_op_remove(op);
    int rc = 0;
    int r = write_op(s, op, name, &rc, err);
    rados_lib.release_write_op(op);
    if (r < 0 || rc >= 0 || rc == -ENOENT)
        return r;
    return rados_io_fail(s->io, rc, N_("remove object"), name, err);
}

/* A listing under way: names as they come, their sizes asked for, told in the order of asking. */
struct asked {
    struct rados_wait wait;
    char name[STORE_NAME_MAX + 1];
    uint64_t size;
    time_t mtime;
    int submitted;
};
struct listing {
    struct rados *s;
    const char *prefix;
    store_list_fn *fn;
    void *ctx;
    unsigned first, n;
    struct asked v[LIST_DEPTH];
};

static int tell_first(struct listing *l, struct bk_error *err)
{
    struct asked *a = &l->v[l->first];
    l->first = (l->first + 1) % LIST_DEPTH;
    l->n--;
    int rc = rados_io_end(l->s->io, &a->wait, a->submitted);
    if (rc == -ENOENT) /* removed meanwhile */
        return 0;
    if (rc < 0)
        return rados_io_fail(l->s->io, rc, N_("stat object"), a->name, err);
    return l->fn(l->ctx, a->name, a->size, err);
}

static int ask(void *ctx, const char *name, struct bk_error *err)
{
    struct listing *l = ctx;
    if (!store_name_valid(name) || strncmp(name, l->prefix, strlen(l->prefix)) != 0)
        return 0;
    int r = l->n == LIST_DEPTH ? tell_first(l, err) : 0;
    if (r != 0)
        return r;
    struct asked *a = &l->v[(l->first + l->n) % LIST_DEPTH];
    snprintf(a->name, sizeof a->name, "%s", name);
    r = rados_io_begin(l->s->io, &a->wait, err);
    if (r < 0)
        return r;
    a->submitted = rados_lib.aio_stat(l->s->io->ctx, a->name, a->wait.completion, &a->size, &a->mtime);
    l->n++;
    return 0;
}

static int rados_list(struct store *store, const char *prefix, store_list_fn *fn, void *ctx,
                      struct bk_error *err)
{
    struct rados *s = (struct rados *)store;
    bk_auto(free) struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return bk_fail(err, BK_E_NOMEM, "no memory to list %s", s->store.url);
    l->s = s;
    l->prefix = prefix;
    l->fn = fn;
    l->ctx = ctx;
    int r = rados_io_names(s->io, ask, l, err);
    while (r == 0 && l->n > 0)
        r = tell_first(l, err);
    for (; l->n > 0; l->n--, l->first = (l->first + 1) % LIST_DEPTH)
        rados_io_drop(s->io, &l->v[l->first].wait);
    return r;
}

static void rados_free(struct store *store)
{
    struct rados *s = (struct rados *)store;
    rados_io_free(s->io);
    free(s);
}

static const struct store_ops rados_ops = {
    .put = rados_put,
    .get = rados_get,
    .stat = rados_stat_object,
    .list = rados_list,
    .remove = rados_remove_object,
    .free = rados_free,
};

/* What an init that failed or was killed before its commit leaves does not hinder the next one. */
static int find_stranger(void *ctx, const char *name, struct bk_error *err)
{
    (void)ctx;
    if (strncmp(name, "keys/", 5) == 0 || strncmp(name, "keyring/", 8) == 0)
        return 0;
    return bk_fail(err, BK_E_EXISTS, "it holds an object %.80s", name);
}

static int check_empty(struct rados *s, struct bk_error *err)
{
    int r = rados_io_names(s->io, find_stranger, NULL, err);
    if (r != BK_E_EXISTS)
        return r;
    bk_context(err, "%s is not empty", s->store.url);
    return bk_hint(err, "a new repository needs a namespace of its own: rados://POOL/NAMESPACE");
}

/* librados copies what it sends and receives into buffers of the objects' size. By default glibc maps and
 * unmaps each of them, and the kernel zeroes its pages every time: two to three times the processor time per
 * byte (docs/design/store-rados.md). */
static void keep_buffers(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

int store_rados_open(const char *url, bool create, struct store **ret, struct bk_error *err)
{
    struct rados_url u;
    int r = rados_url_parse(url, &u, err);
    if (r == 0)
        r = rados_lib_load(err);
    if (r < 0)
        return r;
    struct rados *made = calloc(1, sizeof *made);
    if (!made)
        return bk_fail(err, BK_E_NOMEM, "no memory for a RADOS store");
    struct store *whole = &made->store;
    whole->ops = &rados_ops;
    bk_auto(store_free) struct store *owner = whole;
    keep_buffers();
    r = rados_io_open(&u, url, &made->io, err);
    if (r < 0)
        return r;
    whole->can = STORE_CAN_LIST | STORE_CAN_REMOVE | STORE_CAN_PUT_IF_ABSENT;
    whole->max_object_bytes = rados_io_object_max(made->io);
    whole->parallel = AT_ONCE;
    whole->remote = true;
    snprintf(whole->url, sizeof whole->url, "%s", url);
    if (whole->max_object_bytes < OBJECT_LEAST)
        return bk_fail(err, BK_E_LIMIT, "%s takes objects of at most %llu bytes; a repository needs %llu",
                       url, (unsigned long long)whole->max_object_bytes, (unsigned long long)OBJECT_LEAST);
    r = create ? check_empty(made, err) : 0;
    if (r < 0)
        return r;
    *ret = bk_steal(owner);
    return 0;
}
