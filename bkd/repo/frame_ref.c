#include "bkd/repo/frame_ref.h"

#include "formats/base/wire.h"

enum { NAMED_AT_ONCE = 32 };

static int fill_starts(struct frame_ref *f, struct bk_error *err)
{
    struct frame_table t;
    int r = frame_table_decode(f->plain.data, f->plain.len, &t, err);
    if (r < 0)
        return r;
    f->n_chunks = t.n_chunks;
    f->starts = calloc((size_t)t.n_chunks + 1, sizeof *f->starts);
    f->ids = calloc((size_t)t.n_chunks + 1, sizeof *f->ids);
    f->named = calloc((size_t)t.n_chunks / 8 + 1, 1);
    if (!f->starts || !f->ids || !f->named)
        return bk_fail(err, BK_E_NOMEM, "no memory for a frame of %u chunks", t.n_chunks);
    for (uint32_t i = 0; i < t.n_chunks; i++)
        f->starts[i + 1] = f->starts[i] + bk_get_u32(t.lengths + 4 * (size_t)i);
    f->memory_bytes = sizeof *f + f->plain.cap + (size_t)t.n_chunks * (sizeof *f->starts + sizeof *f->ids);
    return 0;
}

int frame_ref_adopt_plain(const struct chunk_namer *n, const struct chunk_loc *loc, struct bk_buf *plain,
                          struct frame_ref **ret, struct bk_error *err)
{
    struct frame_ref *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail(err, BK_E_NOMEM, "no memory for a frame");
    atomic_init(&f->refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    f->namer = n;
    f->pack = loc->pack;
    f->kind = loc->kind;
    f->offset = loc->offset;
    f->plain = *plain;
    *plain = BK_BUF(plain->limit);
    int r = fill_starts(f, err);
    if (r < 0) {
        frame_ref_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

struct frame_ref *frame_ref_share(struct frame_ref *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void frame_ref_free(struct frame_ref *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    bk_buf_clear(&f->plain);
    free(f->starts);
    free(f->ids);
    free(f->named);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* "chunk 3f2a... in the frame at 12345 of data/3f/..." */
static int refuse(const struct frame_ref *f, const chunk_id *id, struct bk_error *err, const char *why)
{
    char hex[2 * CHUNK_ID + 1], path[REPO_PATH];
    object_hex(id->b, CHUNK_ID, hex);
    repo_pack_path(f->kind, &f->pack, path);
    bk_fail(err, BK_E_CORRUPT, "%s", bk_text(why));
    return bk_context(err, "chunk %s in the frame at %u of %s", hex, f->offset, path);
}

static struct suite_piece bytes_of(const struct frame_ref *f, uint32_t slot)
{
    return (struct suite_piece){ f->plain.data + f->starts[slot], f->starts[slot + 1] - f->starts[slot] };
}

static bool is_named(const struct frame_ref *f, uint32_t slot)
{
    return f->named[slot / 8] & 1u << (slot % 8);
}

/* How many slots from this one on are named at once: up to the first that has a name or cannot be a chunk. */
static uint32_t unnamed_run(const struct frame_ref *f, uint32_t slot)
{
    uint32_t n = 1;
    while (n < NAMED_AT_ONCE && slot + n < f->n_chunks && !is_named(f, slot + n) &&
           bytes_of(f, slot + n).len <= CHUNK_MAX)
        n++;
    return n;
}

/* The name of a slot's bytes, computed by who asks first; of two at once both compute, outside the lock. The
 * slots that follow are named along: many at once cost half of what each alone does, and who reads a frame
 * mostly wants all of it. */
static int name_of(struct frame_ref *f, uint16_t slot, chunk_id *ret, struct bk_error *err)
{
    pthread_mutex_lock(&f->lock);
    bool named = is_named(f, slot);
    uint32_t n = named ? 0 : unnamed_run(f, slot);
    if (named)
        *ret = f->ids[slot];
    pthread_mutex_unlock(&f->lock);
    if (named)
        return 0;
    struct suite_piece pieces[NAMED_AT_ONCE];
    chunk_id ids[NAMED_AT_ONCE];
    for (uint32_t i = 0; i < n; i++)
        pieces[i] = bytes_of(f, slot + i);
    int r = chunk_name_many(f->namer, f->kind, pieces, n, ids, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&f->lock);
    for (uint32_t i = 0; i < n; i++) {
        f->ids[slot + i] = ids[i];
        f->named[(slot + i) / 8] |= (uint8_t)(1u << ((slot + i) % 8));
    }
    pthread_mutex_unlock(&f->lock);
    *ret = ids[0];
    return 0;
}

int frame_ref_chunk(struct frame_ref *f, uint16_t slot, const chunk_id *id, const uint8_t **ret,
                    size_t *ret_len, struct bk_error *err)
{
    chunk_id name;
    if (slot >= f->n_chunks)
        return refuse(f, id, err, N_("the frame has fewer chunks"));
    int r = name_of(f, slot, &name, err);
    if (r < 0)
        return r;
    if (chunk_id_cmp(&name, id) != 0)
        return refuse(f, id, err, N_("its bytes do not have that name"));
    *ret = f->plain.data + f->starts[slot];
    *ret_len = f->starts[slot + 1] - f->starts[slot];
    return 0;
}
