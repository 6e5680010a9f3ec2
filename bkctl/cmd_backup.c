/* backup: files, disks, standard input, or what a command prints. */
#include <errno.h>
#include <string.h>

#include "bkctl/backup_args.h"
#include "bkctl/backup_disks.h"
#include "bkctl/command.h"
#include "bkctl/show.h"
#include "bkd/backup/backup.h"

struct backup_args {
    const char *name, *host;
    struct opt_list tags;
    int level; /* of the choices: 0 full, 1 differential, 2 incremental */
    struct opt_list excludes, exclude_files, exclude_if_present;
    bool exclude_caches;
    uint64_t exclude_larger;
    bool one_file_system, no_xattrs, ignore_ctime, ignore_inode;
    struct opt_list files_from, files_from0;
    bool read_stdin;
    const char *stdin_name, *stdin_command;
    int compression;
    struct backup_disks_args disks;
    bool dry_run;
};

static const struct opt backup_opts[] = {
    OPT_STR(struct backup_args, name, 0, "name", N_("NAME"),
            N_("name of the series of snapshots (default HOST:PATHS)")),
    OPT_LIST(struct backup_args, tags, 0, "tag", N_("TAG"), N_("tag the snapshot; may be repeated")),
    OPT_STR(struct backup_args, host, 0, "host", N_("HOST"), N_("record this host name")),
    OPT_CHOICE(
        struct backup_args, level, 0, "level", "full|differential|incremental",
        N_("read everything, or what changed since the last full, or since the last snapshot of the name"),
        .def = "incremental"),
    OPT_LIST(struct backup_args, excludes, 0, "exclude", N_("PATTERN"),
             N_("leave out what fits, as in .gitignore; may be repeated")),
    OPT_LIST(struct backup_args, exclude_files, 0, "exclude-file", N_("FILE"),
             N_("read patterns from FILE, one a line")),
    OPT_FLAG(struct backup_args, exclude_caches, 0, "exclude-caches",
             N_("leave out folders with a CACHEDIR.TAG")),
    OPT_LIST(struct backup_args, exclude_if_present, 0, "exclude-if-present", N_("NAME[:START]"),
             N_("leave out folders that hold a file NAME (that starts with START)")),
    OPT_SIZE(struct backup_args, exclude_larger, 0, "exclude-larger-than", N_("leave out files above SIZE"),
             .def = "0"),
    OPT_FLAG(struct backup_args, one_file_system, 'x', "one-file-system",
             N_("stay on the file systems of the given paths")),
    OPT_LIST(struct backup_args, files_from, 0, "files-from", N_("FILE"),
             N_("read paths from FILE, one a line ('-': standard input)")),
    OPT_LIST(struct backup_args, files_from0, 0, "files-from0", N_("FILE"),
             N_("the same, each path ended by NUL")),
    OPT_FLAG(struct backup_args, no_xattrs, 0, "no-xattrs", N_("leave out extended attributes and ACLs")),
    OPT_FLAG(struct backup_args, ignore_ctime, 0, "ignore-ctime",
             N_("trust size and mtime alone; for file systems whose ctime changes by itself")),
    OPT_FLAG(struct backup_args, ignore_inode, 0, "ignore-inode",
             N_("do not compare inode numbers; for network and FUSE mounts")),
    OPT_FLAG(struct backup_args, read_stdin, 0, "stdin", N_("store standard input as one stream"),
             .conflicts = "stdin-from-command files-from files-from0"),
    OPT_STR(struct backup_args, stdin_name, 0, "stdin-name", N_("NAME"),
            N_("name of that stream (default stdin)"), .conflicts = "stdin-from-command"),
    OPT_STR(struct backup_args, stdin_command, 0, "stdin-from-command", N_("NAME"),
            N_("store what the command after -- prints as the stream NAME; no snapshot when it fails"),
            .conflicts = "files-from files-from0"),
    OPT_INT(struct backup_args, compression, 0, "compression", 0, 19, N_("zstd level; 0 stores as it is"),
            .def = "1"),
    OPT_CHOICE(struct backup_args, disks.format, 0, "disk-format", "auto|raw|qcow2|vmdk|vhdx|vdi|vpc",
               N_("what the images given as disk:PATH are (auto: what their name says, else raw)"),
               .def = "auto"),
    OPT_INT(struct backup_args, disks.audit, 0, "audit", 0, 100,
            N_("per cent of the blocks said to be unchanged that are read and compared all the same"),
            .def = "1"),
    OPT_STR(struct backup_args, disks.connect, 0, "connect", N_("URI"),
            N_("the libvirt whose virtual machines are meant (default: its own default)")),
    OPT_LIST(struct backup_args, disks.excluded, 0, "exclude-disk", N_("DISK"),
             N_("leave out a disk of a virtual machine, vda or MACHINE/vda; may be repeated")),
    OPT_CHOICE(struct backup_args, disks.freeze, 0, "freeze", BACKUP_DISKS_FREEZE,
               N_("freeze the guest's file systems through its agent for the moment the backup begins"),
               .def = "try"),
    OPT_INT(struct backup_args, disks.freeze_max_s, 0, "freeze-max", 1, 300,
            N_("seconds after which a guest is thawed whatever happens"), .def = "10"),
    OPT_STR(struct backup_args, disks.scratch_dir, 0, "scratch", N_("DIR"),
            N_("where what a guest overwrites meanwhile is kept (default $TMPDIR or /var/tmp)")),
    OPT_FLAG(struct backup_args, dry_run, 'n', "dry-run", N_("read and compare, store nothing")),
    OPT_END,
};

