/* Changing the tags and the hold of a snapshot: a new note under the next number, put-if-absent. Whoever
 * comes second reads again. */
#include <errno.h>
#include <string.h>

#include "bkd/repo/catalog.h"
#include "bkd/repo/notes.h"

enum { TRIES = 64, TAGS_MAX = 1024 };

static int check_tags(const char *const *v, size_t n, struct bk_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(v[i]);
        if (!len || len > SNAPSHOT_TEXT_MAX)
            return bk_fail(err, BK_E_USAGE, "a tag has 1 to %d bytes", SNAPSHOT_TEXT_MAX);
    }
    return 0;
}

static bool contains(const char *const *v, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i], s) == 0)
            return true;
    return false;
}

static int add_once(struct snapshot_list *l, const char *tag, struct bk_error *err)
{
    if (contains((const char *const *)l->v, l->n, tag))
        return 0;
    if (l->n >= TAGS_MAX)
        return bk_fail(err, BK_E_LIMIT, "a snapshot has at most %d tags", TAGS_MAX);
    return snapshot_list_add(l, tag, err);
}

static bool same_list(const struct snapshot_list *a, const struct snapshot_list *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return a->n == b->n;
}

/* The note that follows `now`. 1 when it says something else, 0 when nothing changes. */
static int apply(const struct catalog_item *now, const struct note_change *c, int64_t when_ns,
                 struct note *ret, struct bk_error *err)
{
    const struct snapshot_list *tags = catalog_tags(now);
    int r;
    for (size_t i = 0; i < tags->n; i++)
        if (!contains(c->remove_tags, c->n_remove, tags->v[i]) &&
            (r = add_once(&ret->tags, tags->v[i], err)) < 0)
            return r;
    for (size_t i = 0; i < c->n_add; i++)
        if ((r = add_once(&ret->tags, c->add_tags[i], err)) < 0)
            return r;
    const char *old = now->note.reason ? now->note.reason : "";
    const char *reason = c->hold == 0 ? "" : c->hold == 1 && c->reason ? c->reason : old;
    memcpy(ret->snapshot, now->snap.id, SESSION_ID);
    ret->number = now->note.number + 1;
    ret->when_ns = when_ns;
    ret->hold = c->hold < 0 ? now->note.hold : c->hold == 1;
    ret->who = strdup(c->who ? c->who : "");
    ret->reason = strdup(reason);
    if (!ret->who || !ret->reason)
        return bk_fail_errno(err, ENOMEM, "write a note");
    return !same_list(tags, &ret->tags) || ret->hold != now->note.hold || strcmp(reason, old) != 0;
}

/* What is in force at this moment, beside the immutable snapshot (borrowed). */
static int reload(struct repo *r, const struct catalog_item *i, struct catalog_item *ret,
                  struct bk_error *err)
{
    char prefix[REPO_PATH];
    bk_auto(names_clear) struct names list = { 0 };
    repo_id_path("notes/", i->snap.id, SESSION_ID, prefix);
    int rc = names_list(repo_store(r), prefix, NOTES_MAX, &list, err);
    if (rc < 0)
        return rc;
    ret->snap = i->snap;
    return notes_load(r, list.v, list.n, NULL, NULL, ret, err);
}

static int try_once(struct repo *r, const struct catalog_item *i, const struct note_change *c,
                    struct bk_error *err)
{
    const struct world *w = repo_world(r);
    bk_auto(note_clear) struct note next = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    struct catalog_item now = { 0 };
    int rc = reload(r, i, &now, err);
    if (rc == 0 && now.note.number == UINT32_MAX)
        rc = bk_fail(err, BK_E_LIMIT, "the snapshot has had all the notes it can have");
    if (rc == 0)
        rc = apply(&now, c, w->now_ns(w->ctx), &next, err);
    note_clear(&now.note);
    if (rc <= 0)
        return rc;
    rc = note_encode(&next, &payload, err);
    if (rc < 0)
        return rc;
    char path[REPO_PATH];
    notes_path(next.snapshot, next.number, path);
    return repo_put_record(r, OBJECT_NOTE, path, payload.data, payload.len, err);
}

int catalog_annotate(struct repo *r, const struct catalog_item *i, const struct note_change *c,
                     struct bk_error *err)
{
    int rc = check_tags(c->add_tags, c->n_add, err);
    if (rc == 0)
        rc = check_tags(c->remove_tags, c->n_remove, err);
    if (rc < 0)
        return rc;
    for (int n = 0; n < TRIES; n++) {
        rc = try_once(r, i, c, err);
        if (rc != BK_E_EXISTS)
            return rc < 0 ? bk_context(err, "change the note of a snapshot") : 0;
    }
    return bk_fail(err, BK_E_BUSY, "others keep changing the notes of this snapshot");
}
