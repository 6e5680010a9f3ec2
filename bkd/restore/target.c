#include "bkd/restore/target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "bkd/job/folder.h"

enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int not_a_directory(const char *path, struct bk_error *err)
{
    bk_fail(err, BK_E_EXISTS, "the target '%s' is not a directory, or a part of its path is none", path);
    return bk_hint(err, "choose another directory: it is made when it does not exist");
}

int target_check_writable(int fd, const char *path, struct bk_error *err)
{
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0 || (errno != EACCES && errno != EROFS))
        return 0; /* else the writing itself will tell */
    bk_fail_errno(err, errno, "write into the target '%s'", path);
    return bk_hint(err, "choose a directory that you may write into");
}

int target_open(const char *path, int *ret_fd, bool *ret_fresh, struct bk_error *err)
{
    bool fresh = false;
    if (!path[0])
        return bk_fail(err, BK_E_USAGE, "the target directory has no name");
    if (mkdir(path, 0777) == 0) {
        fresh = true;
    } else if (errno == ENOENT) {
        int r = folder_make_above(path, 0777, err);
        if (r < 0)
            return r;
        if (mkdir(path, 0777) == 0)
            fresh = true;
        else if (errno != EEXIST)
            return bk_fail_errno(err, errno, "make the directory '%s'", path);
    } else if (errno == ENOTDIR) {
        return not_a_directory(path, err);
    } else if (errno != EEXIST && errno != EROFS) {
        return bk_fail_errno(err, errno, "make the directory '%s'", path);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        return not_a_directory(path, err);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open the directory '%s'", path);
    *ret_fd = fd;
    *ret_fresh = fresh;
    return 0;
}

static int learn(struct targets *t, struct tdir *d, int fd, struct bk_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return bk_fail_errno(err, errno, "look at the directory '%s'", d->name);
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    d->new_gid = (st.st_mode & S_ISGID) || d->fresh ? st.st_gid : t->egid;
    /* Default access lists are handed down to every new directory. */
    if (d->fresh && d->parent)
        d->acl = d->parent->acl;
    else
        d->acl = fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
    return 0;
}

static struct tdir *alloc(struct tdir *parent, const void *name, size_t len)
{
    struct tdir *d = calloc(1, sizeof *d + len + 1);
    if (!d)
        return NULL;
    d->handle = HANDLE_INIT;
    d->name_len = len;
    memcpy(d->name, name, len);
    pthread_mutex_init(&d->lock, NULL);
    atomic_init(&d->refs, 1);
    d->parent = parent;
    if (parent)
        tdir_ref(parent);
    return d;
}

static void destroy(struct tdir *d)
{
    pthread_mutex_destroy(&d->lock);
    free(d->own);
    free(d);
}

int tdir_root(struct targets *t, int fd, bool fresh, struct tdir **ret, struct bk_error *err)
{
    struct tdir *d = alloc(NULL, "", 0);
    if (!d)
        return bk_fail(err, BK_E_NOMEM, "open the target");
    d->fresh = fresh;
    d->made = fd >= 0;
    if (fd >= 0) {
        int r = learn(t, d, fd, err);
        if (r < 0) {
            destroy(d);
            return r;
        }
        handles_adopt_fd(&t->handles, &d->handle, fd); /* stays pinned: it cannot be opened again */
    }
    *ret = d;
    return 0;
}

int tdir_set_attrs(struct tdir *d, const struct attrs *m, struct bk_error *err)
{
    uint8_t *own = NULL;
    if (m->xattrs_len) {
        own = malloc(m->xattrs_len);
        if (!own)
            return bk_fail(err, BK_E_NOMEM, "make a directory");
        memcpy(own, m->xattrs, m->xattrs_len);
    }
    free(d->own);
    d->own = own;
    d->attrs = *m;
    d->attrs.xattrs = own;
    d->has_attrs = true;
    return 0;
}

int tdir_new(struct targets *t, struct tdir *parent, const void *name, size_t len, const struct attrs *m,
             struct tdir **ret, struct bk_error *err)
{
    (void)t;
    struct tdir *d = alloc(parent, name, len);
    if (!d)
        return bk_fail(err, BK_E_NOMEM, "make a directory");
    int r = m ? tdir_set_attrs(d, m, err) : 0;
    if (r < 0) {
        atomic_fetch_sub(&parent->refs, 1);
        destroy(d);
        return r;
    }
    *ret = d;
    return 0;
}

/* d's lock is held. */
static int make_in(struct targets *t, struct tdir *d, int dirfd, bool replace, uint64_t *n_removed,
                   struct bk_error *err)
{
    /* Private until it is finished: its own mode may forbid to write into it, and what is inside is not yet
     * protected. */
    for (int tries = 0; tries < 2; tries++) {
        if (t->open_only)
            ;
        else if (mkdirat(dirfd, d->name, 0700) == 0)
            d->fresh = true;
        else if (errno != EEXIST)
            return bk_fail_errno(err, errno, "make the directory '%s'", d->name);
        int fd = openat(dirfd, d->name, DIR_FLAGS);
        if (fd >= 0) {
            int r = learn(t, d, fd, err);
            if (r < 0) {
                close(fd);
                return r;
            }
            if (!d->fresh && replace)
                target_thaw(dirfd, d->name);
            d->made = true;
            handles_adopt_fd(&t->handles, &d->handle, fd);
            handles_unpin(&t->handles, &d->handle);
            return 0;
        }
        if (errno != ENOTDIR && errno != ELOOP)
            return bk_fail_errno(err, errno, "open the directory '%s'", d->name);
        if (!replace)
            return bk_fail(err, BK_E_EXISTS, "'%s' exists and is no directory", d->name);
        int r = target_remove(dirfd, d->name, n_removed, err);
        if (r < 0)
            return r;
    }
    return bk_fail(err, BK_E_EXISTS, "'%s' is being replaced by somebody else", d->name);
}

int tdir_make(struct targets *t, struct tdir *d, bool replace, uint64_t *n_removed, struct bk_error *err)
{
    if (d->made)
        return 0;
    int r = tdir_make(t, d->parent, replace, n_removed, err);
    int fd;
    if (r < 0 || (r = tdir_pin(t, d->parent, &fd, err)) < 0)
        return r;
    pthread_mutex_lock(&d->lock);
    r = make_in(t, d, fd, replace, n_removed, err);
    pthread_mutex_unlock(&d->lock);
    tdir_unpin(t, d->parent);
    return r;
}

/* Open a directory again; it has to be the one that was made. */
static int reopen(const struct tdir *d, int dirfd, struct bk_error *err)
{
    int fd = openat(dirfd, d->name, DIR_FLAGS);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open the directory '%s'", d->name);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != d->dev || st.st_ino != d->ino) {
        close(fd);
        return bk_fail(err, BK_E_IO, "the directory '%s' was replaced while it was restored", d->name);
    }
    return fd;
}

