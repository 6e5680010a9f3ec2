#include "bkd/source/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bkd/source/meta.h"

enum { BUCKETS = 4096, TO_DO_BYTES_MAX = 4 << 20 };

struct found {
    struct statx self; /* asked before the names were read */
    struct ahead_dir dir;
    atomic_flag taken;
    struct found *next;
};

struct to_do { /* a stack of directories */
    struct to_do *next;
    size_t len;
    char path[]; /* NUL-terminated */
};

struct ahead {
    pthread_t thread;
    bool running;
    atomic_bool stop;
    int64_t started_ns;
    struct to_do *todo;
    size_t todo_bytes, n_names;
    struct found *buckets[BUCKETS]; /* the thread's until it has ended */
};

void ahead_dir_clear(struct ahead_dir *d)
{
    listing_clear(&d->list);
    free(d->stats);
    d->stats = NULL;
}

static struct found **bucket(struct ahead *a, const struct statx *st)
{
    return &a->buckets[(st->stx_ino * 0x9e3779b97f4a7c15u >> 32) % BUCKETS];
}

/* dir/name, or name alone. False without memory, or when too much waits or the path is too long to open. */
static bool push(struct ahead *a, const char *dir, const char *name)
{
    size_t n = strlen(dir), k = strlen(name), len = n ? n + 1 + k : k;
    if (len >= PATH_MAX || a->todo_bytes + len > TO_DO_BYTES_MAX)
        return false;
    struct to_do *t = malloc(sizeof *t + len + 1);
    if (!t)
        return false;
    t->len = len;
    memcpy(t->path, dir, n);
    if (n)
        t->path[n] = '/';
    memcpy(t->path + len - k, name, k + 1);
    t->next = a->todo;
    a->todo = t;
    a->todo_bytes += len;
    return true;
}

static struct to_do *pop(struct ahead *a)
{
    struct to_do *t = a->todo;
    if (t) {
        a->todo = t->next;
        a->todo_bytes -= t->len;
    }
    return t;
}

static bool ends(const struct ahead *a)
{
    return atomic_load_explicit(&a->stop, memory_order_relaxed) || a->n_names >= AHEAD_NAMES_MAX;
}

/* What was not asked any more when the end came stays zero, and so unknown. */
static void ask(struct ahead *a, int fd, struct ahead_dir *d)
{
    size_t n = d->list.n;
    if (!n || n > AHEAD_NAMES_MAX - a->n_names)
        return;
    d->stats = calloc(n, sizeof *d->stats);
    for (size_t i = 0; d->stats && i < n && !atomic_load_explicit(&a->stop, memory_order_relaxed); i++)
        if (meta_stat(fd, listing_name(&d->list, i), false, &d->stats[i]))
            d->stats[i].stx_mask = 0;
}

/* In reverse, so that the first name comes off the stack first. */
static void push_below(struct ahead *a, const char *path, const struct ahead_dir *d)
{
    for (size_t i = d->stats ? d->list.n : 0; i-- > 0;)
        if (d->stats[i].stx_mask && S_ISDIR(d->stats[i].stx_mode))
            (void)push(a, path, listing_name(&d->list, i)); /* else the walk finds it */
}

/* O_NOATIME is for owners and root only. */
static int open_dir(const char *path)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(path, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

static void look_into(struct ahead *a, const char *path)
{
    bk_auto(close) int fd = open_dir(path);
    bk_auto(free) struct found *f = fd < 0 ? NULL : calloc(1, sizeof *f);
    if (!f || meta_stat_fd(fd, &f->self))
        return;
    if (listing_read(fd, &f->dir.list, NULL) < 0) {
        listing_clear(&f->dir.list);
        return;
    }
    ask(a, fd, &f->dir);
    a->n_names += f->dir.list.n;
    push_below(a, path, &f->dir);
    struct found **at = bucket(a, &f->self);
    f->next = *at;
    *at = bk_steal(f);
}

static void *run(void *arg)
{
    struct ahead *a = arg;
    struct to_do *t;
    while (!ends(a) && (t = pop(a))) {
        look_into(a, t->path);
        free(t);
    }
    return NULL;
}

int ahead_start(const char *const *paths, size_t n, int64_t now_ns, struct ahead **ret, struct bk_error *err)
{
    bk_auto(ahead_free) struct ahead *a = calloc(1, sizeof *a);
    if (!a)
        return bk_fail_errno(err, ENOMEM, "start a walk");
    a->started_ns = now_ns;
    while (n-- > 0)
        if (!push(a, "", paths[n]))
            return bk_fail_errno(err, ENOMEM, "start a walk");
    sigset_t all, before; /* signals are for the thread that started the program */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&a->thread, NULL, run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e)
        return bk_fail_errno(err, e, "start a thread");
    a->running = true;
    *ret = bk_steal(a);
    return 0;
}

int64_t ahead_started_ns(const struct ahead *a)
{
    return a->started_ns;
}

void ahead_finish(struct ahead *a)
{
    if (a->running)
        pthread_join(a->thread, NULL);
    a->running = false;
}

void ahead_stop(struct ahead *a)
{
    atomic_store(&a->stop, true);
    ahead_finish(a);
}

static bool is_it(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

static bool stood_still(const struct statx *a, const struct statx *b)
{
    return a->stx_ctime.tv_sec == b->stx_ctime.tv_sec && a->stx_ctime.tv_nsec == b->stx_ctime.tv_nsec &&
           a->stx_mtime.tv_sec == b->stx_mtime.tv_sec && a->stx_mtime.tv_nsec == b->stx_mtime.tv_nsec;
}

bool ahead_take(struct ahead *a, int fd, struct ahead_dir *ret)
{
    struct statx now;
    if (!a->n_names || meta_stat_fd(fd, &now))
        return false;
    struct found *f = *bucket(a, &now);
    while (f && !is_it(&f->self, &now))
        f = f->next;
    if (!f || !stood_still(&f->self, &now) || atomic_flag_test_and_set(&f->taken))
        return false;
    *ret = f->dir;
    f->dir = (struct ahead_dir){ 0 };
    return true;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    ahead_stop(a);
    for (struct to_do *t; (t = pop(a));)
        free(t);
    for (size_t i = 0; i < BUCKETS; i++)
        while (a->buckets[i]) {
            struct found *f = a->buckets[i];
            a->buckets[i] = f->next;
            ahead_dir_clear(&f->dir);
            free(f);
        }
    free(a);
}
