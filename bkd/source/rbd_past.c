#include "bkd/source/rbd_past.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/source/disks.h"

static int bad(struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "it is no description of images in Ceph");
}

/* Names go to librbd and into messages: no control characters. */
static bool text(const json_t *o, const char *key, char *out, size_t cap, bool may_be_empty)
{
    const char *s = json_string_value(json_object_get(o, key));
    size_t len = json_string_length(json_object_get(o, key));
    if (!s || len >= cap || strlen(s) != len || (!len && !may_be_empty))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    memcpy(out, s, len + 1);
    return true;
}

static bool number(const json_t *o, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static bool point(const json_t *o, struct rbd_point *p)
{
    return json_is_object(o) && text(o, "disk", p->disk, sizeof p->disk, false) &&
           text(o, "id", p->id, sizeof p->id, false) && number(o, "size", &p->size) &&
           number(o, "overlap", &p->overlap) && text(o, "snap", p->snap, sizeof p->snap, false) &&
           number(o, "snap_id", &p->snap_id) && text(o, "full", p->full, sizeof p->full, true);
}

static int points(const json_t *root, struct rbd_past *p, struct bk_error *err)
{
    const json_t *list = json_object_get(root, "rbd");
    size_t n = json_array_size(list);
    if (!json_is_object(root) || !json_is_integer(json_object_get(root, "version")))
        return bad(err);
    if (json_integer_value(json_object_get(root, "version")) != 1 || !list)
        return bk_fail(err, BK_E_VERSION, "it was written for another source, or by a newer version");
    if (!json_is_array(list) || n > DISKS_MAX)
        return bad(err);
    p->v = calloc(n ? n : 1, sizeof *p->v);
    if (!p->v)
        return bk_fail_errno(err, ENOMEM, "keep what is known of images");
    for (; p->n < n; p->n++) {
        if (!point(json_array_get(list, p->n), &p->v[p->n]) || rbd_past_find(p, p->v[p->n].disk))
            return bad(err);
    }
    return 0;
}

int rbd_past_decode(const void *bytes, size_t len, struct rbd_past *ret, struct bk_error *err)
{
    bk_auto(rbd_past_clear) struct rbd_past p = { 0 };
    json_t *root = len <= DISKS_TEXT_MAX ? json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    int r = root ? points(root, &p, err) : bad(err);
    json_decref(root);
    if (r < 0)
        return r;
    *ret = p;
    p = (struct rbd_past){ 0 };
    return 0;
}

int rbd_past_encode(const struct rbd_past *p, char **ret, struct bk_error *err)
{
    json_t *list = json_array();
    bool ok = list;
    for (size_t i = 0; i < p->n && ok; i++) {
        const struct rbd_point *x = &p->v[i];
        /* Names that are no UTF-8 make no JSON: such an image is read whole every time. */
        json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:s,s:I,s:s}", "disk", x->disk, "id", x->id, "size",
                              (json_int_t)x->size, "overlap", (json_int_t)x->overlap, "snap", x->snap,
                              "snap_id", (json_int_t)x->snap_id, "full", x->full);
        ok = !o || json_array_append_new(list, o) == 0;
    }
    json_t *root = ok ? json_pack("{s:i,s:O}", "version", 1, "rbd", list) : NULL;
    char *made = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    json_decref(list);
    if (!made)
        return bk_fail_errno(err, ENOMEM, "describe images");
    *ret = made;
    return 0;
}

const struct rbd_point *rbd_past_find(const struct rbd_past *p, const char *disk)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->v[i].disk, disk))
            return &p->v[i];
    return NULL;
}

void rbd_past_clear(struct rbd_past *p)
{
    free(p->v);
    *p = (struct rbd_past){ 0 };
}
