#include "bkd/repo/reader.h"

#include <assert.h>

#include "bkd/repo/frame_cache.h"
#include "bkd/repo/index_recover.h"
#include "bkd/repo/pack_keys.h"

enum { AEADS = 8, RUN_FRAMES = 16 };
#define RUN_GAP ((uint64_t)256 << 10)
#define RUN_BYTES ((uint64_t)10 << 20)
#define FRAME_STORED_MAX ((size_t)FRAME_HEADER + FRAME_MAX_STORED)

struct lane_aead { /* ready to use for one pack: setting a cipher up costs about as much as a small frame */
    pack_name pack;
    struct suite_aead *aead; /* NULL: free */
};

struct reader_lane {
    struct frame_codec *codec;
    struct bk_buf in;
    struct lane_aead aeads[AEADS];
};

struct reader {
    struct repo *repo;
    struct index *index;
    struct pack_keys *keys;
    struct frame_cache *cache;
    reader_damage_fn *on_damage; /* or NULL */
    void *damage_ctx;
    unsigned n_lanes;
    struct reader_lane *lanes;
};

int reader_new(struct repo *r, struct index *x, unsigned n_lanes, size_t cache_bytes, struct reader **ret,
               struct bk_error *err)
{
    bk_auto(reader_free) struct reader *rd = calloc(1, sizeof *rd);
    if (!rd)
        return bk_fail(err, BK_E_NOMEM, "no memory for a reader");
    rd->repo = r;
    rd->index = x;
    rd->lanes = calloc(n_lanes, sizeof *rd->lanes);
    if (!rd->lanes)
        return bk_fail(err, BK_E_NOMEM, "no memory for %u lanes", n_lanes);
    int e = pack_keys_new(r, &rd->keys, err);
    if (e == 0)
        e = frame_cache_new(cache_bytes, &rd->cache, err);
    for (; e == 0 && rd->n_lanes < n_lanes; rd->n_lanes++) {
        rd->lanes[rd->n_lanes].in = BK_BUF(RUN_BYTES + FRAME_STORED_MAX);
        e = frame_codec_new(0, &rd->lanes[rd->n_lanes].codec, err);
    }
    if (e < 0)
        return e;
    *ret = bk_steal(rd);
    return 0;
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->n_lanes; i++) {
        struct reader_lane *l = &r->lanes[i];
        frame_codec_free(l->codec);
        bk_buf_clear(&l->in);
        for (size_t a = 0; a < AEADS; a++)
            suite_aead_free(l->aeads[a].aead);
    }
    free(r->lanes);
    frame_cache_free(r->cache);
    pack_keys_free(r->keys);
    free(r);
}

struct index *reader_index(const struct reader *r)
{
    return r->index;
}

unsigned reader_run_frames(const struct reader *r)
{
    return repo_store(r->repo)->remote ? READER_RUN_FRAMES_MAX : RUN_FRAMES;
}

static int aead_of(struct reader *r, struct reader_lane *l, const struct chunk_loc *loc,
                   struct suite_aead **ret, struct bk_error *err)
{
    struct lane_aead *a = &l->aeads[loc->pack.b[2] % AEADS];
    uint8_t key[SUITE_KEY];
    struct suite_aead *made;
    if (!a->aead || memcmp(&a->pack, &loc->pack, sizeof a->pack) != 0) {
        int e = pack_keys_get(r->keys, loc->kind, &loc->pack, key, err);
        if (e < 0)
            return e;
        e = suite_aead_new(repo_keyring(r->repo)->suite, key, &made, err);
        suite_wipe(key, sizeof key);
        if (e < 0)
            return e;
        suite_aead_free(a->aead);
        a->aead = made;
        a->pack = loc->pack;
    }
    *ret = a->aead;
    return 0;
}

static int check_loc(const struct chunk_loc *loc, struct bk_error *err)
{
    if (loc->stored_len <= FRAME_HEADER || loc->stored_len > FRAME_STORED_MAX || loc->raw_len > FRAME_MAX_RAW)
        return bk_fail(err, BK_E_CORRUPT, "its lengths are out of range");
    return 0;
}

/* data: the frame's loc->stored_len bytes. The number comes from its own header: the tag covers it, and a
 * frame that stands where another should be has chunks of other names. */
static int decode(struct reader *r, struct reader_lane *l, const struct chunk_loc *loc, const uint8_t *data,
                  struct frame_ref **ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    struct suite_aead *aead;
    struct frame_header h;
    int e = frame_header_decode(data, loc->stored_len, &h, err);
    if (e == 0 && (h.stored_len != loc->stored_len - FRAME_HEADER || h.raw_len != loc->raw_len))
        e = bk_fail(err, BK_E_CORRUPT, "its header says %u and %u bytes, the index %zu and %u", h.stored_len,
                    h.raw_len, (size_t)loc->stored_len - FRAME_HEADER, loc->raw_len);
    if (e == 0)
        e = aead_of(r, l, loc, &aead, err);
    if (e == 0)
        e = bk_buf_reserve(&plain, loc->raw_len, err);
    if (e == 0)
        e = frame_open(l->codec, aead, (uint8_t)loc->kind, h.number, data, loc->stored_len, &plain, err);
    return e < 0 ? e : frame_ref_adopt_plain(repo_namer(r->repo), loc, &plain, ret, err);
}

