#include "bkd/repo/packer.h"

/* The directory is one frame too: a pack of many tiny chunks is closed before its directory outgrows
 * FRAME_MAX_RAW, with room for the lines of one more frame. */
enum { DIRECTORY_FULL = FRAME_MAX_RAW / 2, DIRECTORY_FRAME = 16, DIRECTORY_SLACK = 64 };
enum { FRAMES_FULL = PACK_MAX_FRAMES - 1 };

struct packer {
    struct repo *repo;
    enum chunk_kind kind;
    size_t target_bytes;
    struct packed_pool *pool;
    struct packed *open; /* NULL between packs */
    struct suite_aead *aead;
};

void packed_free(struct packed *p)
{
    if (!p)
        return;
    bk_buf_clear(&p->bytes);
    pack_directory_clear(&p->dir);
    free(p);
}

void packed_pool_init(struct packed_pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
    p->spare = NULL;
}

void packed_pool_clear(struct packed_pool *p)
{
    while (p->spare) {
        struct packed *first = p->spare;
        p->spare = first->next;
        packed_free(first);
    }
    pthread_mutex_destroy(&p->lock);
}

struct packed *packed_pool_take(struct packed_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct packed *k = p->spare;
    if (k)
        p->spare = k->next;
    pthread_mutex_unlock(&p->lock);
    if (!k && (k = calloc(1, sizeof *k)))
        k->bytes = BK_BUF(PACK_MAX_BYTES);
    if (k)
        k->next = NULL;
    return k;
}

void packed_pool_give(struct packed_pool *p, struct packed *k)
{
    pack_directory_clear(&k->dir);
    k->dir = (struct pack_directory){ 0 };
    k->bytes.len = 0;
    pthread_mutex_lock(&p->lock);
    k->next = p->spare;
    p->spare = k;
    pthread_mutex_unlock(&p->lock);
}

int packer_new(struct repo *r, enum chunk_kind kind, size_t target_bytes, struct packed_pool *pool,
               struct packer **ret, struct bk_error *err)
{
    struct packer *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "no memory for a pack");
    p->repo = r;
    p->kind = kind;
    p->target_bytes = target_bytes;
    p->pool = pool;
    *ret = p;
    return 0;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    packed_free(p->open);
    suite_aead_free(p->aead);
    free(p);
}

/* A key of its own per pack, so that the frame's number is a nonce that never comes twice. */
static int new_key(struct packer *p, uint8_t header[static PACK_HEADER], struct suite_aead **ret,
                   struct bk_error *err)
{
    const struct keyring *k = repo_keyring(p->repo);
    const struct world *w = repo_world(p->repo);
    struct pack_header h = { .suite = k->suite, .epoch = k->n_epochs - 1, .kind = p->kind };
    uint8_t key[SUITE_KEY];
    int r = w->random(w->ctx, h.salt, sizeof h.salt, err);
    if (r == 0)
        r = keyring_object_key(k, h.epoch, h.salt, "pack", key, err);
    if (r < 0)
        return r;
    r = suite_aead_new(k->suite, key, ret, err);
    suite_wipe(key, sizeof key);
    pack_header_encode(&h, header);
    return r;
}

static int open_pack(struct packer *p, struct bk_error *err)
{
    bk_auto(packed_free) struct packed *open = packed_pool_take(p->pool);
    bk_auto(suite_aead_free) struct suite_aead *aead = NULL;
    uint8_t header[PACK_HEADER];
    if (!open)
        return bk_fail(err, BK_E_NOMEM, "no memory for a pack");
    open->kind = p->kind;
    int r = new_key(p, header, &aead, err);
    if (r == 0)
        r = bk_buf_append(&open->bytes, header, sizeof header, err);
    if (r < 0)
        return bk_context(err, "open a pack");
    suite_aead_free(p->aead);
    p->aead = bk_steal(aead);
    p->open = bk_steal(open);
    return 0;
}

/* All the pack will take, once: growing step by step would copy it several times over. Untouched memory costs
 * nothing. */
static int reserve(struct packer *p, size_t plain_len, struct bk_error *err)
{
    struct bk_buf *b = &p->open->bytes;
    size_t room = plain_len + FRAME_HEADER + SUITE_TAG;
    if (b->cap - b->len >= room)
        return 0;
    if (b->cap < p->target_bytes)
        room += p->target_bytes + p->target_bytes / 32;
    return bk_buf_reserve(b, room, err);
}

int packer_add(struct packer *p, struct frame_codec *c, const struct bk_buf *plain, const chunk_id *ids,
               uint32_t n, struct bk_error *err)
{
    int r = p->open ? 0 : open_pack(p, err);
    if (r == 0)
        r = reserve(p, plain->len, err);
    if (r < 0)
        return r;
    struct packed *o = p->open;
    size_t at = o->bytes.len;
    r = frame_seal(c, p->aead, (uint8_t)o->kind, o->dir.n_frames, plain->data, plain->len, &o->bytes, err);
    if (r == 0)
        r = pack_directory_add(&o->dir, (uint32_t)at, (uint32_t)(o->bytes.len - at), (uint32_t)plain->len,
                               ids, n, err);
    if (r < 0) {
        o->bytes.len = at; /* what was sealed under this number has not left our memory */
        return bk_context(err, "frame %u of a new pack", o->dir.n_frames);
    }
    return 0;
}

static size_t directory_bytes(const struct pack_directory *d)
{
    return (size_t)d->n_frames * DIRECTORY_FRAME + (size_t)d->n_chunks * CHUNK_ID;
}

bool packer_full(const struct packer *p)
{
    return p->open &&
           (p->open->bytes.len >= p->target_bytes || directory_bytes(&p->open->dir) >= DIRECTORY_FULL ||
            p->open->dir.n_frames >= FRAMES_FULL);
}

static int put_directory(struct packer *p, struct frame_codec *c, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(FRAME_MAX_RAW);
    struct packed *o = p->open;
    uint8_t trailer[PACK_TRAILER];
    struct pack_trailer t = { .dir_offset = o->bytes.len,
                              .n_frames = o->dir.n_frames,
                              .n_chunks = o->dir.n_chunks };
    int r = pack_directory_encode(&o->dir, &plain, err);
    if (r == 0)
        r = bk_buf_reserve(&o->bytes, plain.len + FRAME_HEADER + SUITE_TAG + PACK_TRAILER + DIRECTORY_SLACK,
                           err);
    if (r == 0)
        r = frame_seal(c, p->aead, FRAME_DIRECTORY, PACK_DIRECTORY_NUMBER, plain.data, plain.len, &o->bytes,
                       err);
    if (r < 0)
        return r;
    t.dir_bytes = (uint32_t)(o->bytes.len - t.dir_offset);
    pack_trailer_encode(&t, o->bytes.data, trailer);
    return bk_buf_append(&o->bytes, trailer, sizeof trailer, err);
}

int packer_seal(struct packer *p, struct frame_codec *c, struct packed **ret, struct bk_error *err)
{
    if (!p->open || p->open->dir.n_frames == 0) {
        *ret = NULL;
        return 0;
    }
    int r = put_directory(p, c, err);
    if (r < 0) {
        packed_free(bk_steal(p->open));
        return bk_context(err, "seal a pack");
    }
    *ret = bk_steal(p->open);
    return 0;
}
