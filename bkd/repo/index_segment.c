#include "bkd/repo/index_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

/* One segment of SEGMENT_MAX entries has a resident part near 6 MiB; a length past this is damage, not data.
 */
#define RESIDENT_MAX ((uint64_t)64 << 20)
enum { BIG_PAGE = 2 << 20 };

static int read_at(struct index_segment *s, uint64_t offset, void *out, size_t len, struct bk_error *err)
{
    if (s->fd < 0)
        return store_get_exact(s->store, s->object, offset, out, len, err);
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = pread(s->fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read %s at %llu", s->object, (unsigned long long)offset);
        if (n == 0)
            return bk_fail(err, BK_E_CORRUPT, "%s is cut short: it ends before byte %llu", s->object,
                           (unsigned long long)offset + len);
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* The descriptor is kept: a look-up is one pread then. Read-ahead would only push out pages that are wanted.
 */
static int open_descriptor(struct index_segment *s, struct bk_error *err)
{
    if (!s->store->ops->fd)
        return 0;
    int fd = -1;
    int r = s->store->ops->fd(s->store, s->object, &fd, err);
    if (r == BK_E_UNSUPPORTED)
        return 0;
    if (r < 0)
        return r;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    s->fd = fd;
    return 0;
}

/* A filter is read at three random places a look-up: on small pages most of the wait is for the page tables.
 * A part that does not fill a big page stays on small ones, so that this takes no more memory. */
static uint8_t *resident_new(size_t len)
{
    if (len < BIG_PAGE)
        return malloc(len);
    uint8_t *p = aligned_alloc(BIG_PAGE, len);
    if (p)
        (void)madvise(p, len, MADV_HUGEPAGE); /* where there are none it runs without */
    return p;
}

static int load_resident(struct repo *r, struct index_segment *s, struct bk_error *err)
{
    uint8_t trailer[SEGMENT_TRAILER];
    uint64_t offset, len;
    if (s->bytes < sizeof trailer + SEGMENT_PAGE)
        return bk_fail(err, BK_E_CORRUPT, "%llu bytes are too few for an index segment",
                       (unsigned long long)s->bytes);
    int e = read_at(s, s->bytes - sizeof trailer, trailer, sizeof trailer, err);
    if (e < 0)
        return e;
    e = segment_trailer_decode(trailer, s->bytes, &offset, &len, err);
    if (e < 0)
        return e;
    if (len > RESIDENT_MAX || offset > s->bytes || len > s->bytes - offset)
        return bk_fail(err, BK_E_CORRUPT, "the resident part of %llu bytes is out of range",
                       (unsigned long long)len);
    bk_auto(free) uint8_t *piece = resident_new(SEGMENT_AROUND + (size_t)len);
    if (!piece)
        return bk_fail(err, BK_E_NOMEM, "no memory for %llu bytes", (unsigned long long)len);
    memcpy(piece + SEGMENT_PAGE + len, trailer, SEGMENT_AROUND - SEGMENT_PAGE);
    e = read_at(s, 0, piece, SEGMENT_PAGE, err);
    if (e == 0)
        e = read_at(s, offset, piece + SEGMENT_PAGE, (size_t)len, err);
    if (e == 0)
        e = segment_open_adopt(repo_keyring(r), piece, (size_t)len, trailer, &s->seg, err);
    if (e == 0)
        (void)bk_steal(piece);
    return e;
}

static int make(struct repo *r, const char *label, struct index_segment **ret, struct bk_error *err)
{
    struct index_segment *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail(err, BK_E_NOMEM, "no memory for an index segment");
    s->fd = -1;
    s->repo = r;
    s->store = repo_store(r);
    *ret = s;
    if ((size_t)snprintf(s->object, sizeof s->object, "%s", label) >= sizeof s->object)
        return bk_fail(err, BK_E_LIMIT, "the name %s is too long", label);
    return 0;
}

static bool name_of(const char *object, segment_name *ret)
{
    const char *hex = strrchr(object, '/');
    return hex && strlen(hex + 1) == sizeof ret->b * 2 && object_unhex(hex + 1, ret->b, sizeof ret->b) == 0;
}

static int finish(struct repo *r, struct index_segment *s, struct bk_error *err)
{
    int e = load_resident(r, s, err);
    if (e < 0)
        return e;
    size_t bits = s->seg.n_pages / 8 + 1;
    s->checked = calloc(bits, sizeof *s->checked);
    if (!s->checked)
        return bk_fail(err, BK_E_NOMEM, "no memory for an index segment");
    s->resident_bytes = sizeof *s + bits + s->seg.resident_len;
    return 0;
}

static int load_once(struct repo *r, const char *object, struct index_segment **ret, struct bk_error *err)
{
    bk_auto(index_segment_free) struct index_segment *s = NULL;
    int e = make(r, object, &s, err);
    if (e == 0 && !name_of(object, &s->name))
        e = bk_fail(err, BK_E_CORRUPT, "the name is not that of an index segment");
    if (e == 0)
        e = store_stat(s->store, object, &s->bytes, err);
    if (e == 0)
        e = open_descriptor(s, err);
    if (e == 0)
        e = finish(r, s, err);
    if (e < 0)
        return e;
    *ret = bk_steal(s);
    return 0;
}

int index_segment_load(struct repo *r, const char *object, struct index_segment **ret, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int e = load_once(r, object, ret, &why);
    if (e == BK_E_CORRUPT && repo_heal(r, object)) {
        why = (struct bk_error){ 0 };
        e = load_once(r, object, ret, &why);
    }
    if (e < 0 && err)
        *err = why;
    return e < 0 ? bk_context(err, "open index segment %s", object) : 0;
}

int index_segment_load_adopt_fd(struct repo *r, const char *label, int fd, uint64_t bytes,
                                struct index_segment **ret, struct bk_error *err)
{
    bk_auto(index_segment_free) struct index_segment *s = NULL;
    int e = make(r, label, &s, err);
    if (e < 0)
        return e;
    s->bytes = bytes;
    s->fd = fd;
    s->recovered = true;
    e = finish(r, s, err);
    if (e < 0) {
        s->fd = -1; /* the caller's still */
        return bk_context(err, "open index segment %s", label);
    }
    *ret = bk_steal(s);
    return 0;
}

void index_segment_free(struct index_segment *s)
{
    if (!s)
        return;
    segment_clear(&s->seg);
    if (s->fd >= 0)
        close(s->fd);
    free((void *)s->checked);
    free(s->shunned);
    free(s);
}

static int page_once(struct index_segment *s, uint32_t page, uint8_t out[static SEGMENT_PAGE],
                     struct bk_error *err)
{
    int r = read_at(s, (uint64_t)page * SEGMENT_PAGE, out, SEGMENT_PAGE, err);
    if (r < 0)
        return r;
    /* Checked once: the digest costs more than the read, and whoever can change the page later can as well
     * take away the packs. A page that turns bad in between names a chunk that the read path refuses. */
    unsigned char bit = (unsigned char)(1u << (page % 8));
    if (atomic_load_explicit(&s->checked[page / 8], memory_order_relaxed) & bit)
        return 0;
    r = segment_page_check(&s->seg, page, out, err);
    if (r == 0)
        atomic_fetch_or_explicit(&s->checked[page / 8], bit, memory_order_relaxed);
    return r;
}

int index_segment_page(struct index_segment *s, uint32_t page, uint8_t out[static SEGMENT_PAGE],
                       struct bk_error *err)
{
    if (page >= s->seg.n_pages)
        return bk_fail(err, BK_E_CORRUPT, "%s has no page %u", s->object, page);
    struct bk_error why = { 0 };
    int r = page_once(s, page, out, &why);
    if (r < 0 && s->fd < 0 && repo_heal(s->repo, s->object)) {
        why = (struct bk_error){ 0 };
        r = page_once(s, page, out, &why);
    }
    if (r == 0)
        return 0;
    atomic_store_explicit(&s->damaged, true, memory_order_relaxed);
    if (err)
        *err = why;
    return bk_context(err, "page %u of %s", page, s->object);
}
