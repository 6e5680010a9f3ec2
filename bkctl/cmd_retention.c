/* retention: the minimum that every snapshot stays. */
#include <string.h>

#include "bkctl/annotate.h"
#include "bkctl/confirm.h"
#include "bkctl/retention.h"
#include "bkctl/show.h"
#include "bkd/life/calendar.h"

struct retention_args {
    bool yes;
};

static const struct opt retention_opts[] = {
    OPT_FLAG(struct retention_args, yes, 0, "yes", N_("set it without asking")),
    OPT_END,
};

int retention_seconds(const char *text, uint64_t *ret, struct bk_error *err)
{
    struct calendar_span span;
    int r = calendar_span_parse(text, &span, err);
    if (r < 0)
        return r;
    *ret = calendar_span_seconds(&span);
    if (*ret > MINIMUM_SECONDS_MAX)
        return bk_fail(err, BK_E_LIMIT, "a duration is at most a hundred years");
    return 0;
}

static int show(struct app *a, const struct lock *l)
{
    char days[TEXT_COUNT], hours[TEXT_COUNT];
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "minimum_seconds", text_json_u64(l->seconds));
        ui_emit(&a->ui, o);
    } else if (!l->seconds) {
        puts(_("no minimum retention"));
    } else {
        printf(_("minimum retention: %s, %s\n"),
               TEXT_COUNTED(days, "%llu day", "%llu days", l->seconds / 86400),
               TEXT_COUNTED(hours, "%llu hour", "%llu hours", l->seconds % 86400 / 3600));
    }
    return 0;
}

static int agree(struct app *a, const char *text, bool yes, struct bk_error *err)
{
    char question[256];
    snprintf(question, sizeof question,
             _("no snapshot may go before %s have passed, and nobody can ever shorten that; go on"), text);
    int agreed = yes ? 1 : confirm(a, question);
    if (agreed == 1)
        return 0;
    if (agreed == 0)
        return bk_fail(err, BK_E_CANCELLED, "nothing was changed");
    bk_fail(err, BK_E_USAGE, "a minimum retention can never be shortened or taken away");
    return bk_hint(err, "say --yes if it is meant");
}

static int retention_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct retention_args *x = args;
    bk_auto(repo_free) struct repo *repo = NULL;
    struct lock l = { 0 };
    uint64_t seconds = 0;
    char who[512];
    int set = annotate_verb(ops, "set", "show", cmd_retention.verbs, err);
    if (set < 0)
        return set;
    if (set != (ops->n == 2))
        return bk_fail(err, BK_E_USAGE,
                       set ? N_("retention set needs a duration") : N_("too many arguments"));
    int r = set ? retention_seconds(ops->v[1], &seconds, err) : 0;
    if (r == 0)
        r = app_open_repo(a, &repo, err);
    if (r == 0 && set)
        r = agree(a, ops->v[1], x->yes, err);
    app_who(who, sizeof who);
    if (r == 0 && set)
        r = lock_set(repo, seconds, who, err);
    if (r == 0)
        r = lock_read(repo, &l, err);
    return r < 0 || (set && a->g.quiet) ? r : show(a, &l);
}

const struct command cmd_retention = {
    .name = "retention",
    .summary = N_("Show or set how long every snapshot stays at least"),
    .operands = N_("show|set DUR"),
    .verbs = "show|set",
    .about = N_(
        "No command removes a snapshot that is younger than the minimum retention. It can be set and "
        "made longer, but "
        "never shorter, by nobody. In it a year counts 366 days and a month 31. Snapshots count as "
        "committed no earlier "
        "than those before them in the order of the repository, whatever the clocks of clients say.\n\n"
        "Where the store can lock objects (S3 with lock= in its URL) it holds against everybody: all that a "
        "new snapshot needs is locked for as long before it is committed."),
    .opts = retention_opts,
    .args_size = sizeof(struct retention_args),
    .min_operands = 1,
    .max_operands = 2,
    .examples = (const struct example[]){ { N_("thirty days at least"), "bkctl retention set 30d" }, { 0 } },
    .run = retention_run,
};
