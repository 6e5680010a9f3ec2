/* check: is everything there, and does it hold? */
#include "bkctl/command.h"
#include "bkctl/show.h"
#include "bkd/repo/check.h"
#include "bkd/repo/copies_heal.h"

struct check_args {
    bool read_data, heal;
    double sample;
};

static const struct opt check_opts[] = {
    OPT_FLAG(struct check_args, read_data, 0, "read-data", N_("read everything and verify every chunk"),
             .conflicts = "sample"),
    OPT_PERCENT(struct check_args, sample, 0, "sample", N_("read that share of the packs, chosen at random")),
    OPT_FLAG(struct check_args, heal, 0, "heal",
             N_("first put right config, keys and keyring from their copies, and copies from them")),
    OPT_END,
};

static void emit_damage(struct app *a, const struct check_damage *d)
{
    json_t *o = show_record("damage");
    json_object_set_new(o, "object", d->object ? json_string(d->object) : json_null());
    json_object_set_new(o, "code", json_string(d->why ? bk_code_name(d->why->code) : "CORRUPT"));
    json_object_set_new(o, "text", json_string(d->why ? d->why->text : ""));
    json_object_set_new(o, "snapshot", d->snapshot ? json_string(d->snapshot) : json_null());
    if (d->path)
        text_json_bytes(o, "path", d->path, d->path_len);
    if (d->path && d->len) {
        json_object_set_new(o, "offset", text_json_u64(d->offset));
        json_object_set_new(o, "length", text_json_u64(d->len));
    }
    ui_emit(&a->ui, o);
}

static void on_damage(void *ctx, const struct check_damage *d)
{
    struct app *a = ctx;
    if (a->g.json) {
        emit_damage(a, d);
        return;
    }
    char path[2048], where[128] = "";
    if (!d->path) {
        ui_warn(&a->ui, _("damaged: %s: %s"), d->object ? d->object : "?", d->why ? d->why->text : "");
        return;
    }
    text_path(d->path, d->path_len, path, sizeof path);
    if (d->len)
        snprintf(where, sizeof where, _(", bytes %llu to %llu"), (unsigned long long)d->offset,
                 (unsigned long long)(d->offset + d->len - 1));
    ui_warn(&a->ui, _("hit: snapshot %.8s: %s%s (%s)"), d->snapshot ? d->snapshot : "?", path, where,
            d->object ? d->object : "?");
}

static void emit(struct app *a, const struct check_report *p)
{
    json_t *o = show_record("result");
    json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
    json_object_set_new(o, "objects", text_json_u64(p->n_objects));
    json_object_set_new(o, "packs", text_json_u64(p->n_packs));
    json_object_set_new(o, "packs_read", text_json_u64(p->n_packs_read));
    json_object_set_new(o, "snapshots", text_json_u64(p->n_snapshots));
    json_object_set_new(o, "frames", text_json_u64(p->n_frames));
    json_object_set_new(o, "chunks", text_json_u64(p->n_chunks));
    json_object_set_new(o, "files", text_json_u64(p->n_files));
    json_object_set_new(o, "bytes_read", text_json_u64(p->bytes_read));
    json_object_set_new(o, "damages", text_json_u64(p->n_damages));
    json_object_set_new(o, "files_hit", text_json_u64(p->n_files_hit));
    json_object_set_new(o, "orphan_packs", text_json_u64(p->n_orphan_packs));
    json_object_set_new(o, "packs_gone", text_json_u64(p->n_packs_gone));
    json_object_set_new(o, "stale_sessions", text_json_u64(p->n_stale_sessions));
    json_object_set_new(o, "uncopied", text_json_u64(p->n_uncopied));
    ui_emit(&a->ui, o);
}

