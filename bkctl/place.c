#include "bkctl/place.h"

#include <errno.h>
#include <string.h>

void place_clear(struct place *p)
{
    node_clear(&p->node);
    free(p->path);
    *p = (struct place){ 0 };
}

static char *trimmed(const char *path)
{
    while (*path == '/')
        path++;
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    return strndup(path, len);
}

static const struct snapshot_stream *blob_named(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        const struct snapshot_stream *t = &s->streams[i];
        if ((t->kind == STREAM_BLOB || t->kind == STREAM_DISK) && !strcmp(t->name, name))
            return t;
    }
    return NULL;
}

/* The only one of its kind: a disk has records beside it, which are not what is meant. */
static const struct snapshot_stream *only_of(const struct snapshot *s, enum stream_kind kind)
{
    const struct snapshot_stream *found = NULL;
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].kind == kind) {
            if (found)
                return NULL;
            found = &s->streams[i];
        }
    return found;
}

static const struct snapshot_stream *only_content(const struct snapshot *s)
{
    return only_of(s, snapshot_stream_of(s, STREAM_DISK) ? STREAM_DISK : STREAM_BLOB);
}

int place_find(struct view *v, const char *text, bool want_content, struct place *ret, struct bk_error *err)
{
    bk_auto(where_clear) struct where w = { 0 };
    int r = where_parse(text, &w, err);
    const struct catalog_item *item = NULL;
    if (r == 0)
        r = catalog_resolve(&v->catalog, w.snap, &item, err);
    if (r < 0)
        return r;
    bk_auto(place_clear) struct place p = { .snap = &item->snap };
    p.path = trimmed(w.path ? w.path : "");
    if (!p.path)
        return bk_fail_errno(err, ENOMEM, "read '%s'", text);

    p.stream = p.path[0] ? blob_named(p.snap, p.path) : want_content ? only_content(p.snap) : NULL;
    if (!p.stream && !snapshot_stream_of(p.snap, STREAM_TREE)) {
        if (p.path[0])
            return bk_fail(err, BK_E_ABSENT, "snapshot %s has no stream '%s'", w.snap, p.path);
        if (want_content) {
            bk_fail(err, BK_E_AMBIGUOUS, "snapshot %s has several streams", w.snap);
            return bk_hint(err, "name one of them, SNAP:STREAM; bkctl ls lists them");
        }
    } else if (!p.stream) {
        r = browse_path(v->reader, 0, p.snap, p.path, strlen(p.path), &p.node, err);
        if (r < 0)
            return r;
    }
    *ret = p;
    p = (struct place){ 0 };
    return 0;
}
