/* key rotate-data, and key compromise: what a lost key reads, and what to do. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "bkctl/cmd_key.h"
#include "bkctl/show.h"
#include "bkd/life/exposure.h"
#include "bkd/repo/keys.h"

int key_rotate_data(struct app *a, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *repo = NULL;
    uint32_t epoch = 0;
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = keys_rotate(repo, &epoch, err);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "epoch", json_integer(epoch));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(_("new data key, epoch %u: what is written from now on uses it, older data stays readable\n"),
               epoch);
    }
    return 0;
}

/* The slot whose hex id starts with the prefix. */
struct wanted {
    const char *prefix;
    unsigned n;
    struct slot slot;
};

static int on_slot(void *ctx, const char *object, const struct slot *s, const struct bk_error *damage)
{
    struct wanted *w = ctx;
    char id[2 * SLOT_ID + 1];
    (void)object, (void)damage;
    if (!s || strncasecmp(text_hex(s->id, SLOT_ID, id), w->prefix, strlen(w->prefix)) != 0)
        return 0;
    w->n++;
    w->slot = *s;
    return 0;
}

static int find_slot(struct repo *repo, const char *prefix, struct wanted *w, struct bk_error *err)
{
    w->prefix = prefix;
    int r = keys_list(repo_store(repo), on_slot, w, err);
    if (r == 0 && w->n == 0)
        bk_fail(err, r = BK_E_ABSENT, "no key slot has an id that starts with %s", prefix);
    else if (r == 0 && w->n > 1)
        bk_fail(err, r = BK_E_AMBIGUOUS, "more than one key slot has an id that starts with %s", prefix);
    return r < 0 ? bk_hint(err, "bkctl key list shows them; a data key is named epoch:0, epoch:1 ...") : 0;
}

struct exposing {
    struct app *a;
    struct table table;
};

static void on_pack(void *ctx, const char *object, uint64_t bytes)
{
    struct exposing *e = ctx;
    char b[TEXT_SIZE];
    if (e->a->g.json) {
        json_t *o = show_record("pack");
        json_object_set_new(o, "object", json_string(object));
        json_object_set_new(o, "bytes", text_json_u64(bytes));
        ui_emit(&e->a->ui, o);
    } else if (e->a->g.verbose) {
        printf("%s  %s\n", object, text_bytes(bytes, b));
    }
}

static void on_snapshot(void *ctx, const struct catalog_item *i)
{
    struct exposing *e = ctx;
    char id[SHOW_ID], when[TEXT_TIME], name[512];
    const struct snapshot *s = &i->snap;
    if (e->a->g.json) {
        json_t *o = show_record("snapshot");
        json_object_set_new(o, "snapshot", json_string(text_hex(s->id, SESSION_ID, id)));
        text_json_bytes(o, "name", s->name, strlen(s->name));
        json_object_set_new(o, "start", json_string(text_time_iso(s->start_ns / 1000000000, 0, when)));
        ui_emit(&e->a->ui, o);
        return;
    }
    table_cell(&e->table, "%s", show_short_id(s->id, id));
    table_cell(&e->table, "%s", text_time(s->start_ns / 1000000000, when));
    table_cell(&e->table, "%s", text_path(s->name, strlen(s->name), name, sizeof name));
}

static void emit(struct app *a, const struct exposure *x, bool all, int64_t since_s)
{
    char when[TEXT_TIME];
    json_t *o = show_record("result");
    json_object_set_new(o, "everything", json_boolean(all));
    json_object_set_new(o, "since", json_string(text_time_iso(since_s, 0, when)));
    json_object_set_new(o, "epochs", json_integer(x->n_epochs));
    json_object_set_new(o, "data_packs", text_json_u64(x->n_packs[CHUNK_DATA]));
    json_object_set_new(o, "meta_packs", text_json_u64(x->n_packs[CHUNK_META]));
    json_object_set_new(o, "bytes", text_json_u64(x->pack_bytes[CHUNK_DATA] + x->pack_bytes[CHUNK_META]));
    json_object_set_new(o, "unknown_packs", text_json_u64(x->n_unknown));
    json_object_set_new(o, "snapshots", text_json_u64(x->n_snapshots));
    ui_emit(&a->ui, o);
}

