#include "bkd/backup/owners.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

static void set_clear(struct owner_set *s)
{
    free(s->v);
    free(s->used);
    *s = (struct owner_set){ 0 };
}

void owners_clear(struct owners *o)
{
    set_clear(&o->users);
    set_clear(&o->groups);
}

/* The slot of id, or the free one where it belongs. */
static size_t place(const uint32_t *v, const bool *used, size_t cap, uint32_t id)
{
    size_t i = (id * 0x9e3779b1u) & (cap - 1);
    while (used[i] && v[i] != id)
        i = (i + 1) & (cap - 1);
    return i;
}

static bool grow(struct owner_set *s)
{
    size_t cap = s->cap ? s->cap * 2 : 16;
    uint32_t *v = calloc(cap, sizeof *v);
    bool *used = calloc(cap, sizeof *used);
    if (!v || !used) {
        free(v);
        free(used);
        return false;
    }
    for (size_t i = 0; i < s->cap; i++) {
        if (!s->used[i])
            continue;
        size_t to = place(v, used, cap, s->v[i]);
        v[to] = s->v[i];
        used[to] = true;
    }
    free(s->v);
    free(s->used);
    s->v = v;
    s->used = used;
    s->cap = cap;
    return true;
}

void owners_add_slow(struct owner_set *s, uint32_t id)
{
    if (s->n * 2 >= s->cap && (s->n >= OWNERS_MAX || !grow(s)))
        return;
    size_t i = place(s->v, s->used, s->cap, id);
    if (!s->used[i]) {
        s->used[i] = true;
        s->v[i] = id;
        s->n++;
    }
    s->last = id;
}

static void join(struct owner_set *s, const struct owner_set *more)
{
    for (size_t i = 0; i < more->cap; i++)
        if (more->used[i])
            owners_add_slow(s, more->v[i]);
}

void owners_join(struct owners *o, const struct owners *more)
{
    join(&o->users, &more->users);
    join(&o->groups, &more->groups);
}

static bool user_name(uint32_t id, char *buf, size_t len, const char **ret)
{
    struct passwd pw, *found = NULL;
    if (getpwuid_r((uid_t)id, &pw, buf, len, &found) || !found)
        return false;
    *ret = found->pw_name;
    return true;
}

static bool group_name(uint32_t id, char *buf, size_t len, const char **ret)
{
    struct group gr, *found = NULL;
    if (getgrgid_r((gid_t)id, &gr, buf, len, &found) || !found)
        return false;
    *ret = found->gr_name;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct snapshot_id_name *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int name_set(const struct owner_set *s, bool (*look)(uint32_t, char *, size_t, const char **),
                    struct snapshot_id_name **ret, size_t *ret_n, struct bk_error *err)
{
    enum { LOOKUP_BYTES = 64 << 10 }; /* group entries carry all their members */
    bk_auto(free) char *buf = malloc(LOOKUP_BYTES);
    struct snapshot_id_name *v = calloc(s->n ? s->n : 1, sizeof *v);
    *ret = v;
    *ret_n = 0;
    if (!buf || !v)
        return bk_fail_errno(err, ENOMEM, "names of %zu owners", s->n);
    for (size_t i = 0; i < s->cap; i++) {
        const char *name;
        if (!s->used[i] || !look(s->v[i], buf, LOOKUP_BYTES, &name) || strlen(name) > SNAPSHOT_TEXT_MAX)
            continue;
        v[*ret_n] = (struct snapshot_id_name){ .id = s->v[i], .name = strdup(name) };
        if (!v[*ret_n].name)
            return bk_fail_errno(err, ENOMEM, "names of %zu owners", s->n);
        ++*ret_n;
    }
    qsort(v, *ret_n, sizeof *v, by_id);
    return 0;
}

int owners_name(const struct owners *o, struct snapshot *snap, struct bk_error *err)
{
    int r = name_set(&o->users, user_name, &snap->users, &snap->n_users, err);
    return r < 0 ? r : name_set(&o->groups, group_name, &snap->groups, &snap->n_groups, err);
}
