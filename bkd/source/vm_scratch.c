#include "bkd/source/vm_scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include "bkd/job/world.h"

#define PREFIX "bkctl-vm-"
enum { DIGITS = 8, NAME = sizeof PREFIX - 1 + DIGITS, OUTER_MAX = VM_SOCKET_MAX - 16 };

struct vm_scratch {
    char path[OUTER_MAX];
    int fd, lock; /* -1: none */
};

static const char *default_dir(const char *dir)
{
    const char *t = getenv("TMPDIR");
    return dir ? dir : t && t[0] == '/' ? t : "/var/tmp"; /* not /tmp: that is often memory */
}

static bool is_name(const char *s, size_t len)
{
    return len == NAME && !strncmp(s, PREFIX, strlen(PREFIX)) &&
           strspn(s + strlen(PREFIX), "0123456789abcdef") >= DIGITS;
}

static int open_dir(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Files of a folder, or what fn does with its folders; nothing is followed. */
static void each(int fd, void (*fn)(int fd, const char *name))
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        if (copy >= 0)
            close(copy);
        return;
    }
    rewinddir(d);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            fn(fd, e->d_name);
    closedir(d);
}

static void remove_file(int fd, const char *name)
{
    (void)unlinkat(fd, name, 0);
}

static void remove_inner(int fd, const char *name)
{
    bk_auto(close) int in = open_dir(fd, name);
    if (in >= 0) {
        each(in, remove_file);
        (void)unlinkat(fd, name, AT_REMOVEDIR);
    } else {
        (void)unlinkat(fd, name, 0);
    }
}

static void remove_outer(int fd, const char *path)
{
    each(fd, remove_inner);
    (void)rmdir(path);
}

/* Open and locked. *ret_swept: the sweep of another run, which saw no lock yet, has it or had it. */
static int claim(struct vm_scratch *s, bool *ret_swept, struct bk_error *err)
{
    struct stat st = { 0 };
    s->fd = open_dir(AT_FDCWD, s->path);
    s->lock = s->fd < 0 ? -1 : openat(s->fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0 && fstat(s->lock, &st) == 0 && st.st_nlink)
        return 0;
    int sys = s->lock >= 0 && st.st_mode ? ENOENT : errno;
    *ret_swept = sys == ENOENT || sys == EEXIST || sys == EWOULDBLOCK;
    return bk_fail_errno(err, sys, "lock %s", s->path);
}

static int try_new(const char *real, struct vm_scratch **ret, bool *ret_again, struct bk_error *err)
{
    uint8_t id[4];
    bk_auto(vm_scratch_free) struct vm_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "make a folder for scratch files");
    s->fd = s->lock = -1;
    int r = world_real.random(world_real.ctx, id, sizeof id, err);
    if (r < 0)
        return r;
    snprintf(s->path, sizeof s->path, "%s/" PREFIX "%02x%02x%02x%02x", real, id[0], id[1], id[2], id[3]);
    if (mkdir(s->path, 0700) < 0) {
        *ret_again = errno == EEXIST;
        return bk_fail_errno(err, errno, "make a folder in %s", real);
    }
    r = claim(s, ret_again, err);
    if (r == 0)
        *ret = bk_steal(s);
    else if (*ret_again)
        vm_scratch_leave(bk_steal(s));
    return r;
}

int vm_scratch_new(const char *dir, struct vm_scratch **ret, struct bk_error *err)
{
    enum { TRIES = 16 };
    bk_auto(free) char *real = realpath(default_dir(dir), NULL);
    if (!real)
        return bk_fail_errno(err, errno, "scratch folder %s", default_dir(dir));
    if (strlen(real) + 1 + NAME >= OUTER_MAX) {
        bk_fail(err, BK_E_LIMIT, "the name of the scratch folder %s is too long for a socket in it", real);
        return bk_hint(err, "name one of at most %d bytes", OUTER_MAX - NAME - 2);
    }
    bool again = true;
    int r = 0;
    for (int i = 0; i < TRIES && again; i++) {
        again = false;
        r = try_new(real, ret, &again, err);
    }
    return r;
}

