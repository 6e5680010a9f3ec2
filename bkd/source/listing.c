#include "bkd/source/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>

enum { DENTS_BYTES = 64 << 10 };

void listing_clear(struct listing *l)
{
    bk_buf_clear(&l->bytes);
    free(l->v);
    *l = (struct listing){ 0 };
}

static uint64_t key_of(const char *name, size_t len)
{
    uint8_t b[8] = { 0 };
    memcpy(b, name, len < 8 ? len : 8);
    uint64_t key;
    memcpy(&key, b, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    key = __builtin_bswap64(key);
#endif
    return key;
}

static int grow(struct listing *l, struct bk_error *err)
{
    size_t cap = l->cap ? l->cap * 2 : 64;
    struct listing_item *v = reallocarray(l->v, cap, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list a directory of %zu names", l->n);
    l->v = v;
    l->cap = cap;
    return 0;
}

int listing_add(struct listing *l, const char *name, size_t len, uint8_t d_type, struct bk_error *err)
{
    if (len < 1 || len > 255)
        return bk_fail(err, BK_E_LIMIT, "a name of %zu bytes in a directory", len);
    l->bytes.limit = UINT32_MAX;
    if (l->n == l->cap) {
        int r = grow(l, err);
        if (r < 0)
            return r;
    }
    uint8_t *p;
    size_t off = l->bytes.len;
    int r = bk_buf_extend(&l->bytes, len + 1, &p, err);
    if (r < 0)
        return r;
    memcpy(p, name, len);
    p[len] = '\0';
    l->v[l->n++] = (struct listing_item){
        .key = key_of(name, len), .off = (uint32_t)off, .len = (uint8_t)len, .d_type = d_type
    };
    return 0;
}

static int by_name(const void *pa, const void *pb, void *bytes)
{
    const struct listing_item *a = pa, *b = pb;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    /* Equal keys mean that both are longer than 8 bytes or that both ended alike: the NUL decides the rest.
     */
    const char *base = bytes;
    return strcmp(base + a->off, base + b->off);
}

void listing_sort(struct listing *l)
{
    if (l->n < 2)
        return;
    qsort_r(l->v, l->n, sizeof *l->v, by_name, l->bytes.data);
    size_t kept = 1;
    for (size_t i = 1; i < l->n; i++)
        if (by_name(&l->v[kept - 1], &l->v[i], l->bytes.data) != 0)
            l->v[kept++] = l->v[i];
    l->n = kept;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int add_dents(struct listing *l, const uint8_t *buf, size_t len, struct bk_error *err)
{
    for (size_t i = 0; i < len;) {
        const struct dirent64 *d = (const void *)(buf + i);
        i += d->d_reclen;
        if (is_dots(d->d_name))
            continue;
        int r = listing_add(l, d->d_name, strlen(d->d_name), d->d_type, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int listing_read(int fd, struct listing *ret, struct bk_error *err)
{
    _Alignas(struct dirent64) uint8_t buf[DENTS_BYTES];
    int r = 0;
    for (;;) {
        ssize_t n = getdents64(fd, buf, sizeof buf);
        if (n < 0)
            r = bk_fail_errno(err, errno, "read a directory");
        if (n <= 0)
            break;
        r = add_dents(ret, buf, (size_t)n, err);
        if (r < 0)
            break;
    }
    listing_sort(ret);
    return r;
}

size_t listing_find(const struct listing *l, const char *name)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(listing_name(l, mid), name);
        if (!c)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return SIZE_MAX;
}
