/* What finished collections and removed snapshots leave. Nothing depends on its removal: what a store with
 * object lock keeps for now is found again by a later run. */
#include <string.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/names.h"
#include "bkd/repo/notes.h"

static int sweep_one(struct prune *p, const char *name, struct bk_error *err)
{
    struct store *s = repo_store(p->repo);
    struct bk_error why = { 0 };
    int r = store_remove(s, name, &why);
    if (store_still_locked(s, r))
        return 0;
    if (r < 0 && err)
        *err = why;
    return r;
}

static int sweep_numbered(struct prune *p, const char *prefix, uint64_t below, struct bk_error *err)
{
    enum { MAX = 1 << 20 };
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(p->repo), prefix, MAX, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        uint64_t n;
        if (collection_number(list.v[i].name, prefix, &n) && n < below)
            r = sweep_one(p, list.v[i].name, err);
    }
    return r;
}

/* Snapshots are listed after the notes: one with a note was there before it, and its name is never used
 * again. */
static int sweep_notes(struct prune *p, struct bk_error *err)
{
    bk_auto(names_clear) struct names notes = { 0 }, snapshots = { 0 };
    int r = names_list(repo_store(p->repo), "notes/", NOTES_MAX, &notes, err);
    if (r == 0 && notes.n)
        r = names_list(repo_store(p->repo), "snapshots/", NOTES_MAX, &snapshots, err);
    for (size_t i = 0; r == 0 && i < notes.n; i++) {
        char path[REPO_PATH];
        uint8_t id[SESSION_ID];
        uint32_t number;
        if (!notes_parse(notes.v[i].name, id, &number))
            continue;
        repo_id_path("snapshots/", id, SESSION_ID, path);
        if (!names_find(&snapshots, path))
            r = sweep_one(p, notes.v[i].name, err);
    }
    return r;
}

int sweep_run(struct prune *p, uint64_t n, struct bk_error *err)
{
    int r = sweep_numbered(p, "tombstones/", n, err);
    if (r == 0)
        r = sweep_numbered(p, "generation/", n, err);
    if (r == 0)
        r = sweep_notes(p, err);
    return r < 0 ? bk_context(err, "remove what is finished") : 0;
}