static void print(struct app *a, const struct check_report *p)
{
    char b[TEXT_SIZE], t[TEXT_SIZE];
    char objects[TEXT_COUNT], packs[TEXT_COUNT], snapshots[TEXT_COUNT], chunks[TEXT_COUNT], files[TEXT_COUNT];
    printf(_("checked %s, %s (%llu read in full), %s, %s, %s; %s in %s\n"),
           TEXT_COUNTED(objects, "%llu object", "%llu objects", p->n_objects),
           TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_packs), (unsigned long long)p->n_packs_read,
           TEXT_COUNTED(snapshots, "%llu snapshot", "%llu snapshots", p->n_snapshots),
           TEXT_COUNTED(chunks, "%llu chunk", "%llu chunks", p->n_chunks), TEXT_FILES(files, p->n_files),
           text_bytes(p->bytes_read, b), text_seconds(ui_seconds(&a->ui), t));
    if (p->n_orphan_packs)
        printf(_("  %s in no index: an interrupted run or a lost part of the index leaves them, and the next "
                 "backup takes them in\n"),
               TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_orphan_packs));
    if (p->n_packs_gone)
        printf(_("  %s that the index names and nobody needs: deleted; the next prune takes them out of the "
                 "index\n"),
               TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_packs_gone));
    if (p->n_stale_sessions)
        printf(_("  left by interrupted runs: %s (harmless)\n"),
               TEXT_COUNTED(objects, "%llu session", "%llu sessions", p->n_stale_sessions));
    if (p->n_uncopied)
        printf(_("  without a copy: %s (--heal makes them)\n"),
               TEXT_COUNTED(objects, "%llu object", "%llu objects", p->n_uncopied));
    if (p->n_damages || p->n_files_hit)
        printf(_("  DAMAGE: %s, %s hit\n"),
               TEXT_COUNTED(objects, "%llu object", "%llu objects", p->n_damages),
               TEXT_FILES(files, p->n_files_hit));
    else
        puts(_("  no damage found"));
}

static void on_healed(void *ctx, const char *name, enum copies_state state, bool healed)
{
    struct app *a = ctx;
    if (!healed)
        return;
    if (a->g.json) {
        json_t *o = show_record("healed");
        json_object_set_new(o, "object", json_string(name));
        json_object_set_new(o, "from_copy", json_boolean(state == COPIES_BAD_FIRST));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(state == COPIES_BAD_FIRST ? _("healed: %s, from its copy\n") : _("healed: the copy of %s\n"),
               name);
    }
}

static int check_run_command(struct app *a, const void *args, const struct operands *ops,
                             struct bk_error *err)
{
    (void)ops;
    const struct check_args *x = args;
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(session_free) struct session *session = NULL;
    int r = app_open_repo(a, &repo, err);
    if (r == 0 && (x->read_data || x->sample > 0))
        r = session_hold(repo, &a->job, "check", &session, err);
    if (r == 0 && x->heal)
        r = copies_compare(repo, true, on_healed, a, err);
    if (r == 0)
        r = ui_begin(&a->ui, "check", err);
    if (r < 0)
        return r;
    struct check_opts o = { .read_data = x->read_data, .sample_percent = x->sample };
    struct check_report report = { 0 };
    r = check_run(repo, &a->job, &o, on_damage, a, &report, err);
    ui_end(&a->ui);
    if (r < 0)
        return r;
    if (a->g.json)
        emit(a, &report);
    else if (!a->g.quiet)
        print(a, &report);
    return report.n_damages || report.n_files_hit ? BK_E_CORRUPT : 0;
}

const struct command cmd_check = {
    .name = "check",
    .uncached = true,
    .summary = N_("Check that everything is there and holds"),
    .about = N_("Checks the structure: every object, snapshot and folder, and that every chunk they need is "
                "there. --read-data "
                "also reads and verifies all data. Damage is listed with the snapshots, files and byte "
                "ranges it hits; the "
                "exit status is then 5. Nothing is changed but by --heal."),
    .opts = check_opts,
    .args_size = sizeof(struct check_args),
    .examples = (const struct example[]){ { N_("the structure, in little time"), "bkctl check" },
                                          { N_("a tenth of the data each week"), "bkctl check --sample 10%" },
                                          { 0 } },
    .run = check_run_command,
};
