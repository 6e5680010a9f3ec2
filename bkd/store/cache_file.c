#include "bkd/store/cache_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { BLOCK = 256 << 10, HASH_HEX = 64, LEFTOVER_S = 86400 };
static const uint8_t mark[8] = { 'B', 'K', 'C', 'A', 'C', 'H', 'E', '1' };

BK_AUTO(EVP_MD_CTX *, EVP_MD_CTX_free)

void cache_file_name(const char *name, char out[static CACHE_FILE_NAME])
{
    size_t i = 0;
    for (; name[i] && i + 1 < CACHE_FILE_NAME; i++)
        out[i] = name[i] == '/' ? '+' : name[i];
    out[i] = '\0';
}

static bool read_all(int fd, void *out, size_t len, uint64_t offset)
{
    for (uint8_t *p = out; len > 0;) {
        ssize_t n = pread(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *data, size_t len)
{
    for (const uint8_t *p = data; len > 0;) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Does the digest at the end fit the bytes before it? */
static bool sound(int fd, uint64_t size, const uint8_t want[static CACHE_DIGEST])
{
    bk_auto(free) uint8_t *block = malloc(BLOCK);
    bk_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
    uint8_t have[EVP_MAX_MD_SIZE];
    bool ok = block && c && EVP_DigestInit_ex(c, EVP_sha256(), NULL);
    for (uint64_t at = 0; ok && at < size;) {
        size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        ok = read_all(fd, block, n, at) && EVP_DigestUpdate(c, block, n);
        at += n;
    }
    return ok && EVP_DigestFinal_ex(c, have, NULL) && memcmp(have, want, CACHE_DIGEST) == 0;
}

bool cache_file_size(int dir, const char *name, uint64_t *ret)
{
    char file[CACHE_FILE_NAME];
    struct stat st;
    cache_file_name(name, file);
    if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    *ret = st.st_size > CACHE_TRAILER ? (uint64_t)st.st_size - CACHE_TRAILER : 0;
    return true;
}

int cache_file_open(int dir, const char *name, bool check, uint64_t *ret_size)
{
    char file[CACHE_FILE_NAME];
    uint8_t trailer[CACHE_TRAILER];
    struct stat st;
    cache_file_name(name, file);
    bk_auto(close) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= CACHE_TRAILER;
    uint64_t size = ok ? (uint64_t)st.st_size - CACHE_TRAILER : 0;
    ok = ok && read_all(fd, trailer, sizeof trailer, size) &&
         memcmp(trailer + CACHE_DIGEST, mark, sizeof mark) == 0 && (!check || sound(fd, size, trailer));
    if (!ok) {
        unlinkat(dir, file, 0);
        return -1;
    }
    /* "used now", for the one who makes room; best effort */
    if (check)
        futimens(fd, NULL);
    *ret_size = size;
    return bk_steal_fd(&fd);
}

uint64_t cache_file_keep(int dir, const char *name, const void *data, size_t len)
{
    static atomic_uint counter;
    char file[CACHE_FILE_NAME], temp[64];
    uint8_t trailer[CACHE_TRAILER];
    cache_file_name(name, file);
    snprintf(temp, sizeof temp, "tmp.%ld.%u", (long)getpid(), atomic_fetch_add(&counter, 1));
    if (!EVP_Digest(len ? data : "", len, trailer, NULL, EVP_sha256(), NULL))
        return 0;
    memcpy(trailer + CACHE_DIGEST, mark, sizeof mark);
    bk_auto(close) int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return 0;
    /* no fsync: after a power cut the digest tells a copy that is not whole */
    if (write_all(fd, data, len) && write_all(fd, trailer, sizeof trailer) &&
        renameat(dir, temp, dir, file) == 0)
        return len + sizeof trailer;
    unlinkat(dir, temp, 0);
    return 0;
}

static bool hash_is(const EVP_MD *md, const char *hex, const void *data, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!md || !EVP_Digest(len ? data : "", len, digest, &n, md, NULL) || 2 * n != HASH_HEX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (hex[2 * i] != "0123456789abcdef"[digest[i] >> 4] ||
            hex[2 * i + 1] != "0123456789abcdef"[digest[i] & 15])
            return false;
    return true;
}

bool cache_file_fits(const char *name, const void *data, size_t len)
{
    const char *last = strrchr(name, '/');
    last = last ? last + 1 : name;
    if (strlen(last) != HASH_HEX)
        return true;
    return hash_is(EVP_sha256(), last, data, len) || hash_is(EVP_sm3(), last, data, len);
}

struct copy {
    char file[CACHE_FILE_NAME];
    uint64_t bytes;
    struct timespec used;
};

static int oldest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const struct copy *)a)->used, *y = &((const struct copy *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Every file of the folder; *ret owned, n of them. */
static size_t scan(int dir, struct copy **ret)
{
    size_t n = 0, cap = 0;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    *ret = NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    time_t now = time(NULL);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strlen(e->d_name) >= CACHE_FILE_NAME || fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (strncmp(e->d_name, "tmp.", 4) == 0) {
            if (now - st.st_mtime > LEFTOVER_S)
                unlinkat(dir, e->d_name, 0);
            continue;
        }
        if (n == cap) {
            cap = cap ? 2 * cap : 256;
            struct copy *more = realloc(*ret, cap * sizeof *more);
            if (!more)
                break;
            *ret = more;
        }
        strcpy((*ret)[n].file, e->d_name);
        (*ret)[n].bytes = (uint64_t)st.st_size;
        (*ret)[n++].used = st.st_mtim;
    }
    closedir(d);
    return n;
}

uint64_t cache_file_trim(int dir, uint64_t bytes)
{
    bk_auto(free) struct copy *v = NULL;
    struct copy *found;
    size_t n = scan(dir, &found);
    v = found;
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += v[i].bytes;
    if (total <= bytes)
        return total;
    qsort(v, n, sizeof *v, oldest_first);
    /* some room to spare, so that not every new copy costs a scan */
    for (size_t i = 0; i < n && total > bytes - bytes / 8; i++)
        if (unlinkat(dir, v[i].file, 0) == 0)
            total -= v[i].bytes;
    return total;
}
