/* Packs that no segment names: a run that was interrupted before its segment, or index objects that were
 * lost. Their directories say all that a segment needs. When even so a chunk is in no segment, what the
 * others say of themselves is compared with what segments say of them. */
#include "bkd/repo/index_adopt.h"

#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_inside.h"
#include "bkd/repo/pack_key.h"
#include "formats/base/wire.h"

/* Bytes of working memory per entry while a segment is built: the entry, its place in the object, the
 * filter's scratch. */
enum { BYTES_PER_ENTRY = 128, DRAFT_MIN = 65536 };

struct known {
    pack_name *v; /* sorted */
    size_t n, cap;
};

struct search {
    struct index *x;
    struct known known;
    struct guarded_pack *v;
    size_t n, cap;
};

struct adoption {
    struct index *x;
    struct repo *repo;
    struct job *job;
    enum index_ask ask;
    struct frame_codec *codec;
    struct segment_draft draft;
    segment_draft_fn *take;
    size_t full;             /* entries at which the draft becomes a segment */
    const struct search *at; /* the packs that are there */
};

static int note_known(void *ctx, const struct segment_pack *p, struct bk_error *err)
{
    struct known *k = ctx;
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 256;
        pack_name *v = reallocarray(k->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "no memory for the list of packs");
        k->v = v;
        k->cap = cap;
    }
    k->v[k->n++] = p->name;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, PACK_NAME);
}

static int note_orphan(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct search *s = ctx;
    struct guarded_pack o = { .bytes = size };
    if (repo_pack_of_path(name, &o.kind, &o.name) != 1)
        return 0;
    if (s->known.n && bsearch(&o.name, s->known.v, s->known.n, sizeof *s->known.v, by_name))
        return 0;
    if (!index_trusts(s->x, o.kind, &o.name))
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct guarded_pack *v = reallocarray(s->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "no memory for the list of packs");
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = o;
    return 0;
}

static int read_directory(struct adoption *a, const char *path, uint64_t bytes,
                          const uint8_t header[static PACK_HEADER], struct suite_aead *aead,
                          struct pack_directory *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf stored = BK_BUF(FRAME_HEADER + FRAME_MAX_STORED);
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    uint8_t raw[PACK_TRAILER], *p;
    struct pack_trailer t;
    if (bytes < PACK_HEADER + PACK_TRAILER)
        return bk_fail(err, BK_E_CORRUPT, "%llu bytes are too few for a pack", (unsigned long long)bytes);
    int r = store_get_exact(repo_store(a->repo), path, bytes - sizeof raw, raw, sizeof raw, err);
    if (r == 0)
        r = pack_trailer_decode(raw, header, bytes, &t, err);
    if (r == 0)
        r = bk_buf_extend(&stored, t.dir_bytes, &p, err);
    if (r == 0)
        r = store_get_exact(repo_store(a->repo), path, t.dir_offset, p, t.dir_bytes, err);
    if (r == 0)
        r = frame_open(a->codec, aead, FRAME_DIRECTORY, PACK_DIRECTORY_NUMBER, stored.data, stored.len,
                       &plain, err);
    if (r == 0)
        r = pack_directory_decode(plain.data, plain.len, &t, ret, err);
    return r;
}

/* Name the chunks of one frame that was found by scanning; a frame that does not open is left out. */
static int add_scanned(struct adoption *a, struct suite_aead *aead, enum chunk_kind kind, const uint8_t *data,
                       size_t offset, const struct frame_header *h, struct bk_buf *plain,
                       struct pack_directory *dir, struct bk_error *err)
{
    struct bk_error why = { 0 };
    struct frame_table t;
    uint32_t stored = FRAME_HEADER + h->stored_len;
    int r = frame_open(a->codec, aead, (uint8_t)kind, h->number, data + offset, stored, plain, &why);
    if (r == 0)
        r = frame_table_decode(plain->data, plain->len, &t, &why);
    if (r < 0) {
        job_log(a->job, JOB_WARN, "frame at %zu: %s", offset, why.text);
        return bk_code_aborts(r) ? bk_fail(err, r, "%s", why.text) : 0;
    }
    bk_auto(free) chunk_id *ids = calloc(t.n_chunks ? t.n_chunks : 1, sizeof *ids);
    if (!ids)
        return bk_fail(err, BK_E_NOMEM, "no memory for %u chunk ids", t.n_chunks);
    const uint8_t *chunk = t.plain;
    for (uint32_t i = 0; i < t.n_chunks; i++) {
        uint32_t len = bk_get_u32(t.lengths + 4 * (size_t)i);
        r = chunk_name(repo_namer(a->repo), kind, chunk, len, &ids[i], err);
        if (r < 0)
            return r;
        chunk += len;
    }
    return pack_directory_add(dir, (uint32_t)offset, stored, h->raw_len, ids, t.n_chunks, err);
}

