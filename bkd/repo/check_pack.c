/* One pack, read in full: its bytes against its name, its directory, and every frame opened and every chunk
 * in it named. One pass over the bytes through a window, so that packs of any size take the same memory. A
 * pack without a usable directory is searched for frames that still hold (pack_scan). */
#include <errno.h>
#include <string.h>

#include "bkd/repo/check_state.h"

enum {
    STEP = 1 << 20,
    WINDOW = FRAME_HEADER + FRAME_MAX_STORED + STEP,
    DIRECTORY_MAX = FRAME_HEADER + FRAME_MAX_STORED,
};
#define SALVAGE_MAX ((uint64_t)256 << 20)

struct good {
    uint32_t offset; /* of the frame */
    chunk_id id;
};

struct check_pack_worker {
    struct check *c;
    struct frame_codec *codec;
    uint8_t *window;     /* WINDOW bytes */
    struct bk_buf plain; /* of the frame at hand */
    /* of the pack at hand */
    const struct check_pack *pack;
    struct suite_digest *digest;
    struct suite_aead *aead;
    struct pack_directory dir;
    size_t start, len; /* bytes not yet used: window[start .. start + len) */
    uint64_t at;       /* in the pack, of the first of them */
    struct good *good; /* owned: chunks of frames that are sound */
    size_t n_good, cap_good;
    bool have_directory;
    bool spoiled;        /* a read failed: the digest lacks bytes */
    struct bk_error why; /* the first thing that is wrong */
};

int check_pack_worker_new(struct check *c, struct check_pack_worker **ret, struct bk_error *err)
{
    bk_auto(check_pack_worker_free) struct check_pack_worker *w = calloc(1, sizeof *w);
    if (!w)
        return bk_fail_errno(err, ENOMEM, "read packs");
    w->c = c;
    w->plain = BK_BUF(FRAME_MAX_RAW + 65536);
    w->window = malloc(WINDOW);
    if (!w->window)
        return bk_fail_errno(err, ENOMEM, "read packs");
    int r = frame_codec_new(0, &w->codec, err);
    if (r < 0)
        return r;
    *ret = bk_steal(w);
    return 0;
}

static void leave_pack(struct check_pack_worker *w)
{
    suite_digest_free(w->digest);
    suite_aead_free(w->aead);
    w->digest = NULL;
    w->aead = NULL;
    pack_directory_clear(&w->dir);
    w->n_good = 0;
    w->have_directory = w->spoiled = false;
    w->at = w->len = w->start = 0;
    bk_error_clear(&w->why);
}

void check_pack_worker_free(struct check_pack_worker *w)
{
    if (!w)
        return;
    leave_pack(w);
    frame_codec_free(w->codec);
    bk_buf_clear(&w->plain);
    free(w->window);
    free(w->good);
    free(w);
}

/* Take a failure as a finding: 0, or the code when it ends the check. */
static int take(struct check_pack_worker *w, int r, const struct bk_error *why, struct bk_error *err)
{
    if (r >= 0)
        return 0;
    if (check_fatal(r)) {
        if (err)
            *err = *why;
        return r;
    }
    if (!w->why.code)
        w->why = *why;
    return 0;
}

/* At least `want` bytes in the window, fewer only at the pack's end. Every byte that comes in is hashed. What
 * is left is less than a frame, so that moving it to the front costs little and keeps the window's used part
 * in the cache. */
static int fill(struct check_pack_worker *w, size_t want, struct bk_error *err)
{
    if (w->len < want && w->start) {
        memmove(w->window, w->window + w->start, w->len);
        w->start = 0;
    }
    while (w->len < want && w->at + w->len < w->pack->size) {
        uint64_t left = w->pack->size - w->at - w->len;
        size_t room = WINDOW - w->len;
        size_t n = left < STEP ? (size_t)left : (size_t)STEP;
        n = n < room ? n : room;
        int r = job_check(w->c->job, err);
        if (r == 0)
            r = store_get_exact(repo_store(w->c->repo), w->pack->name, w->at + w->len, w->window + w->len, n,
                                err);
        if (r == 0)
            r = suite_digest_update(w->digest, w->window + w->len, n, err);
        if (r < 0)
            return r;
        w->len += n;
        w->c->job->done_bytes += n;
    }
    return 0;
}

