#include "bkd/backup/graft.h"

#include <errno.h>
#include <xxhash.h>

struct graft {
    struct graft_node *top;
    size_t memory, memory_max;
    uint64_t next_ino;
};

static void inode_unref(struct graft_inode *i)
{
    if (!i || --i->refs)
        return;
    bk_buf_clear(&i->content);
    bk_buf_clear(&i->link);
    bk_buf_clear(&i->xattrs);
    free(i);
}

static void node_free(struct graft_node *n) /* depth is bounded by GRAFT_DEPTH_MAX */
{
    if (!n)
        return;
    for (size_t i = 0; i < n->cap; i++)
        node_free(n->slots[i]);
    free(n->slots);
    inode_unref(n->inode);
    free(n);
}

void graft_free(struct graft *g)
{
    if (!g)
        return;
    node_free(g->top);
    free(g);
}

static int charge(struct graft *g, size_t bytes, struct bk_error *err)
{
    g->memory += bytes + 32; /* malloc's own */
    if (g->memory > g->memory_max)
        return bk_fail(err, BK_E_LIMIT, "the archive names more things than %zu bytes of memory can list",
                       g->memory_max);
    return 0;
}

static struct graft_inode *inode_new(struct graft *g, enum tree_type type)
{
    struct graft_inode *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    i->refs = 1;
    i->type = type;
    i->mode = type == TREE_DIR ? 0755 : 0644;
    i->ino = ++g->next_ino;
    i->content = BK_BUF(64 << 10);
    i->link = BK_BUF(TREE_LINK_MAX);
    i->xattrs = BK_BUF(TREE_XATTRS_MAX);
    return i;
}

static int node_new(struct graft *g, const char *name, size_t len, struct graft_node **ret,
                    struct bk_error *err)
{
    int r = charge(g, sizeof(struct graft_node) + len + sizeof(struct graft_inode) + 2 * sizeof(void *), err);
    if (r < 0)
        return r;
    struct graft_node *n = calloc(1, sizeof *n + len + 1);
    struct graft_inode *i = inode_new(g, TREE_DIR);
    if (!n || !i) {
        free(n);
        free(i);
        return bk_fail_errno(err, ENOMEM, "list an archive");
    }
    n->inode = i;
    n->name_len = (uint8_t)len;
    memcpy(n->name, name, len);
    *ret = n;
    return 0;
}

int graft_new(size_t memory_max, struct graft **ret, struct bk_error *err)
{
    bk_auto(graft_free) struct graft *g = calloc(1, sizeof *g);
    if (!g)
        return bk_fail_errno(err, ENOMEM, "list an archive");
    g->memory_max = memory_max;
    int r = node_new(g, "", 0, &g->top, err);
    if (r < 0)
        return r;
    *ret = bk_steal(g);
    return 0;
}

/* The slot of the name, or the free one where it belongs. */
static size_t place(struct graft_node *const *slots, size_t cap, const char *name, size_t len)
{
    size_t i = (size_t)XXH3_64bits(name, len) & (cap - 1);
    while (slots[i] && (slots[i]->name_len != len || memcmp(slots[i]->name, name, len)))
        i = (i + 1) & (cap - 1);
    return i;
}

static int grow(struct graft_node *n, struct bk_error *err)
{
    size_t cap = n->cap ? n->cap * 2 : 8;
    struct graft_node **v = calloc(cap, sizeof(struct graft_node *));
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list an archive");
    for (size_t i = 0; i < n->cap; i++)
        if (n->slots[i])
            v[place(v, cap, n->slots[i]->name, n->slots[i]->name_len)] = n->slots[i];
    free(n->slots);
    n->slots = v;
    n->cap = cap;
    return 0;
}

static int child(struct graft *g, struct graft_node *n, const char *name, size_t len, bool create,
                 struct graft_node **ret, struct bk_error *err)
{
    if (n->cap) {
        struct graft_node *have = n->slots[place(n->slots, n->cap, name, len)];
        if (have || !create) {
            *ret = have;
            return have ? 1 : 0;
        }
    }
    if (!create)
        return 0;
    if (n->n * 4 >= n->cap * 3) {
        int r = grow(n, err);
        if (r < 0)
            return r;
    }
    int r = node_new(g, name, len, ret, err);
    if (r < 0)
        return r;
    n->slots[place(n->slots, n->cap, name, len)] = *ret;
    n->n++;
    return 1;
}

