#include "bkd/source/vm_past.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1 };

struct vm_past {
    json_t *root; /* NULL: nothing */
};
struct vm_now {
    json_t *root, *domains; /* domains and disks: borrowed from root */
    json_t *disks;
};

struct vm_point_name vm_point_name(const char series[static VM_SERIES + 1], int64_t unix_ns)
{
    struct vm_point_name n;
    snprintf(n.text, sizeof n.text, VM_CHECKPOINT_PREFIX "%.*s-%" PRId64, VM_SERIES, series, unix_ns);
    return n;
}

static bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n;
}

bool vm_point_is_ours(const char *name)
{
    size_t n = strlen(VM_CHECKPOINT_PREFIX);
    if (strncmp(name, VM_CHECKPOINT_PREFIX, n) || !is_hex(name + n, VM_SERIES) || name[n + VM_SERIES] != '-')
        return false;
    const char *digits = name + n + VM_SERIES + 1;
    size_t k = strspn(digits, "0123456789");
    return k > 0 && k <= 20 && !digits[k];
}

bool vm_point_is_of(const char *name, const char series[static VM_SERIES + 1])
{
    return vm_point_is_ours(name) && !strncmp(name + strlen(VM_CHECKPOINT_PREFIX), series, VM_SERIES);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && *s ? s : NULL;
}

static const char *point_of(const json_t *o, const char *key)
{
    const char *s = text_of(o, key);
    return s && vm_point_is_ours(s) ? s : NULL;
}

int vm_past_read(const struct disks_past *p, struct vm_past **ret, bool *ret_odd, struct bk_error *err)
{
    struct vm_past *past = calloc(1, sizeof *past);
    if (!past)
        return bk_fail_errno(err, ENOMEM, "read what the last snapshot says");
    *ret_odd = false;
    if (p && p->source) {
        if (p->source_len <= DISKS_TEXT_MAX)
            past->root = json_loadb(p->source, p->source_len, JSON_REJECT_DUPLICATES, NULL);
        const char *type = text_of(past->root, "type");
        *ret_odd = !type || strcmp(type, "vm") ||
                   json_integer_value(json_object_get(past->root, "version")) != VERSION;
        if (*ret_odd) {
            json_decref(past->root);
            past->root = NULL;
        }
    }
    *ret = past;
    return 0;
}

void vm_past_free(struct vm_past *p)
{
    if (!p)
        return;
    json_decref(p->root);
    free(p);
}

const char *vm_past_series(const struct vm_past *p)
{
    const char *s = text_of(p->root, "series");
    return s && strlen(s) == VM_SERIES && is_hex(s, VM_SERIES) ? s : NULL;
}

static const json_t *find(const json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *o;
    json_array_foreach(array, i, o)
    {
        const char *s = text_of(o, key);
        if (s && !strcmp(s, value))
            return o;
    }
    return NULL;
}

bool vm_past_domain(const struct vm_past *p, const char *uuid, struct vm_past_domain *ret)
{
    const json_t *o = find(json_object_get(p->root, "domains"), "uuid", uuid);
    *ret = (struct vm_past_domain){ .full = point_of(o, "full_checkpoint"),
                                    .disks = json_object_get(o, "disks") };
    return o;
}

bool vm_past_disk(const struct vm_past_domain *d, const char *target, struct vm_past_disk *ret)
{
    const json_t *o = find(d->disks, "target", target);
    json_int_t size = json_integer_value(json_object_get(o, "size"));
    *ret = (struct vm_past_disk){
        .name = text_of(o, "name"),
        .format = text_of(o, "format"),
        .source = text_of(o, "source"),
        .checkpoint = point_of(o, "checkpoint"),
        .size = size > 0 ? (uint64_t)size : 0,
    };
    return o;
}

static int no_memory(struct bk_error *err)
{
    return bk_fail_errno(err, ENOMEM, "note what the next run needs");
}

/* Takes value; NULL is an error of its making. */
static bool set(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0;
}

/* A path may be no UTF-8: then it is left out. */
static bool set_text(json_t *o, const char *key, const char *s)
{
    json_t *v = s ? json_string(s) : NULL;
    return set(o, key, v ? v : json_null());
}

int vm_now_new(const char series[static VM_SERIES + 1], struct vm_now **ret, struct bk_error *err)
{
    bk_auto(vm_now_free) struct vm_now *n = calloc(1, sizeof *n);
    if (!n)
        return no_memory(err);
    n->root = json_object();
    if (!set_text(n->root, "type", "vm") || !set(n->root, "version", json_integer(VERSION)) ||
        !set_text(n->root, "series", series) || !set(n->root, "domains", json_array()))
        return no_memory(err);
    n->domains = json_object_get(n->root, "domains");
    *ret = bk_steal(n);
    return 0;
}

int vm_now_domain(struct vm_now *n, const struct vm_now_domain *d, struct bk_error *err)
{
    json_t *o = json_object();
    if (json_array_append_new(n->domains, o) < 0 || !set_text(o, "name", d->name) ||
        !set_text(o, "uuid", d->uuid) || !set(o, "active", json_boolean(d->active)) ||
        !set_text(o, "checkpoint", d->checkpoint) || !set_text(o, "full_checkpoint", d->full) ||
        !set(o, "frozen", json_boolean(d->frozen)) || !set(o, "freeze_ms", json_integer(d->freeze_ms)) ||
        !set(o, "disks", json_array()))
        return no_memory(err);
    n->disks = json_object_get(o, "disks");
    return 0;
}

int vm_now_disk(struct vm_now *n, const struct vm_now_disk *d, struct bk_error *err)
{
    json_t *o = json_object();
    if (json_array_append_new(n->disks, o) < 0 || !set_text(o, "target", d->target) ||
        !set_text(o, "name", d->name) || !set_text(o, "format", d->format) ||
        !set_text(o, "source", d->source) || !set_text(o, "checkpoint", d->checkpoint) ||
        !set(o, "size", json_integer((json_int_t)d->size)) || !set_text(o, "reason", d->reason))
        return no_memory(err);
    return 0;
}

int vm_now_text(const struct vm_now *n, char **ret, struct bk_error *err)
{
    char *s = json_dumps(n->root, JSON_INDENT(1));
    if (!s)
        return no_memory(err);
    *ret = s;
    return 0;
}

void vm_now_free(struct vm_now *n)
{
    if (!n)
        return;
    json_decref(n->root);
    free(n);
}
