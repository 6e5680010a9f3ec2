#include "bkd/source/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void forget(struct disks *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].name);
        free(s->v[i].reason);
        disk_free(s->v[i].disk);
    }
    for (size_t i = 0; i < s->n_texts; i++) {
        free(s->texts[i].name);
        free(s->texts[i].data);
    }
    free(s->v);
    free(s->texts);
    s->v = NULL;
    s->texts = NULL;
    s->n = s->n_texts = 0;
}

int disks_begin(struct disks *s, struct job *j, const struct disks_past *past, struct bk_error *err)
{
    int r = s->ops->begin(s, j, past, err);
    if (r < 0)
        forget(s);
    return r;
}

int disks_check(struct disks *s, struct job *j, struct bk_error *err)
{
    return s->ops->check ? s->ops->check(s, j, err) : 0;
}

int disks_end(struct disks *s, struct job *j, bool committed, struct bk_error *err)
{
    forget(s);
    return s->ops->end ? s->ops->end(s, j, committed, err) : 0;
}

void disks_free(struct disks *s)
{
    if (!s)
        return;
    forget(s);
    s->ops->free(s);
}

bool disks_name_fits(const char *name)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "/");
        if (!n || n > DISKS_NAME_MAX || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (!*p)
            return strcmp(name, DISKS_RECORD) != 0;
    }
}

static int check_name(const struct disks *s, const char *name, struct bk_error *err)
{
    bool there = false;
    for (size_t i = 0; i < s->n && !there; i++)
        there = !strcmp(s->v[i].name, name);
    for (size_t i = 0; i < s->n_texts && !there; i++)
        there = !strcmp(s->texts[i].name, name);
    if (!disks_name_fits(name))
        return bk_fail(err, BK_E_USAGE, "'%s' cannot be the name of a disk", name);
    return there ? bk_fail(err, BK_E_USAGE, "two disks are called '%s'", name) : 0;
}

int disks_add(struct disks *s, const char *name, struct disk *disk, const char *reason, struct bk_error *err)
{
    bk_auto(disk_free) struct disk *d = disk;
    int r = check_name(s, name, err);
    if (r == 0 && s->n == DISKS_MAX)
        r = bk_fail(err, BK_E_LIMIT, "more than %d disks", DISKS_MAX);
    if (r < 0)
        return r;
    struct disks_item *v = reallocarray(s->v, s->n + 1, sizeof *v);
    if (v)
        s->v = v;
    bk_auto(free) char *own = strdup(name);
    bk_auto(free) char *why = reason ? strdup(reason) : NULL;
    if (!v || !own || (reason && !why))
        return bk_fail_errno(err, ENOMEM, "keep a disk");
    v[s->n++] = (struct disks_item){ .name = bk_steal(own), .disk = bk_steal(d), .reason = bk_steal(why) };
    return 0;
}

int disks_add_text(struct disks *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    int r = check_name(s, name, err);
    if (r == 0 && len > DISKS_TEXT_MAX)
        r = bk_fail(err, BK_E_LIMIT, "'%s' has more than %d bytes", name, DISKS_TEXT_MAX);
    if (r < 0)
        return r;
    struct disks_text *v = reallocarray(s->texts, s->n_texts + 1, sizeof *v);
    if (v)
        s->texts = v;
    bk_auto(free) char *own = strdup(name);
    bk_auto(free) uint8_t *bytes = malloc(len ? len : 1);
    if (!v || !own || !bytes)
        return bk_fail_errno(err, ENOMEM, "keep '%s'", name);
    if (len)
        memcpy(bytes, data, len);
    v[s->n_texts++] = (struct disks_text){ .name = bk_steal(own), .data = bk_steal(bytes), .len = len };
    return 0;
}