static void skip(struct check_pack_worker *w, size_t n)
{
    w->len -= n;
    w->at += n;
    w->start += n;
}

static int start_pack(struct check_pack_worker *w, struct bk_error *err)
{
    const struct keyring *k = repo_keyring(w->c->repo);
    struct pack_header h;
    int r = suite_digest_new(k->suite, &w->digest, err);
    if (r < 0)
        return r;
    r = fill(w, PACK_HEADER, err);
    if (r < 0)
        return r;
    r = pack_header_decode(w->window, w->len, &h, err);
    if (r < 0)
        return r;
    if (h.suite != k->suite || h.kind != w->pack->kind)
        return bk_fail(err, BK_E_CORRUPT, "the header is one of another suite or kind");
    uint8_t key[SUITE_KEY];
    r = keyring_object_key(k, h.epoch, h.salt, "pack", key, err);
    if (r == 0)
        r = suite_aead_new(k->suite, key, &w->aead, err);
    suite_wipe(key, sizeof key);
    return r;
}

static int read_directory(struct check_pack_worker *w, struct bk_error *err)
{
    struct store *s = repo_store(w->c->repo);
    const struct check_pack *p = w->pack;
    struct pack_trailer t;
    uint8_t tail[PACK_TRAILER];
    if (p->size < PACK_HEADER + PACK_TRAILER || p->size > PACK_MAX_BYTES)
        return bk_fail(err, BK_E_CORRUPT, "no pack has %llu bytes", (unsigned long long)p->size);
    int r = store_get_exact(s, p->name, p->size - PACK_TRAILER, tail, sizeof tail, err);
    if (r < 0)
        return r;
    r = pack_trailer_decode(tail, w->window, p->size, &t, err);
    if (r < 0)
        return r;
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(DIRECTORY_MAX);
    uint8_t *data;
    r = bk_buf_extend(&sealed, t.dir_bytes, &data, err);
    if (r < 0)
        return r;
    r = store_get_exact(s, p->name, t.dir_offset, data, t.dir_bytes, err);
    if (r < 0)
        return r;
    r = frame_open(w->codec, w->aead, FRAME_DIRECTORY, PACK_DIRECTORY_NUMBER, data, t.dir_bytes, &w->plain,
                   err);
    if (r == 0)
        r = pack_directory_decode(w->plain.data, w->plain.len, &t, &w->dir, err);
    if (r < 0)
        return bk_context(err, "directory");
    w->have_directory = true;
    return 0;
}

static int note_good(struct check_pack_worker *w, uint32_t offset, const chunk_id *id, struct bk_error *err)
{
    if (w->n_good == w->cap_good) {
        size_t cap = w->cap_good ? w->cap_good * 2 : 256;
        struct good *v = reallocarray(w->good, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "check a pack");
        w->good = v;
        w->cap_good = cap;
    }
    w->good[w->n_good++] = (struct good){ .offset = offset, .id = *id };
    return 0;
}

/* Every chunk of the frame in `plain` has the name that the directory says. */
static int name_chunks(struct check_pack_worker *w, const struct pack_frame *f, struct bk_error *err)
{
    const struct chunk_namer *namer = repo_namer(w->c->repo);
    struct frame_table t;
    int r = frame_table_decode(w->plain.data, w->plain.len, &t, err);
    if (r < 0)
        return r;
    if (t.n_chunks != f->n_chunks)
        return bk_fail(err, BK_E_CORRUPT, "%u chunks where the directory says %u", t.n_chunks, f->n_chunks);
    enum { BATCH = 32 };
    size_t at = 0;
    for (uint32_t first = 0; first < t.n_chunks; first += BATCH) {
        struct suite_piece pieces[BATCH];
        chunk_id ids[BATCH];
        uint32_t n = t.n_chunks - first < BATCH ? t.n_chunks - first : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            size_t len = bk_get_u32(t.lengths + 4 * (size_t)(first + i));
            if (len > CHUNK_MAX)
                return bk_fail(err, BK_E_CORRUPT, "chunk %u is too long", first + i);
            pieces[i] = (struct suite_piece){ t.plain + at, len };
            at += len;
        }
        r = chunk_name_many(namer, w->pack->kind, pieces, n, ids, err);
        if (r < 0)
            return r;
        for (uint32_t i = 0; i < n; i++)
            if (chunk_id_cmp(&ids[i], &w->dir.ids[f->first_chunk + first + i]) != 0)
                return bk_fail(err, BK_E_CORRUPT, "chunk %u is not the one that the directory names",
                               first + i);
    }
    return 0;
}