static int where(const struct chunk_loc *loc, struct bk_error *err)
{
    char path[REPO_PATH];
    repo_pack_path(loc->kind, &loc->pack, path);
    return bk_context(err, "frame at %u of %s", loc->offset, path);
}

/* len bytes of the pack from offset into the lane's buffer. */
static int fetch(struct reader *r, struct reader_lane *l, const struct chunk_loc *loc, uint64_t offset,
                 size_t len, struct bk_error *err)
{
    char path[REPO_PATH];
    uint8_t *p;
    repo_pack_path(loc->kind, &loc->pack, path);
    l->in.len = 0;
    int e = bk_buf_extend(&l->in, len, &p, err);
    return e < 0 ? e : store_get_exact(repo_store(r->repo), path, offset, p, len, err);
}

static int read_once(struct reader *r, struct reader_lane *l, const struct chunk_loc *loc,
                     struct frame_ref **ret, struct bk_error *err)
{
    int e = check_loc(loc, err);
    if (e == 0)
        e = fetch(r, l, loc, loc->offset, loc->stored_len, err);
    return e < 0 ? e : decode(r, l, loc, l->in.data, ret, err);
}

static bool healed(struct reader *r, const struct chunk_loc *loc, int code)
{
    char path[REPO_PATH];
    if (!reader_is_damage(code))
        return false;
    repo_pack_path(loc->kind, &loc->pack, path);
    return repo_heal(r->repo, path);
}

static int read_one(struct reader *r, struct reader_lane *l, const struct chunk_loc *loc,
                    struct frame_ref **ret, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int e = read_once(r, l, loc, ret, &why);
    if (healed(r, loc, e)) {
        why = (struct bk_error){ 0 };
        e = read_once(r, l, loc, ret, &why);
    }
    if (e < 0 && err)
        *err = why;
    return e < 0 ? where(loc, err) : 0;
}

int reader_frame(struct reader *r, unsigned lane, const struct chunk_loc *loc, bool cached,
                 struct frame_ref **ret, struct bk_error *err)
{
    assert(lane < r->n_lanes);
    struct frame_ref *f = frame_cache_get(r->cache, &loc->pack, loc->offset);
    if (!f) {
        int e = read_one(r, &r->lanes[lane], loc, &f, err);
        if (e < 0)
            return e;
        if (cached)
            frame_cache_put(r->cache, f);
    }
    *ret = f;
    return 0;
}

struct frame_ref *reader_peek(struct reader *r, const struct chunk_loc *loc)
{
    return frame_cache_get(r->cache, &loc->pack, loc->offset);
}

void reader_keep(struct reader *r, struct frame_ref *f)
{
    frame_cache_put(r->cache, f);
}

/* Damage concerns one frame and is passed on; the rest ends the run. */
bool reader_is_damage(int code)
{
    return code == BK_E_CORRUPT || code == BK_E_ABSENT || code == BK_E_IO || code == BK_E_VERSION;
}

void reader_on_damage(struct reader *r, reader_damage_fn *fn, void *ctx)
{
    r->on_damage = fn;
    r->damage_ctx = ctx;
}

static int chunk_at(struct reader *r, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                    const struct chunk_loc *loc, struct bk_buf *out, struct bk_error *err)
{
    bk_auto(frame_ref_free) struct frame_ref *f = NULL;
    const uint8_t *data;
    size_t len;
    if (loc->kind != kind)
        return bk_fail(err, BK_E_CORRUPT, "it is in a pack of the other kind");
    int e = reader_frame(r, lane, loc, true, &f, err);
    if (e == 0)
        e = frame_ref_chunk(f, loc->slot, id, &data, &len, err);
    if (e < 0)
        return e;
    out->len = 0;
    return bk_buf_append(out, data, len, err);
}

/* A pack that is gone without the index's knowledge is a reason to doubt the index; one that is damaged is
 * none. 1, 0, or the code of what ends the run. */
static int elsewhere(struct reader *r, const chunk_id *id, const pack_name *not_in, bool gone,
                     struct chunk_loc *ret, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int e = gone ? index_locate_elsewhere(r->index, id, not_in, ret, &why)
                 : index_find_elsewhere(r->index, id, not_in, ret, &why);
    if (bk_code_aborts(e))
        return bk_fail(err, e, "%s", why.text);
    return e == 1;
}