static int scan_pack(struct adoption *a, const struct guarded_pack *o, const char *path,
                     struct suite_aead *aead, struct pack_directory *dir, struct bk_error *err)
{
    size_t ceiling = (size_t)repo_config(a->repo)->pack_bytes + 4 * (size_t)FRAME_MAX_STORED;
    bk_auto(bk_buf_clear) struct bk_buf all = BK_BUF(ceiling);
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    struct frame_header h;
    size_t pos = 0, offset;
    int r = store_get_all(repo_store(a->repo), path, ceiling, &all, err);
    while (r == 0 && pack_scan(all.data, all.len, &pos, &offset, &h) == 1)
        if (h.kind == o->kind)
            r = add_scanned(a, aead, o->kind, all.data, offset, &h, &plain, dir, err);
    return r;
}

static bool is_there(const struct adoption *a, const struct chunk_loc *loc)
{
    struct guarded_pack key = { .name = loc->pack, .kind = (enum chunk_kind)loc->kind };
    return !loc->shunned && bsearch(&key, a->at->v, a->at->n, sizeof key, guarded_pack_cmp);
}

/* Does a segment say where it is, in a pack that is there? 1, 0 or an error. */
static int is_known(struct adoption *a, const chunk_id *id, struct bk_error *err)
{
    struct bk_error why = { 0 };
    struct chunk_loc one, other;
    int r = index_find(a->x, id, &one, &why);
    if (r == 1 && !is_there(a, &one)) {
        r = index_find_elsewhere(a->x, id, &one.pack, &other, &why);
        if (r == 1)
            r = is_there(a, &other);
    }
    if (bk_code_aborts(r))
        return bk_fail(err, r, "%s", why.text);
    return r == 1;
}

/* Is there a chunk in it that no segment knows of? 1, 0 or an error. */
static int says_more(struct adoption *a, const struct pack_directory *dir, struct bk_error *err)
{
    int known = 1;
    for (uint32_t i = 0; known == 1 && i < dir->n_chunks; i++)
        known = is_known(a, &dir->ids[i], err);
    return known < 0 ? known : !known;
}

/* 1 adopted, 0 left where it is because nothing in it can be read or all of it is known, or an error. */
static int adopt_pack(struct adoption *a, const struct guarded_pack *o, struct bk_error *err)
{
    bk_auto(pack_directory_clear) struct pack_directory dir = { 0 };
    bk_auto(suite_aead_free) struct suite_aead *aead = NULL;
    struct bk_error why = { 0 };
    uint8_t header[PACK_HEADER], key[SUITE_KEY];
    char path[REPO_PATH];
    repo_pack_path(o->kind, &o->name, path);
    int r = o->bytes > PACK_MAX_BYTES ? bk_fail(&why, BK_E_LIMIT, "%s is too big for a pack", path) : 0;
    if (r == 0)
        r = pack_key_read(a->repo, o->kind, &o->name, header, key, &why);
    if (r == 0)
        r = suite_aead_new(repo_keyring(a->repo)->suite, key, &aead, &why);
    suite_wipe(key, sizeof key);
    if (r == 0) {
        r = read_directory(a, path, o->bytes, header, aead, &dir, &why);
        if (r < 0 && !bk_code_aborts(r)) {
            job_log(a->job, JOB_WARN, "directory of '%s': %s: its frames are searched for", path, why.text);
            pack_directory_clear(&dir);
            dir = (struct pack_directory){ 0 };
            r = scan_pack(a, o, path, aead, &dir, &why);
        }
    }
    if (bk_code_aborts(r))
        return bk_fail(err, r, "%s", why.text);
    if (r < 0) {
        job_log(a->job, JOB_WARN, "pack '%s' is left out of the index: %s", path, why.text);
        return 0;
    }
    r = a->ask == INDEX_ASK_ALL ? says_more(a, &dir, err) : 1;
    if (r <= 0)
        return r;
    struct segment_pack p = { .name = o->name, .bytes = (uint32_t)o->bytes, .kind = (uint8_t)o->kind };
    r = segment_draft_add(&a->draft, &p, &dir, err);
    return r < 0 ? r : 1;
}