/* Memory behind lists that were read from files. */
struct texts {
    char **v;
    size_t n;
};

static void texts_clear(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i]);
    free(t->v);
}
BK_AUTO_CLEAR(struct texts, texts_clear)

static int read_lists(const struct opt_list *files, char separator, bool comments, struct opt_list *to,
                      struct texts *mem, struct bk_error *err)
{
    for (size_t i = 0; i < files->n; i++) {
        char **v = realloc(mem->v, (mem->n + 1) * sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "read %s", files->v[i]);
        mem->v = v;
        int r = backup_args_read(files->v[i], separator, comments, to, &mem->v[mem->n], err);
        if (r < 0)
            return r;
        mem->n++;
    }
    return 0;
}

static int add_all(struct opt_list *to, const char *const *v, size_t n, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = opt_list_add(to, v[i], err);
    return r;
}

static int from_files(struct app *a, struct repo *repo, const struct backup_common *c,
                      const struct backup_args *x, const struct operands *ops, struct ahead *ahead,
                      struct backup_result *ret, struct bk_error *err)
{
    bk_auto(texts_clear) struct texts mem = { 0 };
    bk_auto(opt_list_clear) struct opt_list paths = { 0 }, excludes = { 0 };
    int r = add_all(&paths, (const char *const *)ops->v, ops->n, err);
    if (r == 0)
        r = read_lists(&x->files_from, '\n', false, &paths, &mem, err);
    if (r == 0)
        r = read_lists(&x->files_from0, '\0', false, &paths, &mem, err);
    /* files first: what the command line says comes last and wins */
    if (r == 0)
        r = read_lists(&x->exclude_files, '\n', true, &excludes, &mem, err);
    if (r == 0)
        r = add_all(&excludes, x->excludes.v, x->excludes.n, err);
    if (r < 0)
        return r;
    if (!paths.n)
        return bk_fail(err, BK_E_USAGE, "no path to back up was given");
    struct backup_files f = {
        .paths = paths.v,
        .n_paths = paths.n,
        .excludes = excludes.v,
        .n_excludes = excludes.n,
        .exclude_if_present = x->exclude_if_present.v,
        .n_exclude_if_present = x->exclude_if_present.n,
        .exclude_caches = x->exclude_caches,
        .exclude_larger = x->exclude_larger,
        .one_file_system = x->one_file_system,
        .no_xattrs = x->no_xattrs,
        .ignore_ctime = x->ignore_ctime,
        .ignore_inode = x->ignore_inode,
        .ahead = ahead,
    };
    return backup_files(repo, &a->job, c, &f, ret, err);
}

/* What the options say about where the data comes from must fit the operands. */
static int check_source(const struct backup_args *x, const struct operands *ops, struct bk_error *err)
{
    if (x->stdin_command) {
        if (ops->n_before)
            return bk_fail(err, BK_E_USAGE, "with --stdin-from-command the command stands after --, not '%s'",
                           ops->v[0]);
        if (ops->n == 0)
            return bk_fail(err, BK_E_USAGE, "--stdin-from-command NAME needs a command: -- CMD ARGS");
    } else if (x->read_stdin && ops->n) {
        return bk_fail(err, BK_E_USAGE, "--stdin takes no paths, but '%s' was given", ops->v[0]);
    } else if (!x->read_stdin && x->stdin_name) {
        return bk_fail(err, BK_E_USAGE, "--stdin-name needs --stdin");
    } else if (!x->read_stdin && !ops->n && !x->files_from.n && !x->files_from0.n) {
        return bk_fail(err, BK_E_USAGE, "no path to back up was given");
    }
    return 0;
}

struct early { /* what is read of the source while the passphrase becomes a key */
    const struct backup_args *args;
    const struct operands *ops;
    bool disks;
    struct ahead *ahead;
};

static void early_clear(struct early *e)
{
    ahead_free(e->ahead);
}
BK_AUTO_CLEAR(struct early, early_clear)

