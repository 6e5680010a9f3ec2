#include "bkd/backup/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct dirs {
    pthread_mutex_t lock;
    struct dir *newest, *oldest; /* open ones, by last use */
    size_t n_open, max_open;
};

int dirs_new(struct dirs **ret, struct bk_error *err)
{
    struct dirs *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail_errno(err, ENOMEM, "a table of directories");
    pthread_mutex_init(&c->lock, NULL);
    struct rlimit rl;
    c->max_open = 256;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur / 4 < c->max_open)
        c->max_open = rl.rlim_cur / 4 > 8 ? rl.rlim_cur / 4 : 8;
    *ret = c;
    return 0;
}

void dirs_free(struct dirs *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void unlink_dir(struct dirs *c, struct dir *d)
{
    *(d->newer ? &d->newer->older : &c->newest) = d->older;
    *(d->older ? &d->older->newer : &c->oldest) = d->newer;
    d->newer = d->older = NULL;
    c->n_open--;
}

static void link_newest(struct dirs *c, struct dir *d)
{
    d->older = c->newest;
    d->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = d;
    c->newest = d;
    c->n_open++;
}

static void close_one(struct dirs *c, struct dir *d)
{
    unlink_dir(c, d);
    close(d->fd);
    d->fd = -1;
}

static void trim(struct dirs *c)
{
    for (struct dir *d = c->oldest; d && c->n_open > c->max_open;) {
        struct dir *next = d->newer;
        if (!d->users)
            close_one(c, d);
        d = next;
    }
}

static void use(struct dirs *c, struct dir *d)
{
    if (c->newest != d) {
        unlink_dir(c, d);
        link_newest(c, d);
    }
    d->users++;
}

/* O_NOATIME is for owners and root only. */
static int open_quietly(int at, const char *name, int flags)
{
    int fd = openat(at, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(at, name, flags) : fd;
}

static int open_at(int at, const struct dir *d, int *ret)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (d->follow ? 0 : O_NOFOLLOW);
    bk_auto(close) int fd = open_quietly(at, d->name, flags);
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR ? ESTALE : errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return errno;
    if (d->up && (st.st_dev != d->dev || st.st_ino != d->ino))
        return ESTALE;
    *ret = bk_steal_fd(&fd);
    return 0;
}

/* The common case: the directory above is open. The lock is not held while the file system is asked. */
static int open_below(struct dirs *c, struct dir *d)
{
    struct dir *up = d->up;
    int fd = -1;
    if (up)
        use(c, up);
    int at = up ? up->fd : AT_FDCWD;
    pthread_mutex_unlock(&c->lock);
    int sys = open_at(at, d, &fd);
    pthread_mutex_lock(&c->lock);
    if (up)
        up->users--;
    if (sys)
        return sys;
    if (d->fd >= 0) { /* another thread was faster */
        close(fd);
        return 0;
    }
    d->fd = fd;
    link_newest(c, d);
    return 0;
}

/* From the nearest open ancestor down. Recursion would follow the depth of a hostile tree. */
static int open_chain(struct dirs *c, struct dir *d)
{
    size_t n = 0;
    for (const struct dir *a = d; a && a->fd < 0; a = a->up)
        n++;
    bk_auto(free) struct dir **chain = calloc(n, sizeof(struct dir *));
    if (!chain)
        return ENOMEM;
    size_t i = n;
    for (struct dir *a = d; i; a = a->up)
        chain[--i] = a;
    int sys = 0;
    for (i = 0; i < n && !sys; i++) {
        struct dir *up = chain[i]->up;
        if (chain[i]->fd >= 0)
            continue;
        if (up && up->fd < 0) /* closed again by another thread meanwhile */
            return open_chain(c, d);
        sys = open_below(c, chain[i]);
        if (!sys) {
            chain[i]->users++;
            trim(c);
            chain[i]->users--;
        }
    }
    return sys;
}

int dirs_open(struct dirs *c, struct dir *d, int *ret)
{
    int sys = 0;
    pthread_mutex_lock(&c->lock);
    while (d->fd < 0 && !sys)
        sys = open_chain(c, d);
    if (!sys) {
        use(c, d);
        trim(c);
        *ret = d->fd;
    }
    pthread_mutex_unlock(&c->lock);
    return sys;
}

void dirs_close(struct dirs *c, struct dir *d)
{
    pthread_mutex_lock(&c->lock);
    d->users--;
    pthread_mutex_unlock(&c->lock);
}

void dirs_forget(struct dirs *c, struct dir *d)
{
    pthread_mutex_lock(&c->lock);
    if (d->fd >= 0)
        close_one(c, d);
    pthread_mutex_unlock(&c->lock);
}

int dirs_path(const struct dir *d, const char *name, struct bk_buf *out, struct bk_error *err)
{
    size_t len = name ? strlen(name) + 1 : 0;
    for (const struct dir *a = d; a->up; a = a->up)
        len += strlen(a->name) + 1;
    out->len = 0;
    uint8_t *p;
    size_t total = len ? len : 1;
    int r = bk_buf_extend(out, total + 1, &p, err);
    if (r < 0)
        return r;
    out->len = total;
    p[total] = '\0';
    p[0] = '/';
    uint8_t *at = p + len;
    if (name) {
        at -= strlen(name);
        memcpy(at, name, strlen(name));
        *--at = '/';
    }
    for (const struct dir *a = d; a->up; a = a->up) {
        size_t n = strlen(a->name);
        at -= n;
        memcpy(at, a->name, n);
        *--at = '/';
    }
    return 0;
}