static int open_frame(struct check_pack_worker *w, uint32_t number, const uint8_t *data, struct bk_error *err)
{
    const struct pack_frame *f = &w->dir.frames[number];
    int r =
        frame_open(w->codec, w->aead, (uint8_t)w->pack->kind, number, data, f->stored_len, &w->plain, err);
    if (r == 0 && w->plain.len != f->raw_len)
        r = bk_fail(err, BK_E_CORRUPT, "%zu bytes where the directory says %u", w->plain.len, f->raw_len);
    if (r == 0)
        r = name_chunks(w, f, err);
    return r < 0 ? bk_context(err, "frame %u at byte %u", number, f->offset) : 0;
}

/* 0 also when it is damaged: that is noted. */
static int try_frame(struct check_pack_worker *w, uint32_t number, const uint8_t *data, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = open_frame(w, number, data, &why);
    const struct pack_frame *f = &w->dir.frames[number];
    for (uint32_t i = 0; i < f->n_chunks && r == 0; i++)
        r = note_good(w, f->offset, &w->dir.ids[f->first_chunk + i], &why);
    return take(w, r, &why, err);
}

/* One of the reads failed: each frame from here on by a read of its own, so that a bad spot of the medium
 * costs what lies on it. */
static int read_singly(struct check_pack_worker *w, uint32_t from, struct bk_error *err)
{
    for (uint32_t i = from; i < w->dir.n_frames; i++) {
        const struct pack_frame *f = &w->dir.frames[i];
        struct bk_error why = { 0 };
        int r = job_check(w->c->job, err);
        if (r < 0)
            return r;
        r = store_get_exact(repo_store(w->c->repo), w->pack->name, f->offset, w->window, f->stored_len, &why);
        if (r == 0)
            r = try_frame(w, i, w->window, err);
        else
            r = take(w, r, &why, err);
        if (r < 0)
            return r;
    }
    return 0;
}
/* The directory has been checked: frames follow each other without gap from the header on. */
static int read_frames(struct check_pack_worker *w, struct bk_error *err)
{
    skip(w, PACK_HEADER);
    for (uint32_t i = 0; i < w->dir.n_frames; i++) {
        const struct pack_frame *f = &w->dir.frames[i];
        struct bk_error why = { 0 };
        if (f->stored_len > FRAME_HEADER + FRAME_MAX_STORED)
            return bk_fail(err, BK_E_CORRUPT, "frame %u is too long", i);
        int r = fill(w, f->stored_len, &why);
        if (r == 0 && w->len < f->stored_len)
            r = bk_fail(&why, BK_E_CORRUPT, "the pack ends inside frame %u", i);
        if (r < 0) {
            r = take(w, r, &why, err);
            w->spoiled = true;
            return r < 0 ? r : read_singly(w, i, err);
        }
        r = try_frame(w, i, w->window + w->start, err);
        if (r < 0)
            return r;
        skip(w, f->stored_len);
    }
    return 0;
}

/* The bytes that are left, and then the name. */
static int finish_name(struct check_pack_worker *w, struct bk_error *err)
{
    while (w->at < w->pack->size) {
        int r = fill(w, 1, err);
        if (r < 0)
            return r;
        skip(w, w->len);
    }
    uint8_t hash[SUITE_HASH];
    int r = suite_digest_finish(w->digest, hash, err);
    if (r < 0)
        return r;
    if (memcmp(hash, w->pack->id.b, PACK_NAME) != 0)
        return bk_fail(err, BK_E_CORRUPT, "its bytes do not hash to its name");
    return 0;
}

