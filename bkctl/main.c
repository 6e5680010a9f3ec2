/* bkctl: finds the command, reads the options, runs it, and reports its error once. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/help.h"

const struct command *const commands[] = {
    &cmd_init,       &cmd_backup,  &cmd_snapshots, &cmd_ls,        &cmd_find,   &cmd_cat,
    &cmd_diff,       &cmd_restore, &cmd_mount,     &cmd_nbd,       &cmd_export, &cmd_import,
    &cmd_check,      &cmd_copy,    &cmd_stats,     &cmd_key,       &cmd_store,  &cmd_tag,
    &cmd_hold,       &cmd_forget,  &cmd_prune,     &cmd_retention, &cmd_scrub,  &cmd_vm,
    &cmd_completion, &cmd_version, &cmd_help,      &cmd_man,       NULL,
};

const struct opt global_opts[] = {
    OPT_STR(struct globals, repo, 'r', "repo", N_("DIR"), N_("the repository"), .env = "BKCTL_REPO"),
    OPT_STR(struct globals, password_file, 0, "password-file", N_("FILE"),
            N_("read the passphrase from the first line of FILE ('-': standard input)"),
            .conflicts = "password-command key-file identity"),
    OPT_STR(struct globals, password_command, 0, "password-command", N_("COMMAND"),
            N_("read the passphrase from what COMMAND prints"), .conflicts = "key-file identity"),
    OPT_STR(struct globals, key_file, 0, "key-file", N_("FILE"), N_("unlock with the bytes of a key file"),
            .conflicts = "identity"),
    OPT_STR(struct globals, identity, 0, "identity", N_("FILE"), N_("unlock with a private key (PEM)")),
    OPT_STR(struct globals, token_file, 0, "token-file", N_("FILE"),
            N_("show the token in FILE to the servers of https:// repositories")),
    OPT_FLAG(struct globals, json, 0, "json",
             N_("print JSON: one object, or a line each while work goes on")),
    OPT_FLAG(struct globals, quiet, 'q', "quiet", N_("print no progress and no summary"),
             .conflicts = "verbose"),
    OPT_COUNT(struct globals, verbose, 'v', "verbose", N_("print more; twice for debugging")),
    OPT_SIZE(struct globals, memory, 0, "memory", N_("memory to stay within"), .def = "512MiB"),
    OPT_INT(struct globals, threads, 0, "threads", 0, 256, N_("worker threads; 0: one for each core"),
            .def = "0"),
    OPT_SIZE(struct globals, limit_read, 0, "limit-read", N_("read from the source at most SIZE per second"),
             .def = "0"),
    OPT_SIZE(struct globals, limit_write, 0, "limit-write",
             N_("write to the repository at most SIZE per second"), .def = "0"),
    OPT_SIZE(struct globals, limit_upload, 0, "limit-upload",
             N_("send at most SIZE per second to the repository's store, whatever it is for"), .def = "0"),
    OPT_SIZE(struct globals, limit_download, 0, "limit-download",
             N_("fetch at most SIZE per second from the repository's store"), .def = "0"),
    OPT_FLAG(struct globals, no_cache, 0, "no-cache",
             N_("keep no copies of a remote repository's metadata on this machine")),
    OPT_STR(struct globals, lang, 0, "lang", N_("LANG"), N_("language of messages: en or zh_CN")),
    OPT_FLAG(struct globals, help, 'h', "help", N_("print help")),
    OPT_FLAG(struct globals, version, 0, "version", N_("print the version")),
    OPT_END,
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int no_command(const char *name, struct bk_error *err)
{
    const char *names[sizeof commands / sizeof commands[0]];
    size_t n = 0;
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            names[n++] = commands[i]->name;
    names[n] = NULL;
    bk_fail(err, BK_E_USAGE, "unknown command '%s'", name);
    const char *near = opt_nearest(name, names);
    return near ? bk_hint(err, "did you mean '%s'?", near) : bk_hint(err, "see: bkctl help");
}

/* A system without the wanted locale still has our translations: gettext takes the language from LANGUAGE as
 * soon as the locale is not plain "C". */