static int adopt_all(struct adoption *a, struct search *s, uint64_t *ret_packs, struct bk_error *err)
{
    uint64_t n = 0, bytes;
    a->at = s;
    if (s->n && a->ask == INDEX_ASK_ALL) { /* for is_there */
        qsort(s->v, s->n, sizeof *s->v, guarded_pack_cmp);
        job_log(a->job, JOB_INFO, "a chunk is in no segment: %zu packs are asked what they hold", s->n);
    }
    for (size_t i = 0; i < s->n; i++) {
        int r = job_check(a->job, err);
        if (r == 0)
            r = adopt_pack(a, &s->v[i], err);
        if (r < 0)
            return r;
        n += (uint64_t)r;
        if (a->draft.n_entries >= a->full)
            r = segment_draft_end(&a->draft, a->x, a->take, &bytes, err);
        if (r < 0)
            return r;
    }
    int r = segment_draft_end(&a->draft, a->x, a->take, &bytes, err);
    if (r == 0)
        *ret_packs = n;
    return r;
}

/* recovered: packs that were only recovered count as named. */
static int list_packs(struct index *x, enum index_ask ask, bool recovered, struct search *s,
                      struct bk_error *err)
{
    struct store *store = repo_store(index_repo(x));
    size_t n;
    int r = 0;
    const struct guarded_pack *listed = index_guarded_packs(x, &n);
    if (ask == INDEX_ASK_UNNAMED)
        r = index_each_pack_of(x, recovered, note_known, &s->known, err); /* comes sorted */
    for (size_t i = 0; listed && r == 0 && i < n; i++) {
        char path[REPO_PATH];
        repo_pack_path(listed[i].kind, &listed[i].name, path);
        r = note_orphan(s, path, listed[i].bytes, err);
    }
    if (r < 0 || listed)
        return r;
    if (r == 0)
        r = store_list(store, "data/", note_orphan, s, err);
    if (r == 0)
        r = store_list(store, "meta/", note_orphan, s, err);
    return r;
}

static size_t draft_full(const struct job *j)
{
    size_t n = j->memory_bytes / 4 / BYTES_PER_ENTRY;
    return n < DRAFT_MIN ? DRAFT_MIN : n > SEGMENT_DRAFT_FULL ? SEGMENT_DRAFT_FULL : n;
}

int index_adopt(struct index *x, struct job *j, enum index_ask ask, segment_draft_fn *take,
                uint64_t *ret_packs, struct bk_error *err)
{
    struct adoption a = {
        .x = x, .repo = index_repo(x), .job = j, .ask = ask, .take = take, .full = draft_full(j)
    };
    struct search s = { .x = x };
    int r = list_packs(x, ask, take == index_keep_segment, &s, err);
    if (r == 0)
        r = frame_codec_new(0, &a.codec, err);
    if (r == 0)
        r = adopt_all(&a, &s, ret_packs, err);
    frame_codec_free(a.codec);
    segment_draft_clear(&a.draft);
    free(s.known.v);
    free(s.v);
    return r < 0 ? bk_context(err, "adopt packs into the index") : 0;
}

int index_adopt_packs(struct index *x, struct job *j, uint64_t *ret_packs, struct bk_error *err)
{
    index_recovery_puts(x);
    index_recovery(x)->backs_up = true;
    return index_adopt(x, j, INDEX_ASK_UNNAMED, index_put_segment, ret_packs, err);
}
