#include "bkd/source/vm_image.h"

#include <jansson.h>
#include <string.h>

#include "bkd/job/child.h"
#include "bkd/source/vm_past.h"
#include "formats/base/buf.h"

enum { ANSWER_MAX = 4 << 20 };

static void vm_json_free(json_t *o)
{
    json_decref(o);
}
BK_AUTO(json_t *, vm_json_free)

static int run(const char *const *argv, struct job *j, struct bk_buf *ret, struct bk_error *err)
{
    bk_auto(child_free) struct child *c = NULL;
    size_t n = 1;
    int r = child_start(argv, &c, err);
    if (r == BK_E_ABSENT) {
        bk_fail(err, BK_E_UNSUPPORTED, "%s is not installed", argv[0]);
        return bk_hint(err, "install the package qemu-utils");
    }
    while (r == 0 && n) {
        uint8_t buf[4096];
        r = child_read(c, j, buf, sizeof buf, &n, err);
        if (r == 0)
            r = bk_buf_append(ret, buf, n, err);
    }
    return r < 0 ? r : child_finish(c, j, err);
}

/* The chain of images, the top first. */
static int info(const char *path, const char *format, struct job *j, json_t **ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(ANSWER_MAX);
    int r = run((const char *[]){ "qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", format,
                                  path, NULL },
                j, &out, err);
    if (r < 0)
        return bk_context(err, "look at %s", path);
    json_t *o = json_loadb((const char *)out.data, out.len, 0, NULL);
    if (!json_is_array(o) || !json_array_size(o)) {
        json_decref(o);
        return bk_fail(err, BK_E_FAILED, "look at %s: qemu-img says nothing that can be read", path);
    }
    *ret = o;
    return 0;
}

static json_t *bitmaps(const json_t *image)
{
    return json_object_get(json_object_get(json_object_get(image, "format-specific"), "data"), "bitmaps");
}

static const json_t *find(const json_t *image, const char *name)
{
    size_t i;
    json_t *b;
    json_array_foreach(bitmaps(image), i, b)
    {
        const char *s = json_string_value(json_object_get(b, "name"));
        if (s && !strcmp(s, name))
            return b;
    }
    return NULL;
}

static bool has_flag(const json_t *bitmap, const char *flag)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(bitmap, "flags"), i,
                       f) if (json_is_string(f) && !strcmp(json_string_value(f), flag)) return true;
    return false;
}

int vm_image_look(const char *path, const char *format, const char *bitmap, struct job *j,
                  struct vm_image *ret, struct bk_error *err)
{
    bk_auto(vm_json_free) json_t *chain = NULL;
    int r = info(path, format, j, &chain, err);
    if (r < 0)
        return r;
    const json_t *top = json_array_get(chain, 0), *b = bitmap ? find(top, bitmap) : NULL;
    json_int_t size = json_integer_value(json_object_get(top, "virtual-size"));
    *ret = (struct vm_image){ .size = size > 0 ? (uint64_t)size : 0, .found = b };
    /* "auto": it records by itself; one without has missed what happened */
    ret->in_use = b && (has_flag(b, "in-use") || !has_flag(b, "auto"));
    for (size_t i = 1; bitmap && i < json_array_size(chain); i++)
        ret->below |= find(json_array_get(chain, i), bitmap) != NULL;
    return 0;
}

static int remove_one(const char *path, const char *name, struct job *j, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(ANSWER_MAX);
    int r = run((const char *[]){ "qemu-img", "bitmap", "--remove", "-f", "qcow2", path, name, NULL }, j,
                &out, err);
    return r < 0 ? bk_context(err, "remove the bitmap '%s' from %s", name, path) : 0;
}

int vm_image_forget(const char *path, vm_image_drop_fn *drop, const void *ctx, struct job *j, unsigned *ret,
                    struct bk_error *err)
{
    bk_auto(vm_json_free) json_t *chain = NULL;
    int r = info(path, "qcow2", j, &chain, err);
    size_t i;
    json_t *b;
    *ret = 0;
    json_array_foreach(r < 0 ? NULL : bitmaps(json_array_get(chain, 0)), i, b)
    {
        const char *name = json_string_value(json_object_get(b, "name"));
        if (r == 0 && name && vm_point_is_ours(name) && (!drop || drop(ctx, name, has_flag(b, "in-use")))) {
            r = remove_one(path, name, j, err);
            *ret += r == 0;
        }
    }
    return r;
}
