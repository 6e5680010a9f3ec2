/* forget: snapshots go, by rules or by name. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/confirm.h"
#include "bkctl/prune.h"
#include "bkctl/show.h"
#include "bkctl/zone.h"
#include "bkd/life/forget.h"

struct forget_args {
    int count[RETENTION_COUNTED];
    const char *within, *name, *host, *zone;
    struct opt_list keep_tags, tags;
    int group_by; /* 0 name and host, 1 name */
    bool dry_run, yes, damaged, prune;
};

#define KEEP(rule, name, help) OPT_INT(struct forget_args, count[rule], 0, name, 0, 1000000, help, .def = "0")

static const struct opt forget_opts[] = {
    KEEP(RETENTION_LAST, "keep-last", N_("keep the last N")),
    KEEP(RETENTION_HOURLY, "keep-hourly", N_("keep the last one of each of the last N hours")),
    KEEP(RETENTION_DAILY, "keep-daily", N_("keep the last one of each of the last N days")),
    KEEP(RETENTION_WEEKLY, "keep-weekly", N_("keep the last one of each of the last N weeks")),
    KEEP(RETENTION_MONTHLY, "keep-monthly", N_("keep the last one of each of the last N months")),
    KEEP(RETENTION_YEARLY, "keep-yearly", N_("keep the last one of each of the last N years")),
    OPT_STR(struct forget_args, within, 0, "keep-within", N_("DUR"),
            N_("keep all that are less than DUR older than the newest: 7d, 1y6m, 2w12h")),
    OPT_LIST(struct forget_args, keep_tags, 0, "keep-tag", N_("TAG"), N_("keep all with this tag")),
    OPT_STR(struct forget_args, name, 0, "name", N_("NAME"), N_("only of this name")),
    OPT_STR(struct forget_args, host, 0, "host", N_("HOST"), N_("only of this host")),
    OPT_LIST(struct forget_args, tags, 0, "tag", N_("TAG"),
             N_("only with this tag; repeated: with all of them")),
    OPT_CHOICE(struct forget_args, group_by, 0, "group-by", "name,host|name",
               N_("what the rules are applied to, each by itself"), .def = "name,host"),
    OPT_STR(struct forget_args, zone, 0, "time-zone", N_("ZONE"),
            N_("whose days, weeks and months: local, UTC, +08:00, Asia/Shanghai"), .def = "local"),
    OPT_FLAG(struct forget_args, dry_run, 'n', "dry-run", N_("explain each decision and change nothing")),
    OPT_FLAG(struct forget_args, yes, 0, "yes", N_("do it without asking, also when much would go")),
    OPT_FLAG(struct forget_args, prune, 0, "prune",
             N_("then collect what nobody needs any more, as bkctl prune does"), .conflicts = "dry-run"),
    OPT_FLAG(struct forget_args, damaged, 0, "damaged",
             N_("forget snapshots that cannot be read, by their whole ids"), .conflicts = "dry-run"),
    OPT_END,
};

static void emit_decision(struct app *a, const struct forget_plan *p, size_t i)
{
    const struct catalog_item *item = &p->catalog.v[i];
    const struct retention_verdict *v = &p->verdict[i];
    char id[SHOW_ID], when[TEXT_TIME], text[RETENTION_TEXT];
    json_t *o = show_record("decision"), *why = json_array();
    json_object_set_new(o, "snapshot", json_string(text_hex(item->snap.id, SESSION_ID, id)));
    text_json_bytes(o, "name", item->snap.name, strlen(item->snap.name));
    text_json_bytes(o, "host", item->snap.host, strlen(item->snap.host));
    json_object_set_new(o, "start",
                        json_string(text_time_iso(item->snap.start_ns / 1000000000,
                                                  (uint32_t)(item->snap.start_ns % 1000000000), when)));
    json_object_set_new(o, "keep", json_boolean(v->keep));
    for (unsigned bit = 1; bit && bit <= v->why; bit <<= 1)
        if (v->why & bit)
            json_array_append_new(why, json_string(retention_why_name(bit)));
    json_object_set_new(o, "reasons", why);
    json_object_set_new(o, "text", json_string(retention_explain(&p->in, item, v, text)));
    if (v->why & RETENTION_MINIMUM)
        json_object_set_new(o, "free", json_string(text_time_iso(v->free_s, 0, when)));
    ui_emit(&a->ui, o);
}

