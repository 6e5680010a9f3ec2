/* scrub: stored bytes verified without keys, healed from a mirror, and what chance of loss is left. */
#include <limits.h>

#include "bkctl/command.h"
#include "bkctl/retention.h"
#include "bkctl/show.h"
#include "bkd/life/scrub.h"

struct scrub_args {
    const char *state, *max_time, *interval, *repair_time;
    uint64_t max_bytes;
    double annual_failure;
    int copies;
    bool fill;
};

static const struct opt scrub_opts[] = {
    OPT_SIZE(struct scrub_args, max_bytes, 0, "max-bytes",
             N_("stop after reading so much; 0: read everything"), .def = "0"),
    OPT_STR(struct scrub_args, max_time, 0, "max-time", N_("DUR"), N_("stop after that time: 2h, 1d")),
    OPT_STR(struct scrub_args, state, 0, "state", N_("FILE"), N_("remember there what was verified when")),
    OPT_FLAG(struct scrub_args, fill, 0, "fill",
             N_("also write everything to a store of the mirror that is empty, in place of a lost one")),
    OPT_INT(struct scrub_args, copies, 0, "copies", 0, 64,
            N_("copies that the place keeps by itself, for the chance of loss; 0: those that are seen"),
            .def = "0"),
    OPT_STR(struct scrub_args, interval, 0, "interval", N_("DUR"),
            N_("everything is scrubbed once in that time"), .def = "30d"),
    OPT_STR(struct scrub_args, repair_time, 0, "repair-time", N_("DUR"),
            N_("a copy that was found bad is repaired within that time"), .def = "1d"),
    OPT_PERCENT(struct scrub_args, annual_failure, 0, "annual-failure",
                N_("share of the copies that go bad or get lost in a year"), .def = "2%"),
    OPT_END,
};

#define YEAR_S 31557600.0
static const double loss_target = 1e-6; /* 99.9999 % */

/* What the chance of loss is computed from, and what comes out. */
struct odds {
    unsigned copies;
    double rate, interval_s, repair_s, loss, wanted_interval_s;
};

static void work_out(struct odds *o, const struct scrub_args *x, const struct scrub_report *p)
{
    o->copies = x->copies ? (unsigned)x->copies : p->n_copies ? p->n_copies : 1;
    o->rate = x->annual_failure / 100;
    o->loss = scrub_annual_loss(o->copies, o->rate, (o->interval_s / 2 + o->repair_s) / YEAR_S);
    o->wanted_interval_s = 2 * (scrub_window_for(o->copies, o->rate, loss_target) * YEAR_S - o->repair_s);
}

static const char *state_name(enum store_copy_state s)
{
    static const char *const names[] = {
        [STORE_COPY_SOUND] = "sound",     [STORE_COPY_REPAIRED] = "repaired",       [STORE_COPY_BAD] = "bad",
        [STORE_COPY_UNKNOWN] = "unknown", [STORE_COPY_UNREACHABLE] = "unreachable",
    };
    return names[s];
}

static void on_copy(void *ctx, const struct store_copy *c)
{
    struct app *a = ctx;
    if (a->g.json) {
        json_t *o = show_record("copy");
        json_object_set_new(o, "state", json_string(state_name(c->state)));
        json_object_set_new(o, "object", json_string(c->object));
        json_object_set_new(o, "store", json_string(c->store));
        json_object_set_new(o, "why", json_string(c->why));
        ui_emit(&a->ui, o);
    } else if (c->state == STORE_COPY_REPAIRED) {
        ui_warn(&a->ui, _("repaired %s in %s: %s"), c->object, c->store, c->why);
    } else if (c->state == STORE_COPY_BAD) {
        ui_warn(&a->ui, _("%s in %s is bad and stays so: %s"), c->object, c->store, c->why);
    } else if (c->state == STORE_COPY_UNKNOWN) {
        ui_warn(&a->ui, _("%s in %s cannot be judged: %s"), c->object, c->store, c->why);
    }
}

static void emit(struct app *a, const struct scrub_report *p, const struct odds *d)
{
    json_t *o = show_record("result");
    json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
    json_object_set_new(o, "objects", text_json_u64(p->n_objects));
    json_object_set_new(o, "bytes", text_json_u64(p->bytes));
    json_object_set_new(o, "verified", text_json_u64(p->n_verified));
    json_object_set_new(o, "bytes_read", text_json_u64(p->read_bytes));
    json_object_set_new(o, "copies", text_json_u64(p->n_copies));
    json_object_set_new(o, "repaired", text_json_u64(p->n_repaired));
    json_object_set_new(o, "bad", text_json_u64(p->n_bad));
    json_object_set_new(o, "unknown", text_json_u64(p->n_unknown));
    json_object_set_new(o, "unreachable", text_json_u64(p->n_unreachable));
    json_object_set_new(o, "ever_verified", text_json_u64(p->n_fresh));
    json_object_set_new(o, "ever_verified_bytes", text_json_u64(p->fresh_bytes));
    json_object_set_new(o, "oldest_seconds", json_integer(p->oldest_s));
    json_object_set_new(o, "all", json_boolean(p->all));
    json_t *l = json_object();
    json_object_set_new(l, "copies", json_integer(d->copies));
    json_object_set_new(l, "annual_failure", json_real(d->rate));
    json_object_set_new(l, "interval_seconds", json_real(d->interval_s));
    json_object_set_new(l, "repair_seconds", json_real(d->repair_s));
    json_object_set_new(l, "probability", json_real(d->loss));
    json_object_set_new(l, "target", json_real(loss_target));
    json_object_set_new(o, "annual_loss", l);
    ui_emit(&a->ui, o);
}