static bool next_name(const char **path, const char **ret, size_t *ret_len)
{
    for (;;) {
        *path += strspn(*path, "/");
        size_t len = strcspn(*path, "/");
        if (!len)
            return false;
        *ret = *path;
        *ret_len = len;
        *path += len;
        if (len != 1 || **ret != '.')
            return true;
    }
}

bool graft_path_ok(const char *path)
{
    const char *name;
    size_t len, depth = 0;
    while (next_name(&path, &name, &len))
        if (!tree_name_valid(name, len) || ++depth > GRAFT_DEPTH_MAX)
            return false;
    return true;
}

int graft_at(struct graft *g, const char *path, bool create, struct graft_node **ret, struct bk_error *err)
{
    if (!graft_path_ok(path))
        return 0;
    struct graft_node *n = g->top;
    const char *name;
    size_t len;
    while (next_name(&path, &name, &len)) {
        if (create && n->inode->type != TREE_DIR) {
            int r = graft_reset(g, n, TREE_DIR, err);
            if (r < 0)
                return r;
        }
        int r = child(g, n, name, len, create, &n, err);
        if (r <= 0)
            return r;
    }
    *ret = n;
    return 1;
}

int graft_reset(struct graft *g, struct graft_node *n, enum tree_type type, struct bk_error *err)
{
    int r = charge(g, sizeof(struct graft_inode), err);
    if (r < 0)
        return r;
    struct graft_inode *i = inode_new(g, type);
    if (!i)
        return bk_fail_errno(err, ENOMEM, "list an archive");
    inode_unref(n->inode);
    n->inode = i;
    return 0;
}

void graft_link(struct graft_node *n, struct graft_node *to)
{
    if (n->inode == to->inode)
        return;
    to->inode->refs++;
    inode_unref(n->inode);
    n->inode = to->inode;
}

bool graft_has_children(const struct graft_node *n)
{
    return n->n > 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct graft_node *const *)a)->name, (*(struct graft_node *const *)b)->name);
}

static int entry_of(const struct graft_node *n, struct tree_entry *ret, struct bk_error *err)
{
    const struct graft_inode *i = n->inode;
    *ret = (struct tree_entry){
        .name = (const uint8_t *)n->name,
        .name_len = n->name_len,
        .type = i->type,
        .flags = i->flags,
        .mode = i->mode,
        .uid = i->uid,
        .gid = i->gid,
        .ino = i->ino,
        .nlink = i->refs,
        .mtime = i->mtime,
        .ctime = i->ctime,
        .btime = i->btime,
        .rdev_major = i->rdev_major,
        .rdev_minor = i->rdev_minor,
        .link = i->link.data,
        .link_len = i->link.len,
        .xattrs = i->xattrs.len ? i->xattrs.data : NULL,
        .xattrs_len = i->xattrs.len,
    };
    if (i->type != TREE_FILE || !i->content.len)
        return 0;
    struct bk_reader r = bk_reader_of(i->content.data, i->content.len);
    return content_decode(&r, &ret->content, err);
}

static void count(struct graft_totals *t, const struct tree_entry *e)
{
    if (e->type == TREE_DIR)
        t->n_dirs++;
    else if (e->type == TREE_FILE)
        t->n_files++;
    else
        t->n_others++;
    t->content_bytes += e->type == TREE_FILE ? e->content.size : 0;
}

static int store(struct graft_node *n, struct sink *s, unsigned lane, struct tree_dir *ret,
                 struct graft_totals *totals, struct bk_error *err)
{
    bk_auto(folder_clear) struct folder f;
    folder_init(&f, s, lane);
    bk_auto(free) struct graft_node **v = calloc(n->n + 1, sizeof(struct graft_node *));
    if (!v)
        return bk_fail_errno(err, ENOMEM, "store an archive");
    size_t k = 0;
    for (size_t i = 0; i < n->cap; i++)
        if (n->slots[i])
            v[k++] = n->slots[i];
    qsort(v, k, sizeof *v, by_name);
    for (size_t i = 0; i < k; i++) {
        struct tree_entry e;
        int r = entry_of(v[i], &e, err);
        if (r == 0 && e.type == TREE_DIR)
            r = store(v[i], s, lane, &e.dir, totals, err);
        if (r == 0)
            r = folder_add(&f, &e, err);
        if (r < 0)
            return r;
        count(totals, &e);
    }
    return folder_done(&f, ret, err);
}

int graft_store(struct graft *g, struct sink *s, unsigned lane, struct tree_dir *ret,
                struct graft_totals *totals, struct bk_error *err)
{
    *totals = (struct graft_totals){ 0 };
    return store(g->top, s, lane, ret, totals, err);
}
