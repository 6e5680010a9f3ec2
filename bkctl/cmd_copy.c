/* copy: snapshots into another repository. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/copy_status.h"
#include "bkctl/secret.h"
#include "bkctl/show.h"
#include "bkd/copy/copy.h"
#include "bkd/life/calendar.h"

struct copy_args {
    const char *to, *password_file, *password_command, *key_file, *identity;
    const char *name, *host, *newer;
    struct opt_list tags;
    bool all, keep_damaged, dry_run, status;
    int level;
};

static const struct opt copy_opts[] = {
    OPT_STR(struct copy_args, to, 0, "to", N_("DIR"), N_("the repository to copy to"),
            .env = "BKCTL_TO_REPO"),
    OPT_STR(struct copy_args, password_file, 0, "to-password-file", N_("FILE"),
            N_("read its passphrase from the first line of FILE"),
            .conflicts = "to-password-command to-key-file to-identity"),
    OPT_STR(struct copy_args, password_command, 0, "to-password-command", N_("COMMAND"),
            N_("read its passphrase from what COMMAND prints"), .conflicts = "to-key-file to-identity"),
    OPT_STR(struct copy_args, key_file, 0, "to-key-file", N_("FILE"),
            N_("unlock it with the bytes of a key file"), .conflicts = "to-identity"),
    OPT_STR(struct copy_args, identity, 0, "to-identity", N_("FILE"),
            N_("unlock it with a private key (PEM)")),
    OPT_FLAG(struct copy_args, all, 0, "all", N_("all snapshots")),
    OPT_STR(struct copy_args, name, 0, "name", N_("NAME"), N_("those of this name")),
    OPT_STR(struct copy_args, host, 0, "host", N_("HOST"), N_("those of this host")),
    OPT_LIST(struct copy_args, tags, 0, "tag", N_("TAG"),
             N_("those with this tag; repeated: with all of them")),
    OPT_STR(struct copy_args, newer, 0, "newer-than", N_("DUR"),
            N_("those that began less than DUR ago: 7d, 1y6m, 2w12h")),
    OPT_FLAG(struct copy_args, keep_damaged, 0, "keep-damaged",
             N_("copy what is sound of damaged snapshots, and record the rest as exceptions")),
    OPT_INT(struct copy_args, level, 0, "compression", 0, 19, N_("zstd level; 0 stores as it is"),
            .def = "1"),
    OPT_FLAG(struct copy_args, dry_run, 'n', "dry-run", N_("say what would be copied and change nothing")),
    OPT_FLAG(struct copy_args, status, 0, "status",
             N_("tell what is copied, and how far behind the copies are"), .conflicts = "dry-run"),
    OPT_END,
};

struct tally {
    size_t copied, there, refused, with_losses;
    uint64_t read_bytes, new_bytes, stored_bytes, losses;
};

static void on_loss(void *ctx, const struct copy_loss *l)
{
    struct app *a = ctx;
    char id[SHOW_ID], path[2048], where[128] = "";
    if (a->g.json) {
        json_t *o = show_record("damage");
        json_object_set_new(o, "snapshot", json_string(text_hex(l->snap->id, SESSION_ID, id)));
        text_json_bytes(o, "path", l->path, l->path_len);
        json_object_set_new(o, "code", json_string(bk_code_name(l->why->code)));
        json_object_set_new(o, "text", json_string(l->why->text));
        if (l->len) {
            json_object_set_new(o, "offset", text_json_u64(l->offset));
            json_object_set_new(o, "length", text_json_u64(l->len));
        }
        ui_emit(&a->ui, o);
        return;
    }
    text_path(l->path, l->path_len, path, sizeof path);
    if (l->len)
        snprintf(where, sizeof where, _(", bytes %llu to %llu"), (unsigned long long)l->offset,
                 (unsigned long long)(l->offset + l->len - 1));
    ui_warn(&a->ui, _("damaged in the source: snapshot %s: %s%s (%s)"), show_short_id(l->snap->id, id), path,
            where, l->why->text);
}

static void on_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct app *a = ctx;
    ui_warn(&a->ui, _("%s is damaged and left out: %s"), object, why->text);
}

static bool has_tags(const struct catalog_item *i, const struct opt_list *tags)
{
    const struct snapshot_list *l = catalog_tags(i);
    for (size_t t = 0; t < tags->n; t++) {
        size_t k = 0;
        while (k < l->n && strcmp(l->v[k], tags->v[t]) != 0)
            k++;
        if (k == l->n)
            return false;
    }
    return true;
}

static bool fits(const struct catalog_item *i, const struct copy_args *x, int64_t since_s)
{
    return !(x->name && strcmp(i->snap.name, x->name)) && !(x->host && strcmp(i->snap.host, x->host)) &&
           has_tags(i, &x->tags) && (!x->newer || i->snap.start_ns / 1000000000 >= since_s);
}

static int by_names(const struct copy *c, const struct operands *ops, bool *chosen, struct bk_error *err)
{
    for (size_t i = 0; i < ops->n; i++) {
        const struct catalog_item *it = NULL;
        int r = catalog_resolve(copy_source(c), ops->v[i], &it, err);
        if (r < 0)
            return r;
        chosen[it - copy_source(c)->v] = true;
    }
    return 0;
}

static int choose(const struct copy *c, const struct copy_args *x, const struct operands *ops, bool *chosen,
                  struct bk_error *err)
{
    int64_t now_s = world_real.now_ns(world_real.ctx) / 1000000000, since_s = now_s;
    struct calendar_span span;
    if (ops->n)
        return by_names(c, ops, chosen, err);
    if (x->newer) {
        int r = calendar_span_parse(x->newer, &span, err);
        if (r < 0)
            return bk_context(err, "--newer-than");
        since_s = calendar_before(now_s, &span);
    }
    for (size_t i = 0; i < copy_source(c)->n; i++)
        chosen[i] = fits(&copy_source(c)->v[i], x, since_s);
    return 0;
}

static int check_request(const struct copy_args *x, const struct operands *ops, struct bk_error *err)
{
    bool filters = x->name || x->host || x->tags.n || x->newer;
    if (!x->to || !*x->to) {
        bk_fail(err, BK_E_USAGE, "no repository to copy to was named");
        return bk_hint(err, "use --to DIR or set BKCTL_TO_REPO");
    }
    if (ops->n && (filters || x->all))
        return bk_fail(err, BK_E_USAGE, "name snapshots or say which, not both");
    if (!ops->n && !filters && !x->all && !x->status) {
        bk_fail(err, BK_E_USAGE, "which snapshots?");
        return bk_hint(err, "name some, say which with --name, --host, --tag or --newer-than, or --all");
    }
    return 0;
}

static void tell_one(struct app *a, const struct catalog_item *i, const struct copy_result *p)
{
    char id[SHOW_ID], copy[SHOW_ID], name[512], size[TEXT_SIZE];
    if (a->g.json) {
        json_t *o = show_record("copy");
        json_object_set_new(o, "snapshot", json_string(text_hex(i->snap.id, SESSION_ID, id)));
        text_json_bytes(o, "name", i->snap.name, strlen(i->snap.name));
        json_object_set_new(o, "copy",
                            p->refused ? json_null() : json_string(text_hex(p->id, SESSION_ID, copy)));
        json_object_set_new(o, "read_bytes", text_json_u64(p->read_bytes));
        json_object_set_new(o, "new_bytes", text_json_u64(p->new_bytes));
        json_object_set_new(o, "stored_bytes", text_json_u64(p->stored_bytes));
        json_object_set_new(o, "losses", text_json_u64(p->n_losses));
        ui_emit(&a->ui, o);
        return;
    }
    text_path(i->snap.name, strlen(i->snap.name), name, sizeof name);
    if (p->refused)
        ui_warn(&a->ui, _("snapshot %s (%s) is damaged and was not copied; see --keep-damaged"),
                show_short_id(i->snap.id, id), name);
    else if (!a->g.quiet)
        printf(_("copied %s as %s (%s): %s stored\n"), show_short_id(i->snap.id, id),
               show_short_id(p->id, copy), name, text_bytes(p->stored_bytes, size));
    if (p->n_losses > COPY_LOSSES_TOLD)
        ui_warn(&a->ui, _("%llu damaged places in all; the first %d are listed"),
                (unsigned long long)p->n_losses, (int)COPY_LOSSES_TOLD);
}

static void add_up(struct tally *t, const struct copy_result *p)
{
    t->copied += !p->refused;
    t->refused += p->refused;
    t->with_losses += !p->refused && p->n_losses;
    t->read_bytes += p->read_bytes;
    t->new_bytes += p->new_bytes;
    t->stored_bytes += p->stored_bytes;
    t->losses += p->n_losses;
}

static bool is_there(const struct copy *c, const struct catalog_item *i, const struct copy_args *x)
{
    const struct snapshot *t = copy_there(c, i);
    return t && (x->keep_damaged || !copy_is_damaged(t, &i->snap));
}

/* In a dry run: what there is to do. */
static int tell_plan(struct app *a, const struct copy *c, const bool *due, struct bk_error *err)
{
    bk_auto(table_clear) struct table t;
    table_init(&t, 4, 1 << 2);
    const char *const heads[] = { _("Id"), _("Time"), _("Size"), _("Name") };
    for (size_t i = 0; i < BK_COUNT(heads); i++)
        table_cell(&t, "%s", heads[i]);
    size_t n = 0;
    for (size_t i = 0; i < copy_source(c)->n; i++) {
        const struct snapshot *s = &copy_source(c)->v[i].snap;
        char id[SHOW_ID], when[TEXT_TIME], size[TEXT_SIZE], name[512];
        if (!due[i])
            continue;
        n++;
        if (a->g.json) {
            json_t *o = show_record("copy");
            json_object_set_new(o, "snapshot", json_string(text_hex(s->id, SESSION_ID, id)));
            text_json_bytes(o, "name", s->name, strlen(s->name));
            json_object_set_new(o, "copy", json_null());
            ui_emit(&a->ui, o);
        }
        table_cell(&t, "%s", show_short_id(s->id, id));
        table_cell(&t, "%s", text_time(s->start_ns / 1000000000, when));
        table_cell(&t, "%s", text_bytes(s->content_bytes, size));
        table_cell(&t, "%s", text_path(s->name, strlen(s->name), name, sizeof name));
    }
    if (a->g.json)
        return 0;
    if (!n) {
        puts(_("nothing to copy"));
        return 0;
    }
    return table_print(&t, stdout, err);
}