int tdir_pin(struct targets *t, struct tdir *d, int *ret_fd, struct bk_error *err)
{
    int fd = handles_pin(&t->handles, &d->handle);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (!d->parent || !d->made)
        return bk_fail(err, BK_E_IO, "the directory '%s' is not there", d->name);
    pthread_mutex_lock(&d->lock);
    int r = 0;
    fd = handles_pin(&t->handles, &d->handle);
    if (fd < 0) {
        int up;
        r = tdir_pin(t, d->parent, &up, err);
        if (r == 0) {
            r = fd = reopen(d, up, err);
            tdir_unpin(t, d->parent);
        }
        if (r >= 0)
            handles_adopt_fd(&t->handles, &d->handle, fd);
    }
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return r;
    *ret_fd = fd;
    return 0;
}

void tdir_unpin(struct targets *t, struct tdir *d)
{
    handles_unpin(&t->handles, &d->handle);
}

void tdir_ref(struct tdir *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
}

void tdir_unref(struct targets *t, struct tdir *d)
{
    while (d && atomic_fetch_sub(&d->refs, 1) == 1) {
        struct tdir *up = d->parent;
        if (d->made) {
            struct bk_error why = { 0 };
            int fd = -1;
            bool pinned = tdir_pin(t, d, &fd, &why) == 0;
            fd = handles_take(&t->handles, &d->handle, pinned);
            t->finish(t->ctx, d, fd, &why);
        }
        destroy(d);
        d = up;
    }
}

int tdir_path(const struct tdir *d, const void *name, size_t len, struct bk_buf *out, struct bk_error *err)
{
    size_t total = len;
    for (const struct tdir *p = d; p && p->name_len; p = p->parent)
        total += p->name_len + (total ? 1 : 0);
    uint8_t *to;
    int r = bk_buf_extend(out, total, &to, err);
    if (r < 0)
        return r;
    size_t at = total;
    if (len)
        memcpy(to + (at -= len), name, len);
    for (const struct tdir *p = d; p && p->name_len; p = p->parent) {
        if (at < total)
            to[--at] = '/';
        memcpy(to + (at -= p->name_len), p->name, p->name_len);
    }
    return 0;
}