/* Nothing is touched that the user wants left out: it may be what hangs. */
static void look_ahead(void *ctx)
{
    struct early *e = ctx;
    const struct backup_args *x = e->args;
    bool all = !x->excludes.n && !x->exclude_files.n && !x->exclude_if_present.n && !x->exclude_caches &&
               !x->one_file_system;
    if (x->stdin_command || x->read_stdin || !all || !e->ops->n || e->disks)
        return;
    struct bk_error ignored = { 0 }; /* the walk reads everything itself then */
    if (ahead_start((const char *const *)e->ops->v, e->ops->n, world_real.now_ns(world_real.ctx), &e->ahead,
                    &ignored) < 0)
        e->ahead = NULL;
}

static int backup_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct backup_args *x = args;
    bool disks = false;
    int r = check_source(x, ops, err);
    if (r == 0)
        r = x->stdin_command ? 0 : backup_disks_check(&x->disks, ops, &disks, err);
    if (r == 0 && disks && (x->files_from.n || x->files_from0.n))
        r = bk_fail(err, BK_E_USAGE,
                    "files, disks, images in Ceph and virtual machines do not go into one snapshot");
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(early_clear) struct early early = { .args = x, .ops = ops, .disks = disks };
    if (r == 0)
        r = app_open_repo_while(a, look_ahead, &early, &repo, err);
    if (r < 0)
        return r;
    static const enum snapshot_level levels[] = { LEVEL_FULL, LEVEL_DIFFERENTIAL, LEVEL_INCREMENTAL };
    struct backup_common c = {
        .name = x->name,
        .host = x->host,
        .tags = x->tags.v,
        .n_tags = x->tags.n,
        .level = levels[x->level],
        .zstd_level = x->compression,
        .dry_run = x->dry_run,
        .forgetful = a->g.no_cache,
        .on_exception = show_exception,
        .ctx = a,
    };
    bk_auto(backup_result_clear) struct backup_result result = { 0 };
    r = ui_begin(&a->ui, "backup", err);
    if (r < 0)
        return r;
    if (x->stdin_command) /* argv's array of operands ends with NULL */
        r = backup_stream(repo, &a->job, &c, x->stdin_command, (const char *const *)ops->v, &result, err);
    else if (x->read_stdin)
        r = backup_stream(repo, &a->job, &c, x->stdin_name ? x->stdin_name : "stdin", NULL, &result, err);
    else if (disks)
        r = backup_disks_run(a, repo, &c, &x->disks, ops, &result, err);
    else
        r = from_files(a, repo, &c, x, ops, early.ahead, &result, err);
    ui_end(&a->ui);
    return r < 0 ? r : show_backup_result(a, &result.snap, x->dry_run);
}

const struct command cmd_backup = {
    .name = "backup",
    .summary = N_("Back up files, disks, virtual machines, standard input or what a command prints"),
    .operands = N_("PATH... | disk:PATH... | nbd:URI... | vm:NAME... | rbd:POOL/IMAGE... | -- CMD ARGS..."),
    .about = N_("Stores a complete snapshot of the paths. Files that did not change since the snapshot it "
                "compares with (see "
                "--level) are not read. Files that cannot be read, or that change while they are, are listed "
                "as exceptions; "
                "the exit status is then 10.\n\n"
                "disk:PATH is a disk image or block device, nbd:URI (or the URI alone) an export of an NBD "
                "server; several are "
                "stored as one snapshot. All of a disk is read, and only what is new is stored; holes stay "
                "holes. Nobody may "
                "write to it meanwhile.\n\n"
                "vm:NAME is a virtual machine of libvirt on this host, or a pattern for several: all its "
                "disks as of one moment "
                "while it runs, and its definition. After the first time only what changed is read.\n\n"
                "rbd:POOL[/NAMESPACE]/IMAGE[@SNAP][?conf=FILE][&id=NAME] is an image in Ceph. Without "
                "@SNAP a snapshot "
                "is made in the cluster, and kept until a later run has compared with it: only what changed "
                "is read then.\n\n"
                "An interrupted run leaves no snapshot; what it stored is used by the next one."),
    .opts = backup_opts,
    .args_size = sizeof(struct backup_args),
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("two folders, without object files"), "bkctl backup /etc /home --exclude '*.o'" },
            { N_("read everything again"), "bkctl backup --level full /home" },
            { N_("a database dump, straight from the command"),
              "bkctl backup --stdin-from-command db.sql -- pg_dump mydb" },
            { N_("an image of a virtual machine that is shut down"),
              "bkctl backup --name web disk:/var/lib/images/web.qcow2" },
            { N_("a virtual machine that runs"), "bkctl backup vm:web1 --connect qemu:///system" },
            { 0 } },
    .run = backup_run,
};