static void advise(bool all, bool newest, const char *id)
{
    puts(_("What to do:"));
    puts(_("  Take away whoever has the key from the store first: without the stored bytes a key reads "
           "nothing."));
    puts(_("  Take what is listed here for read: change passwords, tokens and keys that are in it."));
    if (all) {
        printf(_("  bkctl key add, then bkctl key remove %s: its secret then opens nothing by itself.\n"),
               id);
        puts(_("  Who has opened the slot once may have kept the key below it, which no change of slots "
               "takes back,\n"
               "  and which reads what is written later as well. If that can be, make a new repository with "
               "bkctl\n"
               "  init, copy the snapshots there, and destroy this one."));
    } else {
        puts(
            newest
                ? _("  bkctl key rotate-data: what is written from then on has another key.")
                : _("  The data key in use is another one: what is written now is not exposed by this one."));
        puts(_("  What is stored is never encrypted anew in place: to be rid of the old key's packs, copy "
               "the snapshots\n"
               "  to a new repository, or let them be forgotten and pruned."));
    }
}

static void print(const struct exposure *x, bool all, int64_t since_s)
{
    char data[TEXT_COUNT], meta[TEXT_COUNT], snapshots[TEXT_COUNT], b[TEXT_SIZE], when[TEXT_TIME];
    if (all)
        puts(_("The secret of a key slot opens everything:"));
    printf(_("%s, %s, together %s; the records of %s\n"),
           TEXT_COUNTED(data, "%llu data pack", "%llu data packs", x->n_packs[CHUNK_DATA]),
           TEXT_COUNTED(meta, "%llu metadata pack", "%llu metadata packs", x->n_packs[CHUNK_META]),
           text_bytes(x->pack_bytes[CHUNK_DATA] + x->pack_bytes[CHUNK_META], b),
           TEXT_COUNTED(snapshots, "%llu snapshot", "%llu snapshots", x->n_snapshots));
    printf(_("It could be read since %s.\n"), text_time(since_s, when));
    if (!all)
        puts(_("Later snapshots share what has not changed since: that part of them is exposed as well."));
}

int key_compromise(struct app *a, const char *what, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    struct wanted w = { 0 };
    struct exposure x = { 0 };
    struct exposing e = { .a = a };
    char *end = NULL;
    uint32_t epoch = EXPOSURE_ALL;
    if (!strncmp(what, "epoch:", 6)) {
        unsigned long n = isdigit((unsigned char)what[6]) ? strtoul(what + 6, &end, 10) : KEYRING_MAX_EPOCHS;
        if (!end || *end || n >= KEYRING_MAX_EPOCHS)
            return bk_fail(err, BK_E_USAGE, "'%s' names no data key", what);
        epoch = (uint32_t)n;
    }
    int r = app_open_repo(a, &repo, err);
    if (r == 0 && epoch == EXPOSURE_ALL)
        r = find_slot(repo, what, &w, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r < 0)
        return r;
    table_init(&e.table, 3, 0);
    table_cell(&e.table, "%s", _("Id"));
    table_cell(&e.table, "%s", _("Time"));
    table_cell(&e.table, "%s", _("Name"));
    struct exposure_fn fn = { on_pack, on_snapshot, &e };
    r = exposure_find(repo, &a->job, &c, epoch, &fn, &x, err);
    bool all = epoch == EXPOSURE_ALL;
    int64_t since = all ? (int64_t)w.slot.created_s : x.since_s;
    char id[2 * SLOT_ID + 1];
    if (r == 0 && a->g.json) {
        emit(a, &x, all, since);
    } else if (r == 0) {
        print(&x, all, since);
        r = x.n_snapshots ? table_print(&e.table, stdout, err) : 0;
        advise(all, epoch + 1 == x.n_epochs, text_hex(w.slot.id, SLOT_ID, id));
    }
    table_clear(&e.table);
    return r;
}
