/* The small objects: each is fetched, and opened with the keys at hand. */
#include <string.h>

#include "bkd/repo/check_state.h"
#include "bkd/repo/copies.h"
#include "bkd/repo/copies_heal.h"
#include "bkd/repo/notes.h"
#include "bkd/repo/repo_build.h"
#include "bkd/repo/sessions.h"
#include "formats/snapshot/minimum.h"

typedef int look_fn(struct check *c, const char *name, struct bk_error *err);

static int get(struct check *c, const char *name, struct bk_buf *out, struct bk_error *err)
{
    int r = store_get_all(repo_store(c->repo), name, RECORD_MAX, out, err);
    return r < 0 ? bk_context(err, "read %s", name) : 0;
}

static int look_config(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct config config;
    uint8_t digest[SUITE_HASH];
    int r = get(c, name, &b, err);
    if (r < 0)
        return r;
    r = config_decode(b.data, b.len, &config, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, repo_keyring(c->repo)->config_digest, SUITE_HASH) != 0)
        return bk_fail(err, BK_E_CORRUPT, "the config is not the one that the keyring was made with");
    return 0;
}

static int look_slot(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct slot slot;
    int r = get(c, name, &b, err);
    if (r < 0)
        return r;
    r = slot_decode(b.data, b.len, &slot, err);
    if (r < 0)
        return r;
    char path[REPO_PATH];
    repo_id_path("keys/", slot.id, SLOT_ID, path);
    if (strcmp(path, name) != 0)
        return bk_fail(err, BK_E_CORRUPT, "it holds the slot %s", path);
    return 0;
}

static int look_keyring(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(0);
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    bk_auto(keyring_clear) struct keyring k = { 0 };
    enum suite_id suite = repo_config(c->repo)->suite;
    int r = get(c, name, &sealed, err);
    if (r < 0)
        return r;
    r = record_open_kek(suite, repo_kek(c->repo), OBJECT_KEYRING, name, sealed.data, sealed.len, &plain, err);
    if (r == BK_E_AUTH) {
        job_log(c->job, JOB_INFO, "%s is sealed under another key: left over from an init that did not end",
                name);
        return 0;
    }
    if (r == 0)
        r = keyring_decode(suite, plain.data, plain.len, &k, err);
    if (plain.data)
        suite_wipe(plain.data, plain.len);
    return r;
}

static int look_record(struct check *c, enum object_kind kind, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    return repo_get_record(c->repo, kind, name, &payload, err);
}

/* One of a process that is at work here is not stale; of others only time would tell. */
static int look_session(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    struct session_record rec = { 0 };
    struct bk_error ignored = { 0 };
    uint8_t id[SESSION_ID];
    uint64_t counter;
    int r = repo_get_record(c->repo, OBJECT_SESSION, name, &payload, err);
    if (r == BK_E_ABSENT) /* it ended while we looked */
        return 0;
    bool alive = r == 0 && session_record_decode(payload.data, payload.len, &rec, &ignored) == 0 &&
                 sessions_fate(&rec) == SESSION_ALIVE;
    c->rep.n_stale_sessions += !alive && sessions_parse(name, id, &counter) && !counter;
    return r;
}

static int look_note(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(note_clear) struct note n = { 0 };
    int r = repo_get_record(c->repo, OBJECT_NOTE, name, &payload, err);
    if (r < 0)
        return r;
    r = note_decode(payload.data, payload.len, &n, err);
    if (r < 0)
        return r;
    char path[REPO_PATH];
    notes_path(n.snapshot, n.number, path);
    if (strcmp(path, name) != 0)
        return bk_fail(err, BK_E_CORRUPT, "it holds the note %s", path);
    return 0;
}

static int look_generation(struct check *c, const char *name, struct bk_error *err)
{
    return look_record(c, OBJECT_GENERATION, name, err);
}

static int look_tombstones(struct check *c, const char *name, struct bk_error *err)
{
    return look_record(c, OBJECT_TOMBSTONES, name, err);
}

static int look_retention(struct check *c, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(minimum_clear) struct minimum m = { 0 };
    int r = repo_get_record(c->repo, OBJECT_RETENTION, name, &payload, err);
    return r < 0 ? r : minimum_decode(payload.data, payload.len, &m, err);
}

static int look(struct check *c, const char *name, look_fn *fn, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = job_check(c->job, err);
    if (r < 0)
        return r;
    c->rep.n_objects++;
    r = fn(c, name, &why);
    if (check_fatal(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0)
        check_found(c, name, &why);
    return 0;
}

/* A damaged original has been told already; one that is gone has not. */
static void on_copy(void *ctx, const char *name, enum copies_state state, bool healed)
{
    struct check *c = ctx;
    struct bk_error why = { 0 };
    char copy[REPO_PATH];
    uint64_t size;
    (void)healed;
    copies_path(name, copy);
    c->rep.n_objects += state != COPIES_NO_COPY && store_stat(repo_store(c->repo), copy, &size, NULL) == 0;
    c->rep.n_uncopied += state == COPIES_NO_COPY;
    if (state == COPIES_BAD_COPY) {
        bk_fail(&why, BK_E_CORRUPT, "it is not the copy of %s that it should be", name);
        check_found(c, copy, &why);
    } else if (state == COPIES_BAD_FIRST || state == COPIES_BAD_BOTH) {
        if (strcmp(name, REPO_CONFIG_NAME) != 0 &&
            store_stat(repo_store(c->repo), name, &size, NULL) == BK_E_ABSENT) {
            bk_fail(&why, BK_E_ABSENT, "it is missing, and its copy is there");
            check_found(c, name, &why);
        }
        if (state == COPIES_BAD_BOTH && store_stat(repo_store(c->repo), copy, &size, NULL) == 0) {
            bk_fail(&why, BK_E_CORRUPT, "the copy is damaged as well");
            check_found(c, copy, &why);
        }
    }
}

int check_objects(struct check *c, struct bk_error *err)
{
    static const struct {
        const char *prefix;
        look_fn *fn;
    } kinds[] = {
        { "keys/", look_slot },
        { "keyring/", look_keyring },
        { "sessions/", look_session },
        { "notes/", look_note },
        { "generation/", look_generation },
        { "tombstones/", look_tombstones },
        { "retention/", look_retention },
    };
    int r = look(c, REPO_CONFIG_NAME, look_config, err);
    for (size_t k = 0; k < BK_COUNT(kinds) && r == 0; k++) {
        bk_auto(names_clear) struct names list = { 0 };
        r = names_list(repo_store(c->repo), kinds[k].prefix, CHECK_LIST_MAX, &list, err);
        for (size_t i = 0; i < list.n && r == 0; i++)
            r = look(c, list.v[i].name, kinds[k].fn, err);
    }
    return r < 0 ? r : copies_compare(c->repo, false, on_copy, c, err);
}
