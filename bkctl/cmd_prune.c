/* prune: delete what no snapshot needs; explain why something stays. */
#include <errno.h>

#include "bkctl/command.h"
#include "bkctl/prune.h"
#include "bkctl/show.h"
#include "bkd/life/explain.h"
#include "bkd/life/prune.h"

struct prune_args {
    bool dry_run;
    uint64_t max_repack;
    double max_unused;
    const char *session_timeout, *max_wait;
};

static const struct opt prune_opts[] = {
    OPT_FLAG(struct prune_args, dry_run, 'n', "dry-run", N_("say what would go and change nothing")),
    OPT_SIZE(struct prune_args, max_repack, 0, "max-repack",
             N_("write at most so many bytes of half-used packs anew")),
    OPT_PERCENT(struct prune_args, max_unused, 0, "max-unused",
                N_("write half-used packs anew until no more than this share is unused"), .def = "5%"),
    OPT_STR(struct prune_args, session_timeout, 0, "session-timeout", N_("TIME"),
            N_("a session that gives no sign of life for so long is dead: 90s, 15m, 2h"), .def = "15m"),
    OPT_STR(struct prune_args, max_wait, 0, "max-wait", N_("TIME"),
            N_("wait so long for backups and restores that are under way, then stop; the next run goes on"),
            .def = "24h"),
    OPT_END,
};

static int parse_seconds(const char *text, unsigned *ret, struct bk_error *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    unsigned long each = strcmp(end, "h") == 0 ? 3600 : strcmp(end, "m") == 0 ? 60 : 1;
    bool unit = !*end || strcmp(end, "s") == 0 || each > 1;
    if (errno || end == text || text[0] == '-' || !unit || n == 0 || n > 31536000 / each) {
        bk_fail(err, BK_E_USAGE, "'%s' is no length of time", text);
        return bk_hint(err, "a number with s, m or h: 90s, 15m, 2h");
    }
    *ret = (unsigned)(n * each);
    return 0;
}

static void emit(struct app *a, const struct prune_report *p, bool dry_run)
{
    json_t *o = show_record("result");
    json_object_set_new(o, "dry_run", json_boolean(dry_run));
    json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
    json_object_set_new(o, "snapshots", text_json_u64(p->n_snapshots));
    json_object_set_new(o, "packs", text_json_u64(p->n_packs));
    json_object_set_new(o, "bytes", text_json_u64(p->bytes));
    json_object_set_new(o, "chunks", text_json_u64(p->n_chunks));
    json_object_set_new(o, "chunks_needed", text_json_u64(p->n_needed));
    json_object_set_new(o, "unused_bytes", text_json_u64(p->unused_bytes));
    json_object_set_new(o, "packs_unneeded", text_json_u64(p->n_unneeded));
    json_object_set_new(o, "bytes_unneeded", text_json_u64(p->unneeded_bytes));
    json_object_set_new(o, "packs_repacked", text_json_u64(p->n_moved));
    json_object_set_new(o, "bytes_repacked", text_json_u64(p->moved_bytes));
    json_object_set_new(o, "bytes_written", text_json_u64(p->written_bytes));
    json_object_set_new(o, "packs_lifted", text_json_u64(p->n_lifted));
    json_object_set_new(o, "packs_deleted", text_json_u64(p->n_deleted));
    json_object_set_new(o, "bytes_deleted", text_json_u64(p->deleted_bytes));
    json_object_set_new(o, "objects_locked", text_json_u64(p->n_locked));
    json_object_set_new(o, "bytes_locked", text_json_u64(p->locked_bytes));
    json_object_set_new(o, "segments_written", text_json_u64(p->n_segments_put));
    json_object_set_new(o, "segments_deleted", text_json_u64(p->n_segments_removed));
    json_object_set_new(o, "sessions_waited", text_json_u64(p->n_waited));
    json_object_set_new(o, "sessions_ended", text_json_u64(p->n_fenced));
    json_object_set_new(o, "resumed", text_json_u64(p->n_resumed));
    ui_emit(&a->ui, o);
}