static void set_language(const char *lang)
{
    const char *want = lang;
    if (!setlocale(LC_ALL, "") || lang) {
        static const char *const vars[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
        for (size_t i = 0; !want && i < BK_COUNT(vars); i++)
            want = getenv(vars[i]) && *getenv(vars[i]) ? getenv(vars[i]) : NULL;
        char language[32] = "";
        if (want && strcspn(want, ".") < sizeof language)
            memcpy(language, want, strcspn(want, "."));
        if (language[0] && (lang || !getenv("LANGUAGE")))
            setenv("LANGUAGE", language, 1);
        setlocale(LC_ALL, "C.UTF-8");
    }
    setlocale(LC_NUMERIC, "C"); /* "1.5 GiB" reads the same everywhere, and options parse the same */
    const char *dir = getenv("BKCTL_LOCALEDIR");
    bindtextdomain("bkctl", dir && *dir ? dir : LOCALEDIR);
    bind_textdomain_codeset("bkctl", "UTF-8");
    textdomain("bkctl");
}

static int check_operands(const struct command *c, const struct operands *ops, struct bk_error *err)
{
    if (ops->n < c->min_operands) {
        if (ops->n == 0 && c->operands)
            return bk_fail(err, BK_E_USAGE, "needs %s", _(c->operands));
        return bk_fail(err, BK_E_USAGE, "too few arguments");
    }
    if (ops->n > c->max_operands)
        return bk_fail(err, BK_E_USAGE, "unexpected argument '%s'", ops->v[c->max_operands]);
    return 0;
}

static int run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct command *c = a->cmd;
    int r = app_init(a, err);
    if (r < 0)
        return r;
    r = ui_init(&a->ui, &a->job, err);
    if (r == 0) {
        if (c->data_on_stdout)
            a->ui.json_out = stderr;
        r = c->run(a, args, ops, err);
        ui_clear(&a->ui);
    }
    app_clear(a);
    return r;
}

static int flush_output(int r, struct bk_error *err)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && r == 0)
        return bk_fail_errno(err, errno ? errno : EIO, "write the output");
    return r;
}

static int command_main(struct app *a, struct opt_set *global, int argc, char **argv, struct bk_error *err)
{
    const struct command *c = a->cmd;
    bk_auto(free) void *args = calloc(1, c->args_size ? c->args_size : 1);
    if (!args)
        return bk_fail_errno(err, ENOMEM, "start");
    struct opt_set sets[2] = { *global, { .table = c->opts, .base = args } };
    bk_auto(operands_clear) struct operands ops = { 0 };
    int r = opt_defaults(&sets[1], 1, err);
    if (r == 0)
        r = opt_parse(sets, 2, argc, argv, false, &ops, NULL, err);
    a->ui.json = a->g.json;
    a->ui.quiet = a->g.quiet;
    a->ui.verbose = a->g.verbose;
    if (r == 0 && a->g.lang)
        set_language(a->g.lang);
    if (r == 0 && a->g.help) {
        help_command(stdout, c);
    } else if (r == 0) {
        r = check_operands(c, &ops, err);
        if (r == 0)
            r = run(a, args, &ops, err);
    }
    opt_clear(&sets[1]);
    r = flush_output(r, err);
    if (r == BK_E_USAGE && err->text[0] && !err->hint[0])
        bk_hint(err, "see: bkctl help %s", c->name);
    return r;
}

int main(int argc, char **argv)
{
    struct app a = { 0 };
    struct bk_error err = { 0 };
    set_language(NULL);
    struct opt_set global = { .table = global_opts, .base = &a.g };
    bk_auto(operands_clear) struct operands none = { 0 };
    int used = 0;
    int r = opt_defaults(&global, 1, &err);
    if (r == 0)
        r = opt_parse(&global, 1, argc - 1, argv + 1, true, &none, &used, &err);
    a.ui.json = a.g.json;
    if (r == 0 && a.g.lang)
        set_language(a.g.lang);
    const char *name = r == 0 && used + 1 < argc ? argv[used + 1] : NULL;
    if (r == 0 && name) {
        a.cmd = command_find(name);
        r = a.cmd ? command_main(&a, &global, argc - used - 2, argv + used + 2, &err)
                  : no_command(name, &err);
    } else if (r == 0 && a.g.version) {
        a.cmd = &cmd_version;
        r = command_main(&a, &global, 0, argv + argc, &err);
    } else if (r == 0 && a.g.help) {
        help_overview(stdout);
        r = flush_output(0, &err);
    } else if (r == 0) {
        bk_fail(&err, BK_E_USAGE, "no command was given");
        r = bk_hint(&err, "see: bkctl help");
    } else if (!err.hint[0]) {
        bk_hint(&err, "see: bkctl help");
    }
    if (r < 0 && err.text[0]) {
        pthread_mutex_init(&a.ui.lock, NULL);
        if (!a.ui.json_out)
            a.ui.json_out = stdout;
        ui_error(&a.ui, a.cmd ? a.cmd->name : NULL, &err);
    }
    return r == 0 ? a.exit_status : bk_code_exit(r);
}