/* The chunks of the frame in `plain`, named by what they are. */
static int note_found(struct check_pack_worker *w, uint32_t offset, struct bk_error *err)
{
    struct frame_table t;
    int r = frame_table_decode(w->plain.data, w->plain.len, &t, err);
    size_t at = 0;
    for (uint32_t i = 0; r == 0 && i < t.n_chunks; i++) {
        chunk_id id;
        size_t len = bk_get_u32(t.lengths + 4 * (size_t)i);
        if (len > CHUNK_MAX)
            return bk_fail(err, BK_E_CORRUPT, "chunk %u is too long", i);
        r = chunk_name(repo_namer(w->c->repo), w->pack->kind, t.plain + at, len, &id, err);
        if (r == 0)
            r = note_good(w, offset, &id, err);
        at += len;
    }
    return r;
}

/* Without a directory: whatever frame is found and opens is sound. */
static int salvage(struct check_pack_worker *w, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    size_t most = w->c->job->memory_bytes / 4;
    int r = store_get_all(repo_store(w->c->repo), w->pack->name, most < SALVAGE_MAX ? most : SALVAGE_MAX, &b,
                          err);
    if (r < 0)
        return r;
    size_t pos = 0, offset;
    struct frame_header h;
    w->n_good = 0;
    while (pack_scan(b.data, b.len, &pos, &offset, &h) == 1) {
        struct bk_error why = { 0 };
        r = job_check(w->c->job, err);
        if (r < 0)
            return r;
        r = frame_open(w->codec, w->aead, (uint8_t)w->pack->kind, h.number, b.data + offset,
                       FRAME_HEADER + (size_t)h.stored_len, &w->plain, &why);
        if (r == 0)
            r = note_found(w, (uint32_t)offset, &why);
        r = take(w, r, &why, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Something is wrong: which frames are sound, and tell it once. */
static int conclude(struct check_pack_worker *w, struct bk_error *err)
{
    struct check *c = w->c;
    pthread_mutex_lock(&c->lock);
    int r = idset_add(&c->bad_packs, w->pack->id.b, err);
    for (size_t i = 0; i < w->n_good && r >= 0; i++) {
        uint8_t id[IDSET_ID];
        check_place(&w->pack->id, w->good[i].offset, &w->good[i].id, id);
        r = idset_add(&c->good_chunks, id, err);
    }
    pthread_mutex_unlock(&c->lock);
    if (r >= 0 && !w->pack->known_bad)
        check_found(c, w->pack->name, &w->why);
    return r < 0 ? r : 0;
}

/* A step whose failure is a finding. */
typedef int step_fn(struct check_pack_worker *w, struct bk_error *err);
static int step(struct check_pack_worker *w, step_fn *fn, struct bk_error *err)
{
    struct bk_error why = { 0 };
    return take(w, fn(w, &why), &why, err);
}

static int look(struct check_pack_worker *w, struct bk_error *err)
{
    int r = step(w, start_pack, err);
    if (r == 0 && w->aead)
        r = step(w, read_directory, err);
    if (r == 0 && w->have_directory)
        r = step(w, read_frames, err);
    if (r == 0 && w->digest && !w->spoiled && w->have_directory)
        r = step(w, finish_name, err);
    if (r == 0 && w->why.code && w->aead && !w->have_directory)
        r = step(w, salvage, err);
    return r;
}

/* What is damaged in one of several copies is damaged no more. */
static int read_pack(struct check_pack_worker *w, struct bk_error *err)
{
    int r = look(w, err);
    if (r == 0 && w->why.code && repo_heal(w->c->repo, w->pack->name)) {
        leave_pack(w);
        r = look(w, err);
    }
    return r == 0 && w->why.code ? conclude(w, err) : r;
}

int check_pack_read(struct check_pack_worker *w, const struct check_pack *p, struct bk_error *err)
{
    w->pack = p;
    int r = read_pack(w, err);
    if (r == 0) {
        pthread_mutex_lock(&w->c->lock);
        w->c->rep.n_packs_read++;
        w->c->rep.bytes_read += p->size;
        pthread_mutex_unlock(&w->c->lock);
    }
    leave_pack(w);
    return r;
}
