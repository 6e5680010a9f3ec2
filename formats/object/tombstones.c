#include "formats/object/tombstones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/base/wire.h"

enum { LINE = 2 + PACK_NAME };

void tombstones_clear(struct tombstones *t)
{
    free(t->v);
    *t = (struct tombstones){ 0 };
}

int tombstone_cmp(const struct tombstone *a, const struct tombstone *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return memcmp(a->name.b, b->name.b, PACK_NAME);
}

size_t tombstones_find(const struct tombstones *t, enum chunk_kind kind, const pack_name *name)
{
    struct tombstone key = { .kind = kind, .name = *name };
    size_t lo = 0, hi = t->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = tombstone_cmp(&t->v[mid], &key);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return SIZE_MAX;
}

static int put_line(const struct tombstones *t, size_t i, struct bk_buf *out, struct bk_error *err)
{
    const struct tombstone *x = &t->v[i];
    if ((unsigned)x->kind >= CHUNK_KINDS)
        return bk_fail(err, BK_E_USAGE, "a pack has no kind %d", (int)x->kind);
    if ((unsigned)x->why > TOMBSTONE_MOVED)
        return bk_fail(err, BK_E_USAGE, "a tombstone has no reason %d", (int)x->why);
    if (i && tombstone_cmp(x - 1, x) >= 0)
        return bk_fail(err, BK_E_USAGE, "tombstones are not in order");
    int r = bk_buf_u8(out, (uint8_t)x->kind, err);
    if (r == 0)
        r = bk_buf_u8(out, (uint8_t)x->why, err);
    return r < 0 ? r : bk_buf_append(out, x->name.b, PACK_NAME, err);
}

int tombstones_encode(const struct tombstones *t, struct bk_buf *out, struct bk_error *err)
{
    if (t->count > TOMBSTONES_MAX)
        return bk_fail(err, BK_E_LIMIT, "%zu packs are too many for one list of tombstones", t->count);
    size_t before = out->len;
    int r = bk_buf_u64(out, t->n, err);
    if (r == 0)
        r = bk_buf_u32(out, (uint32_t)t->count, err);
    for (size_t i = 0; i < t->count && r == 0; i++)
        r = put_line(t, i, out, err);
    if (r < 0)
        out->len = before;
    return r;
}

int tombstones_decode(const void *data, size_t len, struct tombstones *ret, struct bk_error *err)
{
    bk_auto(tombstones_clear) struct tombstones t = { 0 };
    struct bk_reader in = bk_reader_of(data, len);
    t.n = bk_read_u64(&in);
    uint32_t count = bk_read_u32(&in);
    if (in.bad || count > TOMBSTONES_MAX || (uint64_t)count * LINE != bk_reader_left(&in))
        return bk_fail(err, BK_E_CORRUPT, "a list of tombstones is malformed");
    t.v = calloc(count ? count : 1, sizeof *t.v);
    if (!t.v)
        return bk_fail_errno(err, ENOMEM, "a list of %u tombstones", count);
    for (; t.count < count; t.count++) {
        struct tombstone *x = &t.v[t.count];
        unsigned kind = bk_read_u8(&in), why = bk_read_u8(&in);
        memcpy(x->name.b, bk_read_raw(&in, PACK_NAME), PACK_NAME);
        x->kind = kind;
        x->why = why;
        if (kind >= CHUNK_KINDS || why > TOMBSTONE_MOVED || (t.count && tombstone_cmp(x - 1, x) >= 0))
            return bk_fail(err, BK_E_CORRUPT, "a list of tombstones is malformed");
    }
    *ret = t;
    t = (struct tombstones){ 0 };
    return 0;
}

void generation_clear(struct generation *g)
{
    free(g->doomed);
    *g = (struct generation){ 0 };
}

static size_t bitmap_bytes(uint32_t count)
{
    return ((size_t)count + 7) / 8;
}

/* What must be zero: the digest of no list, and the bits past the last line. */
static bool tidy(const struct generation *g)
{
    static const uint8_t zero[SUITE_HASH];
    if (!g->count)
        return memcmp(g->digest, zero, sizeof zero) == 0;
    return g->count % 8 == 0 || g->doomed[g->count / 8] >> (g->count % 8) == 0;
}

int generation_encode(const struct generation *g, struct bk_buf *out, struct bk_error *err)
{
    if (g->count > TOMBSTONES_MAX)
        return bk_fail(err, BK_E_LIMIT, "%u packs are too many for one list of tombstones", g->count);
    if (!tidy(g))
        return bk_fail(err, BK_E_USAGE, "a decision has bits that stand for no pack");
    size_t before = out->len;
    int r = bk_buf_u64(out, g->n, err);
    if (r == 0)
        r = bk_buf_u32(out, g->count, err);
    if (r == 0)
        r = bk_buf_append(out, g->digest, sizeof g->digest, err);
    if (r == 0 && g->count)
        r = bk_buf_append(out, g->doomed, bitmap_bytes(g->count), err);
    if (r < 0)
        out->len = before;
    return r;
}

int generation_decode(const void *data, size_t len, struct generation *ret, struct bk_error *err)
{
    bk_auto(generation_clear) struct generation g = { 0 };
    struct bk_reader in = bk_reader_of(data, len);
    g.n = bk_read_u64(&in);
    g.count = bk_read_u32(&in);
    const uint8_t *digest = bk_read_raw(&in, SUITE_HASH);
    if (in.bad || g.count > TOMBSTONES_MAX || bitmap_bytes(g.count) != bk_reader_left(&in))
        return bk_fail(err, BK_E_CORRUPT, "the decision of a collection is malformed");
    memcpy(g.digest, digest, SUITE_HASH);
    size_t n = bitmap_bytes(g.count);
    g.doomed = calloc(n ? n : 1, 1);
    if (!g.doomed)
        return bk_fail_errno(err, ENOMEM, "the decision about %u packs", g.count);
    if (n)
        memcpy(g.doomed, bk_read_raw(&in, n), n);
    if (!tidy(&g))
        return bk_fail(err, BK_E_CORRUPT, "the decision of a collection is malformed");
    *ret = g;
    g = (struct generation){ 0 };
    return 0;
}