static int carry_out(struct app *a, struct copy *c, const bool *due, struct tally *t, struct bk_error *err)
{
    int r = ui_begin(&a->ui, "copy", err);
    for (size_t i = 0; i < copy_source(c)->n && r == 0; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        struct copy_result p;
        if (!due[i])
            continue;
        r = copy_one(c, it, &p, err);
        if (r < 0) {
            char id[SHOW_ID];
            bk_context(err, "snapshot %s", show_short_id(it->snap.id, id));
            break;
        }
        a->job.done_items++;
        add_up(t, &p);
        tell_one(a, it, &p);
    }
    ui_end(&a->ui);
    return r;
}

static int result(struct app *a, const struct tally *t, bool dry_run)
{
    char copied[TEXT_COUNT], read[TEXT_SIZE], stored[TEXT_SIZE], time[TEXT_SIZE];
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "dry_run", json_boolean(dry_run));
        json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
        json_object_set_new(o, "copied", text_json_u64(t->copied));
        json_object_set_new(o, "there", text_json_u64(t->there));
        json_object_set_new(o, "refused", text_json_u64(t->refused));
        json_object_set_new(o, "losses", text_json_u64(t->losses));
        json_object_set_new(o, "read_bytes", text_json_u64(t->read_bytes));
        json_object_set_new(o, "new_bytes", text_json_u64(t->new_bytes));
        json_object_set_new(o, "stored_bytes", text_json_u64(t->stored_bytes));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet && !dry_run) {
        printf(_("copied %s in %s, %llu were there already; %s read, %s stored\n"),
               TEXT_COUNTED(copied, "%llu snapshot", "%llu snapshots", t->copied),
               text_seconds(ui_seconds(&a->ui), time), (unsigned long long)t->there,
               text_bytes(t->read_bytes, read), text_bytes(t->stored_bytes, stored));
    }
    return t->refused ? BK_E_CORRUPT : t->with_losses ? BK_E_EXCEPTIONS : 0;
}

