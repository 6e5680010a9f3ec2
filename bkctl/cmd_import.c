/* import: an archive becomes a snapshot. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"
#include "bkd/backup/backup.h"

struct import_args {
    const char *name, *host;
    struct opt_list tags;
    int compression;
};

static const struct opt import_opts[] = {
    OPT_STR(struct import_args, name, 0, "name", N_("NAME"), N_("name of the series of snapshots")),
    OPT_LIST(struct import_args, tags, 0, "tag", N_("TAG"), N_("tag the snapshot; may be repeated")),
    OPT_STR(struct import_args, host, 0, "host", N_("HOST"), N_("record this host name")),
    OPT_INT(struct import_args, compression, 0, "compression", 0, 19, N_("zstd level; 0 stores as it is"),
            .def = "1"),
    OPT_END,
};

static int import_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct import_args *x = args;
    if (!strcmp(ops->v[0], "-") && a->g.password_file && !strcmp(a->g.password_file, "-"))
        return bk_fail(err, BK_E_USAGE, "standard input cannot be both the archive and the passphrase");
    bk_auto(repo_free) struct repo *repo = NULL;
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = ui_begin(&a->ui, "import", err);
    if (r < 0)
        return r;
    struct backup_common c = {
        .name = x->name,
        .host = x->host,
        .tags = x->tags.v,
        .n_tags = x->tags.n,
        .level = LEVEL_FULL,
        .zstd_level = x->compression,
        .forgetful = a->g.no_cache,
        .on_exception = show_exception,
        .ctx = a,
    };
    bk_auto(backup_result_clear) struct backup_result result = { 0 };
    r = backup_archive(repo, &a->job, &c, ops->v[0], &result, err);
    ui_end(&a->ui);
    return r < 0 ? r : show_backup_result(a, &result.snap, false);
}

const struct command cmd_import = {
    .name = "import",
    .summary = N_("Make a snapshot from an archive (tar, zip, cpio and others)"),
    .operands = N_("ARCHIVE|-"),
    .opts = import_opts,
    .args_size = sizeof(struct import_args),
    .min_operands = 1,
    .max_operands = 1,
    .examples =
        (const struct example[]){ { N_("an old tar file"), "bkctl import --name old-server server.tar.gz" },
                                  { N_("from another program"), "tar c /srv | bkctl import --name srv -" },
                                  { 0 } },
    .run = import_run,
};
