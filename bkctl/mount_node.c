#include "bkctl/mount_node.h"

#include <errno.h>
#include <string.h>

enum { BUCKETS = 1 << 14 };

struct mtable {
    struct mnode *by_ino[BUCKETS], *by_name[BUCKETS];
    uint64_t next_ino;
    struct mnode *root;
};

static size_t ino_bucket(uint64_t ino)
{
    return ino % BUCKETS;
}

static size_t name_bucket(uint64_t parent, const char *name)
{
    uint64_t h = 1469598103934665603u ^ parent;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (h ^ h >> 29) % BUCKETS;
}

int mtable_new(struct mtable **ret, struct bk_error *err)
{
    bk_auto(mtable_free) struct mtable *t = calloc(1, sizeof *t);
    if (!t)
        return bk_fail_errno(err, ENOMEM, "mount");
    t->next_ino = 1;
    t->root = mtable_add(t, NULL, MNODE_FIXED, "", true);
    if (!t->root)
        return bk_fail_errno(err, ENOMEM, "mount");
    *ret = bk_steal(t);
    return 0;
}

static void node_free(struct mnode *n)
{
    node_clear(&n->node);
    free(n->name);
    free(n->target);
    free(n);
}

void mtable_free(struct mtable *t)
{
    for (size_t i = 0; t && i < BUCKETS; i++)
        for (struct mnode *n = t->by_ino[i], *next; n; n = next) {
            next = n->hash_ino;
            node_free(n);
        }
    free(t);
}

struct mnode *mtable_root(struct mtable *t)
{
    return t->root;
}

struct mnode *mtable_by_ino(struct mtable *t, uint64_t ino)
{
    struct mnode *n = t->by_ino[ino_bucket(ino)];
    while (n && n->ino != ino)
        n = n->hash_ino;
    return n;
}

struct mnode *mtable_child(struct mtable *t, const struct mnode *parent, const char *name)
{
    struct mnode *n = t->by_name[name_bucket(parent->ino, name)];
    while (n && (n->parent != parent || strcmp(n->name, name)))
        n = n->hash_name;
    return n;
}

struct mnode *mtable_add(struct mtable *t, struct mnode *parent, enum mnode_kind kind, const char *name,
                         bool stays)
{
    struct mnode *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->name = strdup(name);
    if (!n->name) {
        free(n);
        return NULL;
    }
    n->kind = kind;
    n->stays = stays;
    n->ino = t->next_ino++;
    n->parent = parent;
    n->snap = parent ? parent->snap : NULL;
    struct mnode **b = &t->by_ino[ino_bucket(n->ino)];
    n->hash_ino = *b;
    *b = n;
    b = &t->by_name[name_bucket(parent ? parent->ino : 0, name)];
    n->hash_name = *b;
    *b = n;
    if (parent) {
        parent->n_children++;
        if (stays) {
            struct mnode **last = &parent->first;
            while (*last)
                last = &(*last)->next;
            *last = n;
        }
    }
    return n;
}

static void unlink_node(struct mtable *t, struct mnode *n)
{
    struct mnode **p = &t->by_ino[ino_bucket(n->ino)];
    while (*p != n)
        p = &(*p)->hash_ino;
    *p = n->hash_ino;
    p = &t->by_name[name_bucket(n->parent ? n->parent->ino : 0, n->name)];
    while (*p != n)
        p = &(*p)->hash_name;
    *p = n->hash_name;
}

void mtable_forget(struct mtable *t, struct mnode *n, uint64_t lookups)
{
    n->lookups -= lookups < n->lookups ? lookups : n->lookups;
    while (n && !n->stays && !n->lookups && !n->n_children) {
        struct mnode *parent = n->parent;
        unlink_node(t, n);
        node_free(n);
        if (parent)
            parent->n_children--;
        n = parent;
    }
}
