/* hold: a snapshot on hold is never deleted. */
#include "bkctl/annotate.h"
#include "bkctl/show.h"

struct hold_args {
    const char *reason;
};

static const struct opt hold_opts[] = {
    OPT_STR(struct hold_args, reason, 0, "reason", N_("TEXT"), N_("why; shown in lists")),
    OPT_END,
};

static int hold_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct hold_args *x = args;
    int set = annotate_verb(ops, "set", "release", cmd_hold.verbs, err);
    if (set < 0)
        return set;
    struct note_change change = { .hold = set, .reason = x->reason ? x->reason : "" };
    uint8_t snapshot[SESSION_ID];
    char id[SHOW_ID];
    int r = annotate_snapshot(a, ops, &change, snapshot, err);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "snapshot", json_string(text_hex(snapshot, SESSION_ID, id)));
        json_object_set_new(o, "hold", json_boolean(set));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(set ? _("snapshot %s is on hold\n") : _("snapshot %s is no longer on hold\n"),
               show_short_id(snapshot, id));
    }
    return 0;
}

const struct command cmd_hold = {
    .name = "hold",
    .summary = N_("Put a snapshot on hold, so that it is never deleted, or release it"),
    .operands = N_("set|release SNAP"),
    .verbs = "set|release",
    .opts = hold_opts,
    .args_size = sizeof(struct hold_args),
    .min_operands = 2,
    .max_operands = 2,
    .examples =
        (const struct example[]){
            { N_("keep it for the auditors"), "bkctl hold set 3f2a91c0 --reason 'audit 2026'" }, { 0 } },
    .run = hold_run,
};