static void print_plan(const struct prune_report *p, bool dry_run)
{
    char packs[TEXT_COUNT], b[TEXT_SIZE], c[TEXT_SIZE];
    printf(dry_run ? _("  would go: %s with nothing that is needed, %s\n") : _("  not needed: %s, %s\n"),
           TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_unneeded), text_bytes(p->unneeded_bytes, b));
    if (dry_run && p->n_moved)
        printf(_("  would be written anew: %s half in use, %s\n"),
               TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_moved), text_bytes(p->moved_bytes, b));
    else if (p->n_moved)
        printf(_("  written anew: %s half in use, %s became %s\n"),
               TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_moved), text_bytes(p->moved_bytes, b),
               text_bytes(p->written_bytes, c));
}

static void print(struct app *a, const struct prune_report *p, bool dry_run)
{
    char snapshots[TEXT_COUNT], packs[TEXT_COUNT], b[TEXT_SIZE], t[TEXT_SIZE];
    printf(_("looked at %s and %s, %s, in %s\n"),
           TEXT_COUNTED(snapshots, "%llu snapshot", "%llu snapshots", p->n_snapshots),
           TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_packs), text_bytes(p->bytes, b),
           text_seconds(ui_seconds(&a->ui), t));
    print_plan(p, dry_run);
    if (dry_run)
        return;
    if (p->n_lifted)
        printf(_("  needed after all by snapshots that came meanwhile: %s\n"),
               TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_lifted));
    if (p->n_fenced)
        printf(_("  dead sessions ended: %llu\n"), (unsigned long long)p->n_fenced);
    printf(_("  deleted: %s, %s\n"), TEXT_COUNTED(packs, "%llu pack", "%llu packs", p->n_deleted),
           text_bytes(p->deleted_bytes, b));
    if (p->n_locked)
        printf(_("  still locked by the store, to go with a later prune: %s, %s\n"),
               TEXT_COUNTED(packs, "%llu object", "%llu objects", p->n_locked),
               text_bytes(p->locked_bytes, b));
}

static int collect(struct app *a, const struct prune_args *x, struct repo *repo, struct bk_error *err)
{
    struct prune_opts o = { .dry_run = x->dry_run,
                            .max_repack = x->max_repack,
                            .max_unused_percent = x->max_unused };
    struct prune_report report = { 0 };
    int r = parse_seconds(x->session_timeout, &o.timeout_s, err);
    if (r == 0)
        r = parse_seconds(x->max_wait, &o.max_wait_s, err);
    if (r == 0)
        r = ui_begin(&a->ui, "prune", err);
    if (r < 0)
        return r;
    r = prune_run(repo, &a->job, &o, &report, err);
    ui_end(&a->ui);
    if (r < 0)
        return r;
    if (a->g.json)
        emit(a, &report, x->dry_run);
    else if (!a->g.quiet)
        print(a, &report, x->dry_run);
    return 0;
}

int prune_collect(struct app *a, struct repo *repo, struct bk_error *err)
{
    const struct prune_args defaults = { .max_unused = PRUNE_MAX_UNUSED,
                                         .session_timeout = "15m",
                                         .max_wait = "24h" };
    return collect(a, &defaults, repo, err);
}

static void on_use(void *ctx, const struct snapshot *s, const void *path, size_t len)
{
    struct app *a = ctx;
    char id[SHOW_ID];
    if (a->g.json) {
        json_t *o = show_record("use");
        json_object_set_new(o, "snapshot", json_string(text_hex(s->id, SESSION_ID, id)));
        text_json_bytes(o, "path", path, len);
        ui_emit(&a->ui, o);
        return;
    }
    printf("%s  ", show_short_id(s->id, id));
    text_path_put(stdout, path, len);
    putchar('\n');
}

static const char *const state_names[] = { "none", "candidate", "doomed", "lifted" };

