/* store: what the place of a repository can do. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"
#include "bkctl/store_probe.h"

static int store_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)args;
    const char *url = ops->n > 1 ? ops->v[1] : NULL;
    if (strcmp(ops->v[0], "probe") != 0) {
        bk_fail(err, BK_E_USAGE, "unknown action '%s'", ops->v[0]);
        return bk_hint(err, "see: bkctl help store");
    }
    int r = url ? 0 : app_repo_url(a, &url, err);
    bk_auto(store_free) struct store *s = NULL;
    struct probe_report report;
    if (r == 0)
        r = store_open(url, false, &world_real, &s, err);
    if (r == 0)
        r = store_probe(s, &(struct probe_opts){ 0 }, &world_real, &report, err);
    if (r < 0)
        return r;
    if (a->g.json)
        ui_emit(&a->ui, store_probe_json(url, s, &report));
    else if (!a->g.quiet)
        store_probe_print(stdout, url, s, &report);
    return store_probe_verdict(&report, a->g.json ? NULL : err);
}

const struct command cmd_store = {
    .name = "store",
    .summary = N_("See what a repository's place can do"),
    .operands = "probe [URL]",
    .about = N_(
        "Tries with objects of its own, below probe/, which it removes again, whether the store does what a "
        "repository "
        "is built on: that of many clients that put one name at once exactly one succeeds, that what was put "
        "is read "
        "and listed at once, that parts can be read, that a put whose connection breaks leaves nothing, that "
        "removed is gone, and that the clocks agree.\n\n"
        "For each that is missing it says what that forbids. The exit status is 15 when no repository may be "
        "kept "
        "there. URL may also be a place without a repository, if it exists."),
    .verbs = "probe",
    .examples =
        (const struct example[]){
            { N_("a bucket"), "bkctl store probe 's3://127.0.0.1:9000/bucket/prefix?tls=off'" }, { 0 } },
    .min_operands = 1,
    .max_operands = 2,
    .run = store_run,
};