int reader_chunk(struct reader *r, unsigned lane, enum chunk_kind kind, const chunk_id *id,
                 struct bk_buf *out, struct bk_error *err)
{
    char hex[2 * CHUNK_ID + 1];
    struct chunk_loc loc, other;
    struct bk_error ignored;
    object_hex(id->b, CHUNK_ID, hex);
    int e = index_locate(r->index, id, &loc, err);
    if (e == 0)
        return bk_fail(err, BK_E_ABSENT, "chunk %s is in no index", hex);
    if (e < 0)
        return bk_context(err, "chunk %s", hex);
    e = chunk_at(r, lane, kind, id, &loc, out, err);
    if (reader_is_damage(e) && r->on_damage)
        r->on_damage(r->damage_ctx, &loc.pack);
    struct bk_error why = { 0 };
    int there = reader_is_damage(e) ? elsewhere(r, id, &loc.pack, e == BK_E_ABSENT, &other, &why) : 0;
    if (there == 1 && chunk_at(r, lane, kind, id, &other, out, &ignored) == 0)
        return 0;
    if (there < 0) {
        e = there;
        if (err)
            *err = why;
    }
    return e < 0 ? bk_context(err, "chunk %s", hex) : 0;
}

/* The end of what is read at once from locs[first] on: set *ret_end to the byte after it. */
static size_t merge(const struct chunk_loc *locs, size_t n, size_t first, uint64_t *ret_end)
{
    uint64_t start = locs[first].offset, end = start + locs[first].stored_len;
    size_t i = first + 1;
    for (; i < n; i++) {
        uint64_t from = locs[i].offset, to = from + locs[i].stored_len;
        if (from < start || from > end + RUN_GAP || to - start > RUN_BYTES ||
            locs[i].stored_len > FRAME_STORED_MAX)
            break;
        if (to > end)
            end = to;
    }
    *ret_end = end;
    return i;
}

struct run {
    struct reader *r;
    struct reader_lane *lane;
    const struct chunk_loc *locs;
    reader_run_fn *fn;
    void *ctx;
};

static int deliver(struct run *u, size_t i, int e, struct frame_ref *f, struct bk_error *why,
                   struct bk_error *err)
{
    if (e == 0)
        return u->fn(u->ctx, i, f, NULL);
    if (reader_is_damage(e))
        return u->fn(u->ctx, i, NULL, why);
    if (err)
        *err = *why;
    return e;
}

/* Frames first..end are in the lane's buffer, which starts at byte base of the pack; whole false: they are
 * not, and each is read alone, so that one unreadable place costs one frame. */
static int run_piece(struct run *u, size_t first, size_t end, uint64_t base, bool whole, struct bk_error *err)
{
    for (size_t i = first; i < end;) {
        bk_auto(frame_ref_free) struct frame_ref *f = NULL;
        const struct chunk_loc *loc = &u->locs[i];
        struct bk_error why = { 0 };
        int e = whole ? check_loc(loc, &why) : read_one(u->r, u->lane, loc, &f, &why);
        if (e == 0 && whole)
            e = decode(u->r, u->lane, loc, u->lane->in.data + (loc->offset - base), &f, &why);
        if (e < 0 && whole && healed(u->r, loc, e)) {
            why = (struct bk_error){ 0 };
            whole = false; /* the buffer holds what was read before */
            continue;
        }
        if (e < 0 && whole)
            e = where(loc, &why);
        do { /* the same frame may be asked for several times in a row */
            int r = deliver(u, i, e, f, &why, err);
            if (r != 0)
                return r;
            i++;
        } while (i < end && u->locs[i].offset == loc->offset && u->locs[i].stored_len == loc->stored_len);
    }
    return 0;
}

int reader_run(struct reader *r, unsigned lane, const struct chunk_loc *locs, size_t n, reader_run_fn *fn,
               void *ctx, struct bk_error *err)
{
    assert(lane < r->n_lanes);
    struct run u = { .r = r, .lane = &r->lanes[lane], .locs = locs, .fn = fn, .ctx = ctx };
    for (size_t first = 0; first < n;) {
        struct bk_error why = { 0 };
        uint64_t end;
        size_t next = merge(locs, n, first, &end);
        bool whole =
            check_loc(&locs[first], &why) == 0 &&
            fetch(r, u.lane, &locs[first], locs[first].offset, (size_t)(end - locs[first].offset), &why) == 0;
        if (!whole && why.code && !reader_is_damage(why.code)) {
            if (err)
                *err = why;
            return why.code;
        }
        int e = run_piece(&u, first, next, locs[first].offset, whole, err);
        if (e != 0)
            return e;
        first = next;
    }
    return 0;
}

int reader_matches(struct reader *r, unsigned lane, const struct extent *x, const void *data,
                   struct bk_error *err)
{
    chunk_id id;
    int e = chunk_name(repo_namer(r->repo), CHUNK_DATA, data, (size_t)x->len, &id, err);
    if (e < 0 || (!x->off && chunk_id_cmp(&id, &x->id) == 0))
        return e < 0 ? e : 1;
    bk_auto(bk_buf_clear) struct bk_buf chunk = BK_BUF(CHUNK_MAX);
    e = reader_chunk(r, lane, CHUNK_DATA, &x->id, &chunk, err);
    return e < 0 ? e
                 : x->off <= chunk.len && x->len <= chunk.len - x->off &&
                       !memcmp(chunk.data + x->off, data, (size_t)x->len);
}
