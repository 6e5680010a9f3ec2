#include "bkd/copy/pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_SLOTS = 4096 };

struct slot { /* from of all zeroes: free */
    chunk_id from, to;
};

struct pairs {
    pthread_mutex_t lock; /* guards all below */
    struct slot *v;       /* mapped */
    size_t n, cap;        /* cap: a power of two */
    size_t budget;        /* bytes */
    bool on_disk;
};

/* A mapping of zeroes over a file that goes with it. Its blocks are taken at once: without room for them a
 * later store into the mapping would be a signal. */
static int map_file(size_t bytes, void **ret, struct bk_error *err)
{
    const char *tmp = getenv("TMPDIR");
    const char *folder = tmp && *tmp ? tmp : "/var/tmp";
    bk_auto(close) int fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    int why = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)bytes);
    if (why == 0) {
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            *ret = p;
            return 0;
        }
        why = errno;
    }
    bk_fail_errno(err, why, "keep %zu MiB of ids in a temporary file in %s", bytes >> 20, folder);
    return bk_hint(err, "set TMPDIR to a folder with room, or allow more with --memory");
}

static int map(struct pairs *p, size_t slots, void **ret, bool *ret_on_disk, struct bk_error *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(slots, sizeof(struct slot), &bytes))
        return bk_fail(err, BK_E_LIMIT, "too many chunks");
    *ret_on_disk = bytes > p->budget;
    if (*ret_on_disk)
        return map_file(bytes, ret, err);
    void *v = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v == MAP_FAILED)
        return bk_fail_errno(err, errno, "keep %zu MiB of ids", bytes >> 20);
    *ret = v;
    return 0;
}

static bool is_free(const struct slot *s)
{
    static const chunk_id none;
    return chunk_id_cmp(&s->from, &none) == 0;
}

/* Ids are keyed hashes: their bytes are as good as any hash of them. */
static struct slot *place(struct slot *v, size_t cap, const chunk_id *from)
{
    size_t i;
    memcpy(&i, from->b, sizeof i);
    for (i &= cap - 1; !is_free(&v[i]) && chunk_id_cmp(&v[i].from, from) != 0; i = (i + 1) & (cap - 1))
        ;
    return &v[i];
}

int pairs_new(size_t memory_bytes, struct pairs **ret, struct bk_error *err)
{
    bk_auto(pairs_free) struct pairs *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for a table of ids");
    pthread_mutex_init(&p->lock, NULL);
    p->budget = memory_bytes;
    void *v = NULL;
    int r = map(p, FIRST_SLOTS, &v, &p->on_disk, err);
    if (r < 0)
        return r;
    p->v = v;
    p->cap = FIRST_SLOTS;
    *ret = bk_steal(p);
    return 0;
}

/* While it moves, old and new are there at once: with two thirds of the budget for the new one both fit. */
static int grow(struct pairs *p, struct bk_error *err)
{
    void *bigger = NULL;
    bool on_disk = false;
    size_t budget = p->budget;
    p->budget = budget / 3 * 2;
    int r = map(p, p->cap * 2, &bigger, &on_disk, err);
    p->budget = budget;
    if (r < 0)
        return r;
    for (size_t i = 0; i < p->cap; i++)
        if (!is_free(&p->v[i]))
            *place(bigger, p->cap * 2, &p->v[i].from) = p->v[i];
    munmap(p->v, p->cap * sizeof *p->v);
    p->v = bigger;
    p->cap *= 2;
    p->on_disk = on_disk;
    return 0;
}

int pairs_add(struct pairs *p, const chunk_id *from, const chunk_id *to, struct bk_error *err)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    if (p->n >= p->cap / 4 * 3)
        r = grow(p, err);
    if (r == 0) {
        struct slot *s = place(p->v, p->cap, from);
        if (is_free(s)) {
            *s = (struct slot){ *from, *to };
            p->n++;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

bool pairs_find(struct pairs *p, const chunk_id *from, chunk_id *ret)
{
    pthread_mutex_lock(&p->lock);
    const struct slot *s = place(p->v, p->cap, from);
    bool found = !is_free(s);
    if (found && ret)
        *ret = s->to;
    pthread_mutex_unlock(&p->lock);
    return found;
}

size_t pairs_count(struct pairs *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

size_t pairs_on_disk(struct pairs *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->on_disk ? p->cap * sizeof *p->v : 0;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pairs_free(struct pairs *p)
{
    if (!p)
        return;
    if (p->v)
        munmap(p->v, p->cap * sizeof *p->v);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
