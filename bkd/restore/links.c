#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

enum link_state { LINK_PENDING, LINK_EXISTS, LINK_FAILED };

/* A further name that waits for the first. */
struct waiter {
    struct waiter *next;
    struct tdir *td; /* a reference */
    size_t name_len;
    char name[];
};

struct link {
    struct link *next;
    struct tdir *td;       /* a reference: kept to the end, the directory's mode may close it to us */
    enum link_state state; /* guarded by links_lock, with waiters */
    struct waiter *waiters;
    struct attrs attrs; /* without xattrs: for flags that are set last */
    size_t name_len;
    char name[];
};

/* linkat, in place of what may be there. */
static int link_name(struct run *r, const struct link *l, int from, int to, const char *name,
                     struct bk_error *err)
{
    for (int tries = 0; tries < 2; tries++) {
        if (linkat(from, l->name, to, name, 0) == 0)
            return 0;
        if (errno != EEXIST || !r->opts->overwrite)
            return bk_fail_errno(err, errno, "link it to '%s'", l->name);
        struct stat a, b;
        if (fstatat(from, l->name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
            fstatat(to, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return 0;
        uint64_t n = 0;
        int rc = target_remove(to, name, &n, err);
        if (rc < 0)
            return rc;
    }
    return bk_fail(err, BK_E_EXISTS, "the name is being taken by somebody else");
}

static void make(struct run *r, const struct link *l, struct tdir *td, const char *name, size_t name_len)
{
    struct place at = { .dir = td, .name = name, .name_len = name_len };
    struct bk_error err = { 0 };
    int from, to;
    int rc = tdir_pin(&r->targets, l->td, &from, &err);
    if (rc == 0) {
        rc = tdir_pin(&r->targets, td, &to, &err);
        if (rc == 0) {
            rc = link_name(r, l, from, to, name, &err);
            tdir_unpin(&r->targets, td);
        }
        tdir_unpin(&r->targets, l->td);
    }
    if (rc < 0) {
        run_problem(r, &at, &err);
        run_mark_bad(r, &at);
        return;
    }
    atomic_fetch_add(&r->n_files, 1);
    run_count_item(r, &at);
}

static void lost(struct run *r, struct tdir *td, const char *name, size_t name_len)
{
    struct place at = { .dir = td, .name = name, .name_len = name_len };
    struct bk_error err = { 0 };
    bk_fail(&err, BK_E_FAILED, "the file it is a hard link to could not be restored");
    run_problem(r, &at, &err);
    run_mark_bad(r, &at);
}

static int first(struct run *r, struct tdir *td, const struct tree_entry *e, struct link **ret,
                 struct bk_error *err)
{
    struct link *l = calloc(1, sizeof *l + e->name_len + 1);
    if (!l)
        return bk_fail(err, BK_E_NOMEM, "remember hard links");
    int rc = inodes_add(&r->links, e->dev, e->ino, l, err);
    if (rc < 0) {
        free(l);
        return rc;
    }
    l->name_len = e->name_len;
    memcpy(l->name, e->name, e->name_len);
    l->attrs = attrs_of(e);
    l->attrs.xattrs = NULL;
    l->attrs.xattrs_len = 0;
    l->td = td;
    tdir_ref(td);
    l->next = r->all_links;
    r->all_links = l;
    *ret = l;
    return 0;
}

int links_claim(struct run *r, struct tdir *td, const struct tree_entry *e, struct link **ret,
                struct bk_error *err)
{
    pthread_mutex_lock(&r->links_lock);
    struct link *l = inodes_find(&r->links, e->dev, e->ino);
    if (!l) {
        int rc = first(r, td, e, ret, err);
        pthread_mutex_unlock(&r->links_lock);
        return rc;
    }
    enum link_state state = l->state;
    struct waiter *w = calloc(1, sizeof *w + e->name_len + 1);
    if (w) {
        w->name_len = e->name_len;
        memcpy(w->name, e->name, e->name_len);
    }
    if (w && state == LINK_PENDING) {
        w->td = td;
        tdir_ref(td);
        w->next = l->waiters;
        l->waiters = bk_steal(w);
    }
    pthread_mutex_unlock(&r->links_lock);
    if (w && state == LINK_EXISTS)
        make(r, l, td, w->name, w->name_len);
    else if (w && state == LINK_FAILED)
        lost(r, td, w->name, w->name_len);
    else if (state != LINK_PENDING)
        return bk_fail(err, BK_E_NOMEM, "remember hard links");
    free(w);
    return 1;
}

void links_done(struct run *r, struct link *l, bool exists)
{
    pthread_mutex_lock(&r->links_lock);
    l->state = exists ? LINK_EXISTS : LINK_FAILED;
    struct waiter *w = l->waiters;
    l->waiters = NULL;
    pthread_mutex_unlock(&r->links_lock);
    bool stopped = pool_failed(r->pool);
    for (struct waiter *next; w; w = next) {
        next = w->next;
        if (stopped)
            ;
        else if (exists)
            make(r, l, w->td, w->name, w->name_len);
        else
            lost(r, w->td, w->name, w->name_len);
        tdir_unref(&r->targets, w->td);
        free(w);
    }
}

static void freeze(struct run *r, const struct link *l)
{
    struct place at = { .dir = l->td, .name = l->name, .name_len = l->name_len };
    struct bk_error err = { 0 };
    int dirfd;
    if (tdir_pin(&r->targets, l->td, &dirfd, &err) < 0) {
        run_problem(r, &at, &err);
        return;
    }
    bk_auto(close) int fd = openat(dirfd, l->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        bk_fail_errno(&err, errno, "set the file system flags");
        run_problem(r, &at, &err);
    } else {
        attrs_flags(&r->attrs, &at, fd, &l->attrs, false);
    }
    tdir_unpin(&r->targets, l->td);
}

void links_finish(struct run *r)
{
    for (struct link *l = r->all_links, *next; l; l = next) {
        next = l->next;
        if (l->state == LINK_EXISTS && l->attrs.type == TREE_FILE && attrs_freezes(&l->attrs) &&
            !pool_failed(r->pool))
            freeze(r, l);
        tdir_unref(&r->targets, l->td);
        free(l);
    }
    r->all_links = NULL;
    inodes_clear(&r->links);
}