static void emit_why(struct app *a, const struct explain_report *p)
{
    json_t *o = show_record("result");
    json_object_set_new(o, "is", json_string(p->is_pack ? "pack" : "chunk"));
    json_object_set_new(o, "object", json_string(p->object));
    json_object_set_new(o, "bytes", text_json_u64(p->bytes));
    json_object_set_new(o, "in_index", json_boolean(p->named));
    json_object_set_new(o, "collection", json_string(state_names[p->state]));
    json_object_set_new(o, "chunks", text_json_u64(p->n_chunks));
    json_object_set_new(o, "chunks_needed", text_json_u64(p->n_needed));
    json_object_set_new(o, "snapshots", text_json_u64(p->n_snapshots));
    json_object_set_new(o, "uses", text_json_u64(p->n_uses));
    ui_emit(&a->ui, o);
}

static void print_why(const struct explain_report *p)
{
    char snapshots[TEXT_COUNT], chunks[TEXT_COUNT], b[TEXT_SIZE];
    if (p->is_pack)
        printf(_("%s: %s, %s, %llu of them needed\n"), p->object, text_bytes(p->bytes, b),
               TEXT_COUNTED(chunks, "%llu chunk", "%llu chunks", p->n_chunks),
               (unsigned long long)p->n_needed);
    else
        printf(_("the chunk is in %s\n"), p->object);
    if (p->is_pack && !p->named)
        puts(_("it is in no index: an interrupted run left it, or one that is at work writes it"));
    if (p->state == EXPLAIN_CANDIDATE)
        puts(_("an undecided collection may delete it"));
    if (p->state == EXPLAIN_DOOMED)
        puts(_("the collection has decided to delete it"));
    if (p->state == EXPLAIN_LIFTED)
        puts(_("it was to go and turned out to be needed"));
    if (p->n_uses)
        printf(_("needed by %s\n"),
               TEXT_COUNTED(snapshots, "%llu snapshot", "%llu snapshots", p->n_snapshots));
    else
        puts(_("no snapshot needs it: the next prune may delete it"));
}

static int explain(struct app *a, const char *what, struct repo *repo, struct bk_error *err)
{
    struct explain_report report = { 0 };
    int r = explain_run(repo, &a->job, what, on_use, a, &report, err);
    if (r < 0)
        return r;
    if (a->g.json)
        emit_why(a, &report);
    else
        print_why(&report);
    return 0;
}

static int prune_command(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    bool why = ops->n && strcmp(ops->v[0], "explain") == 0;
    if (ops->n && (!why || ops->n != 2)) {
        bk_fail(err, BK_E_USAGE, "prune takes no operands, or explain and what is to be explained");
        return bk_hint(err, "bkctl prune explain PACK");
    }
    bk_auto(repo_free) struct repo *repo = NULL;
    int r = app_open_repo(a, &repo, err);
    if (r < 0)
        return r;
    return why ? explain(a, ops->v[1], repo, err) : collect(a, args, repo, err);
}

const struct command cmd_prune = {
    .name = "prune",
    .summary = N_("Delete what no snapshot needs"),
    .operands = N_("[explain CHUNK|PACK]"),
    .about = N_(
        "Snapshots are removed by forget; prune then deletes what none of the others needs. It runs beside "
        "backups and restores: they never wait for it, it waits for those that were under way when it made "
        "its "
        "list, and declares those dead that give no sign of life for --session-timeout (those of this host "
        "whose "
        "process is gone at once). It names whom it waits for, and after --max-wait it stops with BUSY; the "
        "next run takes up its list.\n\n"
        "Packs in which nothing is needed go as they are. Of those half in use the needed part is written "
        "anew, the emptiest first. When it is interrupted, the next run goes on from there. What a store "
        "with "
        "object lock does not let go yet stays, and goes with a later run.\n\n"
        "prune explain says who needs a pack or a chunk, or that nobody does."),
    .verbs = "explain",
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .examples = (const struct example[]){ { N_("what would go"), "bkctl prune --dry-run" },
                                          { N_("with little writing"), "bkctl prune --max-repack 1G" },
                                          { N_("why does it stay"), "bkctl prune explain 3f2a9c01" },
                                          { 0 } },
    .max_operands = 2,
    .run = prune_command,
};
