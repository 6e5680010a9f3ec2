#include "bkd/repo/check_ahead.h"

static bool is_sound(const struct check *c)
{
    return c->rep.n_damages == 0 && c->rep.n_files_hit == 0 && c->bad_packs.n == 0 && !c->index_damaged;
}

/* Errors, too, are left to the walk that counts. */
static void walk(struct task *t, unsigned worker)
{
    (void)worker;
    struct check_ahead *a = (struct check_ahead *)t;
    struct bk_error ignored = { 0 };
    a->sound = check_trees(&a->shadow, &ignored) == 0 && is_sound(&a->shadow);
    bk_error_clear(&ignored);
}

bool check_ahead_init(struct check_ahead *a, const struct check *c)
{
    *a = (struct check_ahead){
        .task.run = walk,
        .shadow = { .repo = c->repo,
                    .job = c->job,
                    .opts = c->opts,
                    .index = c->index,
                    .cat = c->cat,
                    .rep.n_orphan_packs = c->rep.n_orphan_packs },
    };
    pthread_mutex_init(&a->shadow.lock, NULL);
    return is_sound(c);
}

void check_ahead_take(const struct check_ahead *a, struct check *c)
{
    if (!a->sound || !is_sound(c))
        return;
    c->rep.n_files += a->shadow.rep.n_files;
    c->walked = true;
}

void check_ahead_clear(struct check_ahead *a)
{
    idset_clear(&a->shadow.reported);
    pthread_mutex_destroy(&a->shadow.lock);
}