static void add_row(struct table *t, const struct forget_plan *p, size_t i)
{
    const struct catalog_item *item = &p->catalog.v[i];
    const struct retention_verdict *v = &p->verdict[i];
    char id[SHOW_ID], when[TEXT_TIME], name[256], host[256], text[RETENTION_TEXT];
    table_cell(t, "%s", v->keep ? _("keep") : _("remove"));
    table_cell(t, "%s", show_short_id(item->snap.id, id));
    table_cell(t, "%s", text_time(item->snap.start_ns / 1000000000, when));
    table_cell(t, "%s", text_path(item->snap.name, strlen(item->snap.name), name, sizeof name));
    table_cell(t, "%s", text_path(item->snap.host, strlen(item->snap.host), host, sizeof host));
    table_cell(t, "%s", retention_explain(&p->in, item, v, text));
}

/* Every decision with its reasons, group by group. */
static int explain(struct app *a, const struct forget_plan *p, bool print, struct bk_error *err)
{
    bk_auto(table_clear) struct table t;
    table_init(&t, 6, 0);
    const char *const heads[] = { _("Decision"), _("Id"), _("Time"), _("Name"), _("Host"), _("Reason") };
    for (size_t i = 0; i < BK_COUNT(heads); i++)
        table_cell(&t, "%s", heads[i]);
    size_t groups = p->n_groups ? p->n_groups : 1, rows = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < p->catalog.n; i++) {
            if (p->verdict[i].group != g || p->verdict[i].why & RETENTION_NOT_ASKED)
                continue;
            rows++;
            if (a->g.json)
                emit_decision(a, p, i);
            else
                add_row(&t, p, i);
        }
    return print && rows ? table_print(&t, stdout, err) : 0;
}

static int guard(struct app *a, const struct forget_plan *p, bool yes, struct bk_error *err)
{
    struct forget_shrink s = { 0 };
    char name[256] = "", question[512];
    if (yes || !forget_shrinks(p, &s))
        return 0;
    if (s.of)
        text_path(s.of->name, strlen(s.of->name), name, sizeof name);
    snprintf(question, sizeof question, _("%zu of %zu snapshots of %s would go; go on"), s.n_remove, s.n,
             name);
    int agreed = confirm(a, question);
    if (agreed == 1)
        return 0;
    if (agreed == 0)
        return bk_fail(err, BK_E_CANCELLED, "nothing was removed");
    bk_fail(err, BK_E_LIMIT, "%zu of %zu snapshots of %s would go: nothing was removed", s.n_remove, s.n,
            name);
    return bk_hint(err, "see what goes and why with --dry-run, and say --yes if it is meant");
}

static void on_gone(void *ctx, const struct catalog_item *i, const char *why)
{
    struct app *a = ctx;
    char id[SHOW_ID];
    if (why)
        ui_warn(&a->ui, _("snapshot %s is left: %s; run it again"), show_short_id(i->snap.id, id), why);
}

static int result(struct app *a, const struct forget_args *x, const struct forget_plan *p,
                  const struct forget_report *rep, const struct zone *z)
{
    size_t removed = x->dry_run ? p->n_remove : rep->n_removed;
    char kept[TEXT_COUNT], gone[TEXT_COUNT];
    if (a->g.json) {
        json_t *o = show_record(x->prune ? "forgotten" : "result");
        json_object_set_new(o, "dry_run", json_boolean(x->dry_run));
        json_object_set_new(o, "removed", text_json_u64(removed));
        json_object_set_new(o, "kept", text_json_u64(p->n_keep));
        json_object_set_new(o, "skipped", text_json_u64(rep->n_skipped));
        json_object_set_new(o, "locked", text_json_u64(rep->n_locked));
        json_object_set_new(o, "minimum_seconds", text_json_u64(p->lock.seconds));
        json_object_set_new(o, "time_zone", json_string(z->name));
        ui_emit(&a->ui, o);
        return 0;
    }
    if (a->g.quiet)
        return 0;
    TEXT_COUNTED(gone, "%llu snapshot", "%llu snapshots", removed);
    TEXT_COUNTED(kept, "%llu snapshot", "%llu snapshots", p->n_keep);
    if (p->n_groups)
        printf(x->dry_run ? _("would remove %s and keep %s (days and weeks of time zone %s)\n")
                          : _("removed %s, kept %s (days and weeks of time zone %s)\n"),
               gone, kept, z->name);
    else
        printf(x->dry_run ? _("would remove %s\n") : _("removed %s\n"), gone);
    return 0;
}

static void on_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct app *a = ctx;
    ui_warn(&a->ui, _("%s is damaged and left out: %s"), object, why->text);
}

