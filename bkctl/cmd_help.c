/* help, version, completion, and the hidden generator of man pages and docs/errors.md. */
#include <string.h>

#include "bkctl/help.h"

static int help_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)a, (void)args;
    if (!ops->n) {
        help_overview(stdout);
        return 0;
    }
    const struct command *c = command_find(ops->v[0]);
    if (!c)
        return bk_fail(err, BK_E_USAGE, "unknown command '%s'", ops->v[0]);
    help_command(stdout, c);
    return 0;
}

const struct command cmd_help = {
    .name = "help",
    .summary = N_("Explain bkctl or one of its commands"),
    .operands = N_("[COMMAND]"),
    .max_operands = 1,
    .examples = (const struct example[]){ { N_("all about backup"), "bkctl help backup" }, { 0 } },
    .listing = true,
    .run = help_run,
};

static const char *const features[] = {
#if HAVE_ARGON2
    "argon2",
#endif
#if HAVE_ARCHIVE
    "archive",
#endif
#if HAVE_MOUNT
    "mount",
#endif
#if HAVE_NBD
    "nbd",
#endif
#if HAVE_RADOS
    "rados",
#endif
#if HAVE_RBD
    "rbd",
#endif
#if HAVE_S3
    "s3",      "https",
#endif
#if HAVE_VM
    "vm",
#endif
    NULL,
};

static int version_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)args, (void)ops, (void)err;
    if (a->g.json) {
        json_t *list = json_array();
        for (size_t i = 0; features[i]; i++)
            json_array_append_new(list, json_string(features[i]));
        json_t *o = json_object();
        json_object_set_new(o, "type", json_string("version"));
        json_object_set_new(o, "version", json_string(BKCTL_VERSION));
        json_object_set_new(o, "features", list);
        ui_emit(&a->ui, o);
        return 0;
    }
    printf("bkctl %s\n", BKCTL_VERSION);
    if (a->g.verbose)
        for (size_t i = 0; features[i]; i++)
            printf("  + %s\n", features[i]);
    return 0;
}

const struct command cmd_version = {
    .name = "version",
    .summary = N_("Print the version and what this build can do (-v)"),
    .examples = (const struct example[]){ { N_("for scripts"), "bkctl version --json" }, { 0 } },
    .run = version_run,
};

static int completion_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)a, (void)args;
    static const struct {
        const char *name;
        void (*print)(FILE *f);
    } shells[] = { { "bash", completion_bash }, { "zsh", completion_zsh }, { "fish", completion_fish } };
    for (size_t i = 0; i < BK_COUNT(shells); i++)
        if (!strcmp(ops->v[0], shells[i].name)) {
            shells[i].print(stdout);
            return 0;
        }
    bk_fail(err, BK_E_USAGE, "no completion for the shell '%s'", ops->v[0]);
    return bk_hint(err, "choose one of: %s", cmd_completion.verbs);
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = N_("Print the completion script for a shell"),
    .operands = "bash|zsh|fish",
    .verbs = "bash|zsh|fish",
    .min_operands = 1,
    .max_operands = 1,
    .examples = (const struct example[]){ { N_("in this shell"), "source <(bkctl completion bash)" }, { 0 } },
    .listing = true,
    .run = completion_run,
};

static void errors_page(FILE *f)
{
    fputs("# Errors and exit statuses\n\n"
          "Every error of bkctl, bkd and migrate has one of these codes. The exit status is the number; "
          "`--json` gives the name.\nThis page is generated from the table in `formats/base/error.h`; a test "
          "keeps it true.\n\n"
          "| Exit | Code | Meaning |\n|---|---|---|\n| 0 | OK | complete |\n",
          f);
#define X(name, status, text) fprintf(f, "| %d | %s | %s |\n", status, #name, text);
    BK_CODES(X)
#undef X
}

static int man_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)a, (void)args;
    const char *name = ops->n ? ops->v[0] : NULL;
    if (name && !strcmp(name, "errors.md")) {
        errors_page(stdout);
        return 0;
    }
    const struct command *c = name ? command_find(name) : NULL;
    if (name && !c)
        return bk_fail(err, BK_E_USAGE, "unknown command '%s'", name);
    man_page(stdout, c);
    return 0;
}

const struct command cmd_man = {
    .name = "man",
    .summary = N_("Print a man page, or the page docs/errors.md"),
    .operands = N_("[COMMAND]"),
    .max_operands = 1,
    .hidden = true,
    .listing = true,
    .run = man_run,
};
