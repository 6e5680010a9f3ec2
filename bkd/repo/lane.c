#include "bkd/repo/lane.h"

/* A frame is closed at this much at the latest: one more chunk of any size and the table still fit below
 * FRAME_MAX_RAW. */
#define FRAME_FULL ((size_t)FRAME_MAX_RAW - CHUNK_MAX - ((size_t)1 << 20))

struct lane {
    enum chunk_kind kind;
    size_t frame_bytes;
    struct frame_codec *codec;
    struct packer *packer;
    struct uploader *uploader;
    /* the frame under construction: the chunks end to end, and what they are */
    struct bk_buf plain;
    uint32_t *lengths;
    chunk_id *ids;
    uint32_t n, cap;
};

int lane_new(struct repo *r, const struct lane_opts *o, struct lane **ret, struct bk_error *err)
{
    bk_auto(lane_free) struct lane *l = calloc(1, sizeof *l);
    if (!l)
        return bk_fail(err, BK_E_NOMEM, "no memory for a lane");
    l->kind = o->kind;
    l->frame_bytes = o->frame_bytes < FRAME_FULL ? o->frame_bytes : FRAME_FULL;
    l->uploader = o->uploader;
    l->plain = BK_BUF(FRAME_MAX_RAW);
    int e = frame_codec_new(o->level, &l->codec, err);
    if (e == 0)
        e = packer_new(r, o->kind, o->pack_bytes, o->pool, &l->packer, err);
    if (e < 0)
        return e;
    *ret = bk_steal(l);
    return 0;
}

void lane_free(struct lane *l)
{
    if (!l)
        return;
    frame_codec_free(l->codec);
    packer_free(l->packer);
    bk_buf_clear(&l->plain);
    free(l->lengths);
    free(l->ids);
    free(l);
}

static int grow(struct lane *l, struct bk_error *err)
{
    if (l->n < l->cap)
        return 0;
    uint32_t cap = l->cap ? l->cap * 2 : 64;
    uint32_t *lengths = reallocarray(l->lengths, cap, sizeof *lengths);
    if (lengths)
        l->lengths = lengths;
    chunk_id *ids = reallocarray(l->ids, cap, sizeof *ids);
    if (ids)
        l->ids = ids;
    if (!lengths || !ids)
        return bk_fail(err, BK_E_NOMEM, "no memory for a frame of %u chunks", cap);
    l->cap = cap;
    return 0;
}

int lane_send(struct lane *l, struct bk_error *err)
{
    struct packed *p;
    int r = packer_seal(l->packer, l->codec, &p, err);
    if (r < 0 || !p)
        return r;
    uploader_adopt(l->uploader, p);
    return 0;
}

int lane_flush(struct lane *l, struct bk_error *err)
{
    if (l->n == 0)
        return 0;
    int r = frame_table_encode(&l->plain, l->lengths, l->n, err);
    if (r == 0)
        r = packer_add(l->packer, l->codec, &l->plain, l->ids, l->n, err);
    if (r < 0)
        return r;
    l->n = 0;
    l->plain.len = 0;
    return packer_full(l->packer) ? lane_send(l, err) : 0;
}

int lane_add(struct lane *l, const chunk_id *id, const void *data, size_t len, struct bk_error *err)
{
    int r = grow(l, err);
    if (r == 0)
        r = bk_buf_append(&l->plain, data, len, err);
    if (r < 0)
        return r;
    l->ids[l->n] = *id;
    l->lengths[l->n++] = (uint32_t)len;
    return l->plain.len >= l->frame_bytes || l->n == FRAME_MAX_CHUNKS ? lane_flush(l, err) : 0;
}