static int forget_broken(struct app *a, const struct forget_args *x, struct repo *repo,
                         const struct operands *ops, struct bk_error *err)
{
    if (!ops->n)
        return bk_fail(err, BK_E_USAGE, "--damaged needs the whole ids of the snapshots that are to go");
    for (size_t i = 0; i < ops->n; i++) {
        int r = forget_damaged(repo, ops->v[i], err);
        if (r < 0)
            return r;
        if (!a->g.json && !a->g.quiet)
            printf(_("removed the damaged snapshot %s\n"), ops->v[i]);
    }
    if (a->g.json) {
        json_t *o = show_record(x->prune ? "forgotten" : "result");
        json_object_set_new(o, "removed", text_json_u64(ops->n));
        ui_emit(&a->ui, o);
    }
    return x->prune ? prune_collect(a, repo, err) : 0;
}

static int what_to_do(const struct forget_args *x, struct zone *z, struct retention_input *ret,
                      struct bk_error *err)
{
    *ret = (struct retention_input){ .by_name_only = x->group_by == 1 };
    for (int i = 0; i < RETENTION_COUNTED; i++)
        ret->rules.count[i] = (unsigned)x->count[i];
    ret->rules.tags = x->keep_tags.v;
    ret->rules.n_tags = x->keep_tags.n;
    ret->scope = (struct retention_scope){ x->name, x->host, x->tags.v, x->tags.n };
    int r = zone_find(x->zone, z, err);
    ret->zone = zone_for_rules(z);
    if (r == 0 && x->within)
        r = calendar_span_parse(x->within, &ret->rules.within, err);
    return r;
}

static int plan(struct app *a, const struct forget_args *x, const struct retention_input *what,
                struct repo *repo, const struct operands *ops, struct forget_plan *ret, struct bk_error *err)
{
    (void)x;
    bool rules = retention_rules_any(&what->rules);
    if (ops->n && (rules || what->scope.name || what->scope.host || what->scope.n_tags))
        return bk_fail(err, BK_E_USAGE, "name snapshots or give rules, not both");
    if (ops->n)
        return forget_by_names(repo, what, ops->v, ops->n, on_damage, a, ret, err);
    return forget_by_rules(repo, what, on_damage, a, ret, err);
}

static int forget_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct forget_args *x = args;
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(forget_plan_clear) struct forget_plan p = { 0 };
    struct forget_report rep = { 0 };
    struct retention_input what;
    struct zone z;
    int r = what_to_do(x, &z, &what, err);
    if (r == 0)
        r = app_open_repo(a, &repo, err);
    if (r == 0 && x->damaged)
        return forget_broken(a, x, repo, ops, err);
    if (r == 0)
        r = plan(a, x, &what, repo, ops, &p, err);
    if (r == 0)
        r = explain(a, &p, !a->g.json && (x->dry_run || a->g.verbose), err);
    if (r == 0 && !x->dry_run)
        r = guard(a, &p, x->yes, err);
    if (r == 0 && !x->dry_run)
        r = forget_carry_out(repo, &a->job, &p, on_gone, a, &rep, err);
    if (r == 0)
        r = result(a, x, &p, &rep, &z);
    return r == 0 && x->prune ? prune_collect(a, repo, err) : r;
}

const struct command cmd_forget = {
    .name = "forget",
    .summary = N_("Remove snapshots, by rules or by name"),
    .operands = N_("[SNAP...]"),
    .about = N_("Rules say what is kept; what no rule keeps goes. Each name on each host is decided by "
                "itself, in the order "
                "of the repository. Rules add up: a snapshot stays when any of them keeps it. The newest "
                "complete snapshot of "
                "each group stays always, as does what is on hold or younger than the minimum retention. A "
                "snapshot whose date "
                "contradicts the order of the repository is neither counted nor removed by rules.\n\n"
                "When more than half of a group would go, or more than ten and a fifth of it, the command "
                "asks; without a "
                "terminal it changes nothing and needs --yes.\n\n"
                "Only the snapshots go; what they used is freed by bkctl prune, or at once with --prune."),
    .opts = forget_opts,
    .args_size = sizeof(struct forget_args),
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("a week of days, a month of weeks, a year of months: first look"),
              "bkctl forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run" },
            { N_("all of the last 30 days, then one a month for two years"),
              "bkctl forget --keep-within 30d --keep-monthly 24" },
            { N_("this one"), "bkctl forget 3f2a91c0" },
            { 0 } },
    .run = forget_run,
};