static void print_odds(const struct odds *d)
{
    double window_days = (d->interval_s / 2 + d->repair_s) / 86400;
    printf(_("  chance to lose a given object within a year: %.2g (at most %.0g is wanted: %s)\n"), d->loss,
           loss_target, d->loss <= loss_target ? _("kept") : _("NOT kept"));
    printf(_("    = n * f * (f * w)^(n-1), n = %u copies, f = %.2g failures of a copy a year, w = %.3g days "
             "= half an "
             "interval of %.3g days until it is seen + %.3g days to repair it\n"),
           d->copies, d->rate, window_days, d->interval_s / 86400, d->repair_s / 86400);
    if (d->loss > loss_target && d->wanted_interval_s > 3600)
        printf(_("    an interval of %.2g days keeps it\n"), d->wanted_interval_s / 86400);
    else if (d->loss > loss_target)
        printf(_("    no interval keeps it: another copy does\n"));
}

static void print(struct app *a, const struct scrub_report *p, const struct odds *d)
{
    char t[TEXT_SIZE], b[TEXT_SIZE], objects[TEXT_COUNT], copies[TEXT_COUNT], age[TEXT_SIZE];
    printf(_("verified %s in %s, %s read, in %s\n"),
           TEXT_COUNTED(objects, "%llu object", "%llu objects", p->n_verified),
           TEXT_COUNTED(copies, "%llu copy", "%llu copies", p->n_copies), text_bytes(p->read_bytes, b),
           text_seconds(ui_seconds(&a->ui), t));
    if (p->n_repaired)
        printf(_("  repaired: %s\n"), TEXT_COUNTED(copies, "%llu copy", "%llu copies", p->n_repaired));
    if (p->n_unknown)
        printf(_("  cannot be judged: %s\n"), TEXT_COUNTED(copies, "%llu copy", "%llu copies", p->n_unknown));
    if (p->n_unreachable)
        printf(_("  in stores that do not answer: %s\n"),
               TEXT_COUNTED(copies, "%llu copy", "%llu copies", p->n_unreachable));
    if (p->n_bad)
        printf(_("  DAMAGE: %s\n"), TEXT_COUNTED(copies, "%llu copy", "%llu copies", p->n_bad));
    printf(_("  coverage: %.1f %% of the bytes, %llu of %llu objects"),
           p->bytes ? 100.0 * (double)p->fresh_bytes / (double)p->bytes : 100.0,
           (unsigned long long)p->n_fresh, (unsigned long long)p->n_objects);
    if (p->oldest_s >= 0)
        printf(_("; the oldest verification is %s old\n"), text_seconds((double)p->oldest_s, age));
    else
        putchar('\n');
    print_odds(d);
}

static int seconds_of(const char *text, double *ret, struct bk_error *err)
{
    uint64_t s = 0;
    int r = text ? retention_seconds(text, &s, err) : 0;
    *ret = (double)s;
    return r;
}

static int scrub_run_command(struct app *a, const void *args, const struct operands *ops,
                             struct bk_error *err)
{
    (void)ops;
    const struct scrub_args *x = args;
    char path[PATH_MAX];
    double most_s;
    struct odds odds = { 0 };
    struct scrub_report report;
    bk_auto(store_free) struct store *s = NULL;
    a->world.store_event = NULL; /* each copy is told below */
    int r = seconds_of(x->max_time, &most_s, err);
    if (r == 0)
        r = seconds_of(x->interval, &odds.interval_s, err);
    if (r == 0)
        r = seconds_of(x->repair_time, &odds.repair_s, err);
    if (r == 0)
        r = app_open_store(a, &s, err);
    if (r == 0 && !x->state)
        r = scrub_state_path(s, path, sizeof path, err);
    if (r == 0)
        r = ui_begin(&a->ui, _("scrub"), err);
    if (r < 0)
        return r;
    struct scrub_opts o = { .state = x->state ? x->state : path,
                            .max_bytes = x->max_bytes,
                            .max_seconds = (unsigned)(most_s < UINT_MAX ? most_s : UINT_MAX),
                            .fill = x->fill,
                            .copy = on_copy,
                            .ctx = a };
    r = scrub_run(s, &a->world, &a->job, &o, &report, err);
    ui_end(&a->ui);
    if (r < 0)
        return r;
    work_out(&odds, x, &report);
    if (a->g.json)
        emit(a, &report, &odds);
    else if (!a->g.quiet)
        print(a, &report, &odds);
    if (report.n_bad)
        return BK_E_CORRUPT;
    return report.n_unreachable ? BK_E_UNREACHABLE : 0;
}

const struct command cmd_scrub = {
    .name = "scrub",
    .summary = N_("Verify stored bytes without keys, and heal them from a mirror"),
    .about =
        N_("Reads what is stored and compares it with its names and digests; no secret is needed. What was "
           "read longest ago comes first, and what was verified when is remembered, so that short runs go "
           "round. "
           "--limit-download bounds the rate.\n\n"
           "In a mirror (mirror:URL|URL) every copy is read, and bad or missing ones are written anew from a "
           "sound one. "
           "Each is listed. The exit status is 5 when a copy stays bad, and 20 when a store of the mirror "
           "does not answer."),
    .opts = scrub_opts,
    .args_size = sizeof(struct scrub_args),
    .examples = (const struct example[]){ { N_("all of it, at 20 MiB a second"),
                                            "bkctl scrub --limit-download 20MiB" },
                                          { N_("an hour each night, on two disks"),
                                            "bkctl scrub -r 'mirror:/a/repo|/b/repo' --max-time 1h" },
                                          { 0 } },
    .uncached = true,
    .run = scrub_run_command,
};
