#include "bkd/life/chunk_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CAP_MIN = 1024, BITS_MAX = 10, BUF = 256 * CHUNK_ID };
enum { TAKEN = 1, TWICE = 2, FLAGS = TAKEN | TWICE };

struct key {
    uint64_t a, b;
};

/* The bits that cut the set into parts are the same for all of a part, so the table goes by later ones. */
static struct key key_of(const chunk_id *id)
{
    struct key k;
    memcpy(&k.a, id->b + 8, sizeof k.a);
    memcpy(&k.b, id->b, sizeof k.b);
    /* the flags are the lowest bits of the last byte taken, which no part is cut by */
    k.b = __builtin_bswap64(k.b) & ~(uint64_t)FLAGS;
    if (!k.a && !k.b)
        k.a = 1; /* 0,0 marks a free place */
    return k;
}

static size_t place(const struct chunk_set *s, struct key k)
{
    size_t i = (size_t)k.a & (s->cap - 1);
    while ((s->v[i][0] || s->v[i][1]) && (s->v[i][0] != k.a || (s->v[i][1] & ~(uint64_t)FLAGS) != k.b))
        i = (i + 1) & (s->cap - 1);
    return i;
}

static bool is_free(const struct chunk_set *s, size_t i)
{
    return !s->v[i][0] && !s->v[i][1];
}

static int grow(struct chunk_set *s, struct bk_error *err)
{
    size_t cap = s->cap ? s->cap * 2 : CAP_MIN;
    struct chunk_set wider = { .cap = cap, .v = calloc(cap, sizeof *s->v) };
    if (!wider.v)
        return bk_fail_errno(err, ENOMEM, "keep a set of %zu chunks", s->n);
    for (size_t i = 0; i < s->cap; i++) {
        if (is_free(s, i))
            continue;
        size_t at = place(&wider, (struct key){ s->v[i][0], s->v[i][1] & ~(uint64_t)FLAGS });
        memcpy(wider.v[at], s->v[i], sizeof s->v[i]);
    }
    free(s->v);
    s->v = wider.v;
    s->cap = cap;
    return 0;
}

static int insert(struct chunk_set *s, const chunk_id *id, struct bk_error *err)
{
    if (s->n >= s->cap / 4 * 3) {
        int r = grow(s, err);
        if (r < 0)
            return r;
    }
    struct key k = key_of(id);
    size_t i = place(s, k);
    if (!is_free(s, i))
        return 0;
    s->v[i][0] = k.a;
    s->v[i][1] = k.b;
    s->n++;
    return 0;
}

/* While a table grows, the old and the new one are there: 16 bytes a place, two thirds of them free at worst.
 */
static uint64_t memory_for(uint64_t n)
{
    uint64_t cap = CAP_MIN;
    while (cap / 4 * 3 < n && cap < (uint64_t)1 << 58)
        cap *= 2;
    return cap * 16 * 3 / 2;
}

int chunk_set_init(struct chunk_set *s, size_t memory_bytes, uint64_t expected, struct bk_error *err)
{
    *s = (struct chunk_set){ .memory_bytes = memory_bytes };
    /* parts differ in size, though by little: hashes */
    while (memory_for((expected >> s->bits) + (expected >> s->bits) / 8) > memory_bytes && s->bits < BITS_MAX)
        s->bits++;
    if (memory_for(expected >> s->bits) > memory_bytes && expected > 100000) {
        bk_fail(err, BK_E_LIMIT, "%zu bytes of memory are too few to tell %llu chunks apart", memory_bytes,
                (unsigned long long)expected);
        return bk_hint(err, "give it more with --memory");
    }
    if (!s->bits)
        return 0;
    s->parts = calloc(chunk_set_parts(s), sizeof *s->parts);
    if (!s->parts)
        return bk_fail_errno(err, ENOMEM, "keep a set of chunks");
    for (unsigned i = 0; i < chunk_set_parts(s); i++)
        s->parts[i].fd = -1;
    return 0;
}

void chunk_set_clear(struct chunk_set *s)
{
    for (unsigned i = 0; s->parts && i < chunk_set_parts(s); i++) {
        free(s->parts[i].buf);
        if (s->parts[i].fd >= 0)
            close(s->parts[i].fd);
    }
    free(s->parts);
    free(s->v);
    *s = (struct chunk_set){ 0 };
}