static int open_both(struct app *a, const struct copy_args *x, struct repo **from, struct repo **to,
                     struct bk_error *err)
{
    struct secret_source src = {
        .password_file = x->password_file,
        .password_command = x->password_command,
        .key_file = x->key_file,
        .pem_file = x->identity,
        .env = "BKCTL_TO_PASSWORD",
        .prompt = _("Passphrase of the repository to copy to: "),
    };
    int r = app_open_repo(a, from, err);
    return r < 0 ? r : app_open_second(a, x->to, &src, to, err);
}

static int copy_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct copy_args *x = args;
    bk_auto(repo_free) struct repo *from = NULL;
    bk_auto(repo_free) struct repo *to = NULL;
    bk_auto(copy_free) struct copy *c = NULL;
    struct copy_opts o = { .keep_damaged = x->keep_damaged,
                           .zstd_level = x->level,
                           .forgetful = a->g.no_cache,
                           .on_loss = on_loss,
                           .on_damage = on_damage,
                           .ctx = a };
    int r = check_request(x, ops, err);
    if (r == 0)
        r = open_both(a, x, &from, &to, err);
    if (r == 0)
        r = copy_open(from, to, &a->job, &o, &c, err);
    if (r < 0)
        return r;
    bk_auto(free) bool *chosen = calloc(copy_source(c)->n + 1, sizeof *chosen);
    if (!chosen)
        return bk_fail(err, BK_E_NOMEM, "choose the snapshots");
    r = choose(c, x, ops, chosen, err);
    if (r == 0 && x->status)
        return copy_status(a, c, chosen, repo_store(to)->url, err);
    struct tally t = { 0 };
    for (size_t i = 0; i < copy_source(c)->n && r == 0; i++)
        if (chosen[i] && is_there(c, &copy_source(c)->v[i], x)) {
            chosen[i] = false;
            t.there++;
        }
    if (r == 0)
        r = x->dry_run ? tell_plan(a, c, chosen, err) : carry_out(a, c, chosen, &t, err);
    return r < 0 ? r : result(a, &t, x->dry_run);
}

