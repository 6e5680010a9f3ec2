/* export: part of a snapshot as an archive. */
#include <string.h>

#include "bkctl/paths.h"
#include "bkctl/show.h"
#include "bkd/restore/export.h"

struct export_args {
    const char *output;
    int format;
};

#define FORMATS "auto|tar|tar.zst|tar.gz|zip|cpio"

static const struct opt export_opts[] = {
    OPT_STR(struct export_args, output, 'o', "output", N_("FILE"), N_("the archive; '-': standard output"),
            .def = "-"),
    OPT_CHOICE(struct export_args, format, 'f', "format", FORMATS,
               N_("kind of archive; auto: from FILE's name, else tar"), .def = "auto"),
    OPT_END,
};

static const char *const formats[] = { NULL, "tar", "tar.zst", "tar.gz", "zip", "cpio" };

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n > k && !strcmp(s + n - k, end);
}

static const char *format_of(const struct export_args *x)
{
    static const struct {
        const char *end, *format;
    } known[] = { { ".tar.zst", "tar.zst" }, { ".tzst", "tar.zst" }, { ".tar.gz", "tar.gz" },
                  { ".tgz", "tar.gz" },      { ".zip", "zip" },      { ".cpio", "cpio" } };
    if (x->format)
        return formats[x->format];
    for (size_t i = 0; i < BK_COUNT(known); i++)
        if (ends_with(x->output, known[i].end))
            return known[i].format;
    return "tar";
}

static void on_problem(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why)
{
    struct app *a = ctx;
    ui_problem(&a->ui, "problem", path, path_len, bk_code_name(why->code), why->text);
}

static void tell(struct app *a, const struct export_report *p, const char *format, bool to_stdout)
{
    char b[TEXT_SIZE], t[TEXT_SIZE];
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "format", json_string(format));
        json_object_set_new(o, "entries", text_json_u64(p->n_entries));
        json_object_set_new(o, "bytes", text_json_u64(p->bytes));
        json_object_set_new(o, "problems", text_json_u64(p->n_problems));
        json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        fprintf(to_stdout ? stderr : stdout,
                ngettext("exported %llu entry, %s as %s in %s\n", "exported %llu entries, %s as %s in %s\n",
                         (unsigned long)p->n_entries),
                (unsigned long long)p->n_entries, text_bytes(p->bytes, b), format,
                text_seconds(ui_seconds(&a->ui), t));
    }
}

static int export_run_command(struct app *a, const void *args, const struct operands *ops,
                              struct bk_error *err)
{
    const struct export_args *x = args;
    bool to_stdout = !strcmp(x->output, "-");
    if (to_stdout && isatty(STDOUT_FILENO)) {
        bk_fail(err, BK_E_USAGE, "an archive does not belong on a terminal");
        return bk_hint(err, "use --output FILE, or pipe it into a program");
    }
    if (to_stdout)
        a->ui.json_out = stderr;
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(session_free) struct session *session = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    bk_auto(parts_clear) struct parts p = { 0 };
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = session_hold(repo, &a->job, "export", &session, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r == 0)
        r = parts_find(&c, ops, &p, err);
    if (r == 0)
        r = ui_begin(&a->ui, "export", err);
    if (r < 0)
        return r;
    struct export_opts o = {
        .format = format_of(x),
        .output = x->output,
        .paths = p.paths.v,
        .n_paths = p.paths.n,
        .held = true,
        .on_problem = on_problem,
        .ctx = a,
    };
    struct export_report report = { 0 };
    r = export_run(repo, &a->job, &p.item->snap, &o, &report, err);
    ui_end(&a->ui);
    if (r < 0)
        return r;
    tell(a, &report, o.format, to_stdout);
    return report.n_problems ? BK_E_EXCEPTIONS : 0;
}

const struct command cmd_export = {
    .name = "export",
    .summary = N_("Write a snapshot or parts of it as an archive"),
    .operands = N_("SNAP[:PATH] [PATH...]"),
    .about = N_("When the archive goes to standard output, JSON and messages go to standard error."),
    .opts = export_opts,
    .args_size = sizeof(struct export_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("a folder as a compressed tar file"), "bkctl export latest:/etc -o etc.tar.zst" },
            { N_("straight to another host"), "bkctl export latest:/srv | ssh other tar x -C /" },
            { 0 } },
    .run = export_run_command,
};