static int open_nameless(void)
{
    const char *dirs[] = { getenv("TMPDIR"), "/var/tmp" };
    for (size_t i = 0; i < BK_COUNT(dirs); i++) {
        int fd = dirs[i] && dirs[i][0] ? open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
        if (fd >= 0)
            return fd;
    }
    return memfd_create("chunks", MFD_CLOEXEC);
}

static int spill(struct chunk_part *p, struct bk_error *err)
{
    if (p->fd < 0 && (p->fd = open_nameless()) < 0)
        return bk_fail_errno(err, errno, "open a temporary file");
    for (size_t at = 0; at < p->used;) {
        ssize_t n = write(p->fd, p->buf + at, p->used - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "write a temporary file");
        at += (size_t)n;
    }
    p->used = 0;
    return 0;
}

static int note(struct chunk_set *s, const chunk_id *id, struct bk_error *err)
{
    struct key k = key_of(id);
    uint64_t *seen = s->recent[k.a % BK_COUNT(s->recent)];
    if (seen[0] == k.a && seen[1] == k.b)
        return 0;
    seen[0] = k.a;
    seen[1] = k.b;
    struct chunk_part *p = &s->parts[(unsigned)(id->b[0] << 8 | id->b[1]) >> (16 - s->bits)];
    if (!p->buf && !(p->buf = malloc(BUF)))
        return bk_fail_errno(err, ENOMEM, "keep a set of chunks");
    memcpy(p->buf + p->used, id->b, CHUNK_ID);
    p->used += CHUNK_ID;
    p->n++;
    return p->used == BUF ? spill(p, err) : 0;
}

int chunk_set_add(struct chunk_set *s, const chunk_id *id, struct bk_error *err)
{
    return s->bits ? note(s, id, err) : insert(s, id, err);
}

static int read_back(struct chunk_set *s, struct chunk_part *p, struct bk_error *err)
{
    off_t at = 0;
    for (uint64_t left = p->n; left;) {
        size_t want = left < BUF / CHUNK_ID ? (size_t)left * CHUNK_ID : BUF;
        ssize_t n = pread(p->fd, p->buf, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < CHUNK_ID)
            return bk_fail_errno(err, n < 0 ? errno : EIO, "read a temporary file");
        size_t k = (size_t)n / CHUNK_ID;
        for (size_t i = 0; i < k; i++) {
            chunk_id id;
            memcpy(id.b, p->buf + i * CHUNK_ID, CHUNK_ID);
            int r = insert(s, &id, err);
            if (r < 0)
                return r;
        }
        left -= k;
        at += (off_t)(k * CHUNK_ID);
    }
    return 0;
}

int chunk_set_load(struct chunk_set *s, unsigned part, struct bk_error *err)
{
    s->n_taken = 0;
    if (!s->bits) {
        for (size_t i = 0; i < s->cap; i++)
            s->v[i][1] &= ~(uint64_t)TAKEN;
        return 0;
    }
    struct chunk_part *p = &s->parts[part];
    s->n = 0;
    if (s->cap)
        memset(s->v, 0, s->cap * sizeof *s->v);
    if (p->used) {
        int r = spill(p, err);
        if (r < 0)
            return r;
    }
    return p->n ? read_back(s, p, err) : 0;
}

enum chunk_taken chunk_set_take(struct chunk_set *s, const chunk_id *id)
{
    if (!s->n)
        return CHUNK_NOT_NEEDED;
    size_t i = place(s, key_of(id));
    if (is_free(s, i))
        return CHUNK_NOT_NEEDED;
    if (s->v[i][1] & TAKEN) {
        s->v[i][1] |= TWICE;
        return CHUNK_AGAIN;
    }
    s->v[i][1] |= TAKEN;
    s->n_taken++;
    return CHUNK_FIRST;
}

bool chunk_set_has(const struct chunk_set *s, const chunk_id *id)
{
    return s->n && !is_free(s, place(s, key_of(id)));
}

bool chunk_set_is_taken(const struct chunk_set *s, const chunk_id *id)
{
    if (!s->n)
        return false;
    size_t i = place(s, key_of(id));
    return !is_free(s, i) && (s->v[i][1] & TAKEN);
}

bool chunk_set_was_twice(const struct chunk_set *s, const chunk_id *id)
{
    if (s->bits)
        return true;
    if (!s->n)
        return false;
    size_t i = place(s, key_of(id));
    return !is_free(s, i) && (s->v[i][1] & TWICE);
}