const struct command cmd_copy = {
    .name = "copy",
    .summary = N_("Copy snapshots into another repository"),
    .operands = N_("[SNAP...]"),
    .about =
        N_("The other repository has its own keys, and may have another suite and lie in another store. "
           "Only what it lacks "
           "is read and sent: a snapshot that it has is not copied again, on whichever way it came; of "
           "one that has an "
           "older copy, only what changed is read. A run that was interrupted is continued by the "
           "next.\n\n"
           "A snapshot of which something cannot be read is not copied, and what is damaged is listed; "
           "the exit status is "
           "then 5. With --keep-damaged it is copied, with zeroes in the place of what is lost, which is "
           "recorded with the "
           "copy; the exit status is then 10, and once the source is sound again, the next run without "
           "this option makes a "
           "sound copy.\n\n"
           "Tags are copied as they are now, holds are not. A copy is the base of its own repository's "
           "next copy: copies "
           "share their data with each other, and with backups made there only when the repository was "
           "made with init "
           "--chunker-like."),
    .opts = copy_opts,
    .args_size = sizeof(struct copy_args),
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("everything to a second site"), "bkctl copy --all --to s3://backup.example.org/offsite "
                                                 "--to-password-file /etc/bkctl/offsite" },
            { N_("the last week of one name"), "bkctl copy --name web --newer-than 7d --to /mnt/usb/repo" },
            { N_("how far behind the copies are"), "bkctl copy --status --to /mnt/usb/repo" },
            { 0 } },
    .run = copy_run,
};