int vm_scratch_domain(struct vm_scratch *s, unsigned i, bool has_owner, uint32_t uid, uint32_t gid,
                      char socket[static VM_SOCKET_MAX], struct bk_error *err)
{
    char name[16];
    snprintf(name, sizeof name, "%u", i);
    if (mkdirat(s->fd, name, 0700) < 0)
        return bk_fail_errno(err, errno, "make %s/%s", s->path, name);
    /* QEMU makes the socket and opens the scratch files itself. Others may pass through the outer folder,
     * whose name they would have to guess, and find this one closed. */
    bool other = has_owner && geteuid() == 0 && uid != 0;
    if (other && (fchownat(s->fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 || fchmod(s->fd, 0711) < 0))
        return bk_fail_errno(err, errno, "hand %s/%s to the user of QEMU", s->path, name);
    int n = snprintf(socket, VM_SOCKET_MAX, "%s/%s/sock", s->path, name);
    return n < VM_SOCKET_MAX ? 0 : bk_fail(err, BK_E_LIMIT, "the name of the scratch folder is too long");
}

int vm_scratch_file(const char *socket, const char *target, char **ret, struct bk_error *err)
{
    const char *slash = strrchr(socket, '/');
    char *s = NULL;
    if (asprintf(&s, "%.*s/%s", (int)(slash - socket), socket, target) < 0)
        return bk_fail_errno(err, ENOMEM, "name a scratch file");
    *ret = s;
    return 0;
}

uint64_t vm_scratch_free_bytes(const struct vm_scratch *s)
{
    struct statvfs v;
    return fstatvfs(s->fd, &v) < 0 ? UINT64_MAX : (uint64_t)v.f_bavail * v.f_frsize;
}

void vm_scratch_free(struct vm_scratch *s)
{
    if (s && s->fd >= 0)
        remove_outer(s->fd, s->path);
    vm_scratch_leave(s);
}

void vm_scratch_leave(struct vm_scratch *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}

/* The outer folder of a socket of ours, or an empty text. */
static void outer_of(const char *socket, char out[static OUTER_MAX])
{
    const char *end = strrchr(socket, '/');
    out[0] = '\0';
    if (!end || strcmp(end, "/sock") || end == socket)
        return;
    const char *inner = memrchr(socket, '/', (size_t)(end - socket));
    if (!inner || inner == socket || strspn(inner + 1, "0123456789") != (size_t)(end - inner - 1))
        return;
    const char *name = memrchr(socket, '/', (size_t)(inner - socket));
    if (name && is_name(name + 1, (size_t)(inner - name - 1)) && inner - socket < OUTER_MAX)
        snprintf(out, OUTER_MAX, "%.*s", (int)(inner - socket), socket);
}

/* Locked now, so that no second one takes it for dead at the same time; -1 when somebody else has it. */
static int take_dead(int fd, int flags)
{
    bk_auto(close) int lock = openat(fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return -1;
    return bk_steal_fd(&lock);
}

enum vm_scratch_owner vm_scratch_owner(const char *socket)
{
    char path[OUTER_MAX];
    outer_of(socket, path);
    if (!path[0])
        return VM_SCRATCH_FOREIGN;
    bk_auto(close) int fd = open_dir(AT_FDCWD, path);
    bk_auto(close) int lock = fd < 0 ? -1 : take_dead(fd, 0);
    /* Without its folder nothing is known of it: it may have /var/tmp to itself. */
    return lock < 0 ? VM_SCRATCH_ALIVE : VM_SCRATCH_DEAD;
}

void vm_scratch_clear_dead(const char *socket)
{
    char path[OUTER_MAX];
    outer_of(socket, path);
    bk_auto(close) int fd = path[0] ? open_dir(AT_FDCWD, path) : -1;
    bk_auto(close) int lock = fd < 0 ? -1 : take_dead(fd, 0);
    if (lock >= 0)
        remove_outer(fd, path);
}

static bool served(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    bk_auto(close) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t len = strlen(path);
    if (s < 0 || len >= sizeof a.sun_path)
        return true;
    memcpy(a.sun_path, path, len + 1);
    return connect(s, (struct sockaddr *)&a, sizeof a) == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

static void sweep_one(int dir, const char *real, const char *name)
{
    char path[OUTER_MAX], socket[VM_SOCKET_MAX];
    struct stat st;
    bk_auto(close) int fd = open_dir(dir, name);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return;
    bk_auto(close) int lock = take_dead(fd, O_CREAT); /* its run may have been killed before it made one */
    if (lock < 0 || strlen(real) + 1 + NAME >= OUTER_MAX)
        return;
    snprintf(path, sizeof path, "%s/%.*s", real, NAME, name);
    for (unsigned i = 0; i < 1024; i++) {
        char inner[16];
        snprintf(inner, sizeof inner, "%u", i);
        if (faccessat(fd, inner, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* domains that are shut off have none */
        if (snprintf(socket, sizeof socket, "%s/%u/sock", path, i) >= (int)sizeof socket || served(socket))
            return; /* a job still runs there; who backs its domain up next ends it */
    }
    remove_outer(fd, path);
}

void vm_scratch_sweep(const char *dir)
{
    bk_auto(free) char *real = realpath(default_dir(dir), NULL);
    DIR *d = real ? opendir(real) : NULL;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (is_name(e->d_name, strlen(e->d_name)))
            sweep_one(dirfd(d), real, e->d_name);
    closedir(d);
}
