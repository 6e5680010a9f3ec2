#include <grp.h>
#include <pthread.h>
#include <pwd.h>

#include "bkd/restore/attrs.h"

/* One id of the snapshot; `local` counts once `known` is set. */
struct owner {
    uint32_t id;
    const char *name; /* borrowed from the snapshot */
    bool known;
    uint32_t local;
};
struct owner_map {
    struct owner *v; /* owned; by id */
    size_t n;
};
struct idmap {
    pthread_mutex_t lock; /* guards known and local */
    struct owner_map users, groups;
};

static int by_id(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int map_init(struct owner_map *m, const struct snapshot_id_name *v, size_t n, struct bk_error *err)
{
    if (n == 0)
        return 0;
    m->v = calloc(n, sizeof *m->v);
    if (!m->v)
        return bk_fail(err, BK_E_NOMEM, "map owners");
    for (size_t i = 0; i < n; i++)
        if (v[i].name && v[i].name[0])
            m->v[m->n++] = (struct owner){ .id = v[i].id, .name = v[i].name };
    qsort(m->v, m->n, sizeof *m->v, by_id);
    return 0;
}

int idmap_new(const struct snapshot *s, bool numeric, struct idmap **ret, struct bk_error *err)
{
    bk_auto(idmap_free) struct idmap *o = calloc(1, sizeof *o);
    if (!o)
        return bk_fail(err, BK_E_NOMEM, "map owners");
    pthread_mutex_init(&o->lock, NULL);
    int r;
    if (!numeric && ((r = map_init(&o->users, s->users, s->n_users, err)) < 0 ||
                     (r = map_init(&o->groups, s->groups, s->n_groups, err)) < 0))
        return r;
    *ret = bk_steal(o);
    return 0;
}

void idmap_free(struct idmap *o)
{
    if (!o)
        return;
    free(o->users.v);
    free(o->groups.v);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static uint32_t ask_user(const char *name, uint32_t otherwise)
{
    char buf[16384];
    struct passwd pw, *found = NULL;
    return getpwnam_r(name, &pw, buf, sizeof buf, &found) == 0 && found ? found->pw_uid : otherwise;
}

static uint32_t ask_group(const char *name, uint32_t otherwise)
{
    char buf[65536]; /* groups list their members */
    struct group gr, *found = NULL;
    return getgrnam_r(name, &gr, buf, sizeof buf, &found) == 0 && found ? found->gr_gid : otherwise;
}

static uint32_t look_up(struct idmap *o, struct owner_map *m, uint32_t id,
                        uint32_t (*ask)(const char *, uint32_t))
{
    if (m->n == 0)
        return id;
    struct owner key = { .id = id };
    struct owner *w = bsearch(&key, m->v, m->n, sizeof *m->v, by_id);
    if (!w)
        return id;
    pthread_mutex_lock(&o->lock);
    if (!w->known) {
        w->local = ask(w->name, id);
        w->known = true;
    }
    uint32_t local = w->local;
    pthread_mutex_unlock(&o->lock);
    return local;
}

uid_t idmap_user(struct idmap *o, uint32_t id)
{
    return look_up(o, &o->users, id, ask_user);
}

gid_t idmap_group(struct idmap *o, uint32_t id)
{
    return look_up(o, &o->groups, id, ask_group);
}
