#include "bkd/store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/store/dir_write.h"

struct dir {
    struct store store;
    struct dir_io io;
    const struct world *world;
    int fd; /* the repository's directory */
    struct dir_writer writer;
};

static int dir_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct dir *d = (struct dir *)s;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    return dir_writer_put(&d->writer, name, data, len, err);
}

static int open_object(struct dir *d, const char *name, int *ret_fd, struct bk_error *err)
{
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_ABSENT, "'%s' is no object name", name);
    int fd = d->io.open(d->io.ctx, d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT)
        return bk_fail(err, BK_E_ABSENT, "object %s does not exist in %s", name, d->store.url);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open object %s in %s", name, d->store.url);
    *ret_fd = fd;
    return 0;
}

static int dir_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret_len,
                   struct bk_error *err)
{
    struct dir *d = (struct dir *)s;
    int fd = -1;
    int r = open_object(d, name, &fd, err);
    if (r < 0)
        return r;
    size_t done = 0;
    while (done < len) {
        ssize_t n = d->io.pread(d->io.ctx, fd, (uint8_t *)out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = bk_fail_errno(err, errno, "read object %s in %s", name, d->store.url);
            break;
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    d->io.close(d->io.ctx, fd);
    if (r == 0)
        *ret_len = done;
    return r;
}

static int dir_fd(struct store *s, const char *name, int *ret_fd, struct bk_error *err)
{
    return open_object((struct dir *)s, name, ret_fd, err);
}

static int dir_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct dir *d = (struct dir *)s;
    struct stat st;
    if (!store_name_valid(name) || (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
        return bk_fail(err, BK_E_ABSENT, "object %s does not exist in %s", name, d->store.url);
    if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return bk_fail_errno(err, errno, "stat object %s in %s", name, d->store.url);
    if (!S_ISREG(st.st_mode))
        return bk_fail(err, BK_E_CORRUPT, "object %s in %s is not a regular file", name, d->store.url);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int dir_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct dir *d = (struct dir *)s;
    if (!store_name_valid(name))
        return bk_fail(err, BK_E_USAGE, "'%s' is no object name", name);
    return dir_writer_remove(&d->writer, name, err);
}

/* Below the directory `path` (relative, "" for the top): every regular file with a valid name. */
static int list_below(struct dir *d, const char *path, const char *prefix, store_list_fn *fn, void *ctx,
                      struct bk_error *err)
{
    int fd = openat(d->fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0)
        return bk_fail_errno(err, errno, "open directory %s of %s", path, d->store.url);
    DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return bk_fail(err, BK_E_NOMEM, "no memory to list %s of %s", path, d->store.url);
    }
    int r = 0;
    size_t prefix_len = strlen(prefix);
    while (r == 0) {
        errno = 0;
        struct dirent *e = readdir(stream);
        if (!e) {
            if (errno)
                r = bk_fail_errno(err, errno, "list directory %s of %s", path, d->store.url);
            break;
        }
        char name[STORE_NAME_MAX + 1];
        int n = snprintf(name, sizeof name, "%s%s%s", path, path[0] ? "/" : "", e->d_name);
        if (n < 0 || (size_t)n >= sizeof name || !store_name_valid(name) || strcmp(name, "tmp") == 0)
            continue;
        size_t common = (size_t)n < prefix_len ? (size_t)n : prefix_len;
        if (strncmp(name, prefix, common) != 0)
            continue;
        struct stat st;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT)
                r = bk_fail_errno(err, errno, "stat object %s in %s", name, d->store.url);
            continue;
        }
        if (S_ISDIR(st.st_mode) && ((size_t)n >= prefix_len || prefix[n] == '/'))
            r = list_below(d, name, prefix, fn, ctx, err);
        else if (S_ISREG(st.st_mode) && (size_t)n >= prefix_len)
            r = fn(ctx, name, (uint64_t)st.st_size, err);
    }
    closedir(stream);
    return r;
}

/* Start at the deepest directory that the prefix names, so that listing one kind reads one directory. */
static int dir_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct dir *d = (struct dir *)s;
    char start[STORE_NAME_MAX + 1] = "";
    const char *slash = strrchr(prefix, '/');
    if (slash && (size_t)(slash - prefix) < sizeof start)
        memcpy(start, prefix, (size_t)(slash - prefix));
    return list_below(d, start, prefix, fn, ctx, err);
}

static void dir_free(struct store *s)
{
    struct dir *d = (struct dir *)s;
    dir_writer_clear(&d->writer);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

static const struct store_ops dir_ops = {
    .put = dir_put,
    .get = dir_get,
    .stat = dir_stat,
    .list = dir_list,
    .remove = dir_remove,
    .fd = dir_fd,
    .free = dir_free,
};

/* May it lie in the place for a new repository? What an init that failed or was killed before its commit (the
 * config) leaves may, so that it can simply be run again. */
static bool may_be_there(const char *name)
{
    static const char *const names[] = { ".", "..", "lost+found", "tmp", "keys", "keyring", "probe" };
    for (size_t i = 0; i < BK_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The name of a new place survives power loss before anything in it counts. */
static int sync_above(const char *path, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bk_auto(close) int above = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* a directory that may be written to but not listed cannot be synced */
    if (above < 0 && errno == EACCES)
        return 0;
    if (above < 0 || fsync(above) < 0)
        return bk_fail_errno(err, errno, "sync the directory above %s", path);
    return 0;
}

/* A place for a new repository: made when absent, else an empty directory. */
static int make_place(const char *path, struct bk_error *err)
{
    if (mkdir(path, 0700) == 0)
        return sync_above(path, err);
    if (errno != EEXIST)
        return bk_fail_errno(err, errno, "make directory %s", path);
    DIR *stream = opendir(path);
    if (!stream)
        return bk_fail_errno(err, errno, "open directory %s", path);
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(stream));)
        empty = may_be_there(e->d_name);
    closedir(stream);
    if (!empty) {
        bk_fail(err, BK_E_EXISTS, "directory %s is not empty", path);
        return bk_hint(err,
                       "a new repository needs a directory of its own; use an existing one without init");
    }
    return 0;
}

int store_dir_open(const char *path, bool create, const struct dir_io *io, const struct world *w,
                   struct store **ret, struct bk_error *err)
{
    int r = create ? make_place(path, err) : 0;
    if (r < 0)
        return r;
    bk_auto(free) struct dir *d = calloc(1, sizeof *d);
    if (!d)
        return bk_fail(err, BK_E_NOMEM, "no memory for a directory store");
    d->store = (struct store){ .ops = &dir_ops,
                               .can = STORE_CAN_LIST | STORE_CAN_REMOVE | STORE_CAN_PUT_IF_ABSENT,
                               .max_object_bytes = (uint64_t)1 << 40,
                               .parallel = 1 };
    snprintf(d->store.url, sizeof d->store.url, "%s", path);
    d->io = io ? *io : dir_io_real;
    d->world = w;
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        bk_fail(err, BK_E_ABSENT, "there is no repository at %s", path);
        return bk_hint(err, "check the path, or make one with: bkctl init -r %s", path);
    }
    if (d->fd < 0)
        return bk_fail_errno(err, errno, "open repository directory %s", path);
    dir_writer_init(&d->writer, &d->io, d->fd, d->store.url, w);
    *ret = &bk_steal(d)->store;
    return 0;
}
