/* restore: files or disks out of a snapshot, to a new place or in place. */
#include "bkctl/paths.h"
#include "bkctl/restore_machine.h"
#include "bkctl/show.h"
#include "bkd/restore/disk.h"
#include "bkd/source/disk_format.h"

struct restore_args {
    const char *target, *to;
    int format; /* 0: auto, else of disk_formats */
    bool in_place, overwrite, delete_extra, verify, dry_run, strip, numeric_owner, no_owner, compare,
        no_sparse;
    struct opt_list includes, excludes;
    struct restore_machine_args machine;
};

static const struct opt restore_opts[] = {
    OPT_STR(struct restore_args, target, 't', "target", N_("DIR"), N_("restore below DIR"),
            .conflicts = "in-place to"),
    OPT_STR(struct restore_args, to, 0, "to", N_("PLACE"),
            N_("restore one disk or stream to this file, block device, NBD URI or rbd:POOL/IMAGE"),
            .conflicts = "in-place"),
    OPT_CHOICE(struct restore_args, format, 0, "disk-format", "auto|raw|qcow2|vmdk|vhdx|vdi|vpc",
               N_("write disks as images of this format (auto: what the name of the file says, else raw)"),
               .def = "auto"),
    OPT_FLAG(struct restore_args, in_place, 0, "in-place",
             N_("restore to where the files were; only what differs is written"), .conflicts = "strip"),
    OPT_FLAG(struct restore_args, overwrite, 0, "overwrite",
             N_("allow a target that is not empty; replace what differs")),
    OPT_FLAG(struct restore_args, delete_extra, 0, "delete", N_("remove what the snapshot does not have")),
    OPT_FLAG(struct restore_args, compare, 0, "compare",
             N_("trust no size and time: compare the content of existing files")),
    OPT_FLAG(struct restore_args, verify, 0, "verify", N_("read back what was written and compare")),
    OPT_FLAG(struct restore_args, dry_run, 'n', "dry-run",
             N_("tell what would be done and how long it takes; write nothing")),
    OPT_LIST(struct restore_args, includes, 0, "include", N_("PATTERN"),
             N_("restore only what fits; may be repeated")),
    OPT_LIST(struct restore_args, excludes, 0, "exclude", N_("PATTERN"),
             N_("leave out what fits; may be repeated")),
    OPT_FLAG(struct restore_args, strip, 0, "strip",
             N_("put the content of the one PATH straight into the target")),
    OPT_FLAG(struct restore_args, numeric_owner, 0, "numeric-owner",
             N_("use recorded user and group numbers, not names"), .conflicts = "no-owner"),
    OPT_FLAG(struct restore_args, no_owner, 0, "no-owner",
             N_("leave owner and group to the one who restores")),
    OPT_FLAG(struct restore_args, machine.define, 0, "define",
             N_("restore whole virtual machines, and define them in the libvirt of this host"),
             .conflicts = "target to in-place"),
    OPT_STR(struct restore_args, machine.connect, 0, "connect", N_("URI"),
            N_("of libvirt, as virsh takes it")),
    OPT_STR(struct restore_args, machine.domain, 0, "domain", N_("NAME"),
            N_("the machine of the snapshot that is restored (else all)")),
    OPT_STR(struct restore_args, machine.name, 0, "name", N_("NAME"), N_("what the machine is called then")),
    OPT_FLAG(struct restore_args, machine.new_uuid, 0, "new-uuid",
             N_("give it a uuid of its own (so too beside the machine that it is a copy of)")),
    OPT_FLAG(struct restore_args, machine.new_mac, 0, "new-mac",
             N_("give its network cards new addresses (so too beside the machine that it is a copy of)")),
    OPT_LIST(struct restore_args, machine.networks, 0, "network", N_("OLD=NEW"),
             N_("connect it to this network or bridge instead; may be repeated")),
    OPT_STR(struct restore_args, machine.disk_dir, 0, "disk-dir", N_("DIR"),
            N_("put its disks below DIR (else where its definition says)")),
    OPT_FLAG(struct restore_args, machine.start, 0, "start", N_("start it")),
    OPT_FLAG(struct restore_args, no_sparse, 0, "no-sparse", N_("write runs of zeroes that were not holes")),
    OPT_END,
};

static void on_problem(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why)
{
    struct app *a = ctx;
    ui_problem(&a->ui, "problem", path, path_len, bk_code_name(why->code), why->text);
}

/* machines: NULL: none */
static void emit(struct app *a, const struct restore_report *p, const struct snapshot *s, bool dry_run,
                 json_t *machines)
{
    char id[SHOW_ID];
    json_t *o = show_record("result");
    json_object_set_new(o, "dry_run", json_boolean(dry_run));
    json_object_set_new(o, "snapshot", json_string(text_hex(s->id, SESSION_ID, id)));
    json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
    json_object_set_new(o, "files", text_json_u64(p->n_files));
    json_object_set_new(o, "dirs", text_json_u64(p->n_dirs));
    json_object_set_new(o, "others", text_json_u64(p->n_others));
    json_object_set_new(o, "kept", text_json_u64(p->n_kept));
    json_object_set_new(o, "deleted", text_json_u64(p->n_deleted));
    json_object_set_new(o, "problems", text_json_u64(p->n_problems));
    json_object_set_new(o, "bytes", text_json_u64(p->bytes));
    json_object_set_new(o, "bytes_written", text_json_u64(p->bytes_written));
    json_object_set_new(o, "bytes_to_read", text_json_u64(p->bytes_to_read));
    json_object_set_new(o, "bytes_verified", text_json_u64(p->bytes_verified));
    if (dry_run)
        json_object_set_new(o, "seconds_estimated", json_real(p->seconds_estimated));
    if (machines)
        json_object_set(o, "machines", machines);
    ui_emit(&a->ui, o);
}

static void print(struct app *a, const struct restore_report *p, const struct restore_args *x)
{
    char b1[TEXT_SIZE], b2[TEXT_SIZE], b3[TEXT_SIZE], t[TEXT_SIZE];
    char files[TEXT_COUNT], dirs[TEXT_COUNT], others[TEXT_COUNT];
    TEXT_FILES(files, p->n_files);
    TEXT_DIRS(dirs, p->n_dirs);
    TEXT_OTHERS(others, p->n_others);
    if (x->dry_run)
        printf(_("dry run: %s, %s, %s, %s; %s to read, about %s\n"), files, dirs, others,
               text_bytes(p->bytes, b1), text_bytes(p->bytes_to_read, b2),
               text_seconds(p->seconds_estimated, t));
    else
        printf(_("restored %s, %s, %s, %s; wrote %s in %s\n"), files, dirs, others, text_bytes(p->bytes, b1),
               text_bytes(p->bytes_written, b2), text_seconds(ui_seconds(&a->ui), t));
    if (p->n_kept || p->n_deleted)
        printf(_("  kept %llu, removed %llu\n"), (unsigned long long)p->n_kept,
               (unsigned long long)p->n_deleted);
    if (x->verify && !x->dry_run)
        printf(_("  verified %s\n"), text_bytes(p->bytes_verified, b3));
    if (p->n_problems)
        printf(ngettext("  %llu problem: see the warnings\n", "  %llu problems: see the warnings\n",
                        (unsigned long)p->n_problems),
               (unsigned long long)p->n_problems);
}

static int check_target(const struct restore_args *x, const struct operands *ops, struct bk_error *err)
{
    bool other = x->strip || x->includes.n || x->excludes.n || x->delete_extra || x->compare;
    int r = restore_machine_check(&x->machine, ops, other, err);
    if (r < 0)
        return r;
    if (!x->target && !x->in_place && !x->to && !x->machine.define) {
        bk_fail(err, BK_E_USAGE, "where to restore to was not given");
        return bk_hint(err,
                       "use --target DIR, --in-place for where the files were, --to PLACE for a disk, or "
                       "--define for a virtual machine");
    }
    if (x->delete_extra && !x->in_place && !x->overwrite)
        return bk_fail(err, BK_E_USAGE, "--delete needs --overwrite or --in-place");
    if (x->strip && ops->n > 2)
        return bk_fail(err, BK_E_USAGE, "--strip needs a single path");
    return 0;
}

/* A snapshot of disks or streams: no names of files, so none of what is only for files. */
static int streams(struct app *a, struct repo *repo, const struct restore_args *x, const struct parts *p,
                   struct restore_report *ret, struct bk_error *err)
{
    if (x->in_place || x->strip || x->includes.n || x->excludes.n || x->delete_extra) {
        bk_fail(err, BK_E_USAGE, "the snapshot holds no files, but disks or streams");
        return bk_hint(err, "restore them with --target DIR, or one of them with --to PLACE");
    }
    struct restore_streams_opts o = {
        .target = x->target,
        .to = x->to,
        .format = x->format ? disk_formats[x->format - 1] : NULL,
        .names = p->paths.v,
        .n_names = p->paths.n,
        .overwrite = x->overwrite,
        .verify = x->verify,
        .dry_run = x->dry_run,
        .held = true,
        .on_problem = on_problem,
        .ctx = a,
    };
    return restore_streams(repo, &a->job, &p->item->snap, &o, ret, err);
}

static int files(struct app *a, struct repo *repo, const struct restore_args *x, const struct parts *p,
                 struct restore_report *ret, struct bk_error *err)
{
    if (x->to || x->format)
        return bk_fail(err, BK_E_USAGE, "--to and --disk-format are for disks, and the snapshot holds files");
    if (x->strip && p->paths.n != 1)
        return bk_fail(err, BK_E_USAGE, "--strip needs a single path");
    struct restore_opts o = {
        .target = x->in_place ? "/" : x->target,
        .paths = p->paths.v,
        .n_paths = p->paths.n,
        .includes = x->includes.v,
        .n_includes = x->includes.n,
        .excludes = x->excludes.v,
        .n_excludes = x->excludes.n,
        .strip = x->strip,
        .delete_extra = x->delete_extra,
        .compare = x->compare,
        .verify = x->verify,
        .dry_run = x->dry_run,
        .held = true,
        .overwrite = x->overwrite || x->in_place,
        .no_owner = x->no_owner,
        .numeric_owner = x->numeric_owner,
        .sparse_zeroes = !x->no_sparse,
        .on_problem = on_problem,
        .ctx = a,
    };
    return restore_files(repo, &a->job, &p->item->snap, &o, ret, err);
}

static int machines(struct app *a, struct repo *repo, const struct restore_args *x, const struct parts *p,
                    struct restore_report *ret, json_t **ret_machines, struct bk_error *err)
{
    struct restore_machine_how how = {
        .format = x->format ? disk_formats[x->format - 1] : NULL,
        .overwrite = x->overwrite,
        .verify = x->verify,
        .dry_run = x->dry_run,
        .on_problem = on_problem,
    };
    if (p->paths.n)
        return bk_fail(err, BK_E_USAGE, "--define restores whole machines: no PATH is named");
    return restore_machine_run(a, repo, &p->item->snap, &x->machine, &how, ret, ret_machines, err);
}

static int restore_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct restore_args *x = args;
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(session_free) struct session *session = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    bk_auto(parts_clear) struct parts p = { 0 };
    int r = check_target(x, ops, err);
    if (r == 0)
        r = app_open_repo(a, &repo, err);
    if (r == 0 && !x->dry_run)
        r = session_hold(repo, &a->job, "restore", &session, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r == 0)
        r = parts_find(&c, ops, &p, err);
    if (r == 0)
        r = ui_begin(&a->ui, "restore", err);
    if (r < 0)
        return r;
    struct restore_report report = { 0 };
    json_t *defined = NULL;
    if (x->machine.define)
        r = machines(a, repo, x, &p, &report, &defined, err);
    else
        r = snapshot_stream_of(&p.item->snap, STREAM_TREE) ? files(a, repo, x, &p, &report, err)
                                                           : streams(a, repo, x, &p, &report, err);
    ui_end(&a->ui);
    if (r < 0)
        return r;
    if (a->g.json)
        emit(a, &report, &p.item->snap, x->dry_run, defined);
    else if (!a->g.quiet) {
        restore_machine_print(defined);
        print(a, &report, x);
    }
    json_decref(defined);
    return report.n_problems ? BK_E_EXCEPTIONS : 0;
}

const struct command cmd_restore = {
    .name = "restore",
    .summary = N_("Restore a snapshot or parts of it"),
    .operands = N_("SNAP[:PATH] [PATH...]"),
    .about = N_(
        "Restores all of the snapshot, or the PATHs only, below --target with their full paths (see "
        "--strip), or "
        "--in-place. With --overwrite or --in-place only what differs is written; --delete makes the result "
        "exact. What could not be restored or set is listed; the exit status is then 10.\n\n"
        "Of a snapshot of disks each becomes an image below --target, or one of them, SNAP:DISK, goes --to a "
        "file, a "
        "block device or an NBD export.\n\n"
        "With --define the virtual machines of the snapshot are restored as a whole and defined in libvirt, "
        "on "
        "this or "
        "another host. Names, networks and places are looked at before anything is written; after an error "
        "no "
        "machine is defined. Its disks keep their format, and their places unless --disk-dir or --name says "
        "otherwise. Beside the machine that it is a copy of it needs a --name, and gets a uuid and network "
        "addresses of its own. Its definition is followed: use --disk-dir when you do not trust who wrote "
        "the "
        "backup, and look at --dry-run."),
    .opts = restore_opts,
    .args_size = sizeof(struct restore_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("everything, to a new folder"), "bkctl restore latest --target /tmp/restored" },
            { N_("one folder's content, verified"),
              "bkctl restore web@latest:/srv/www --strip --target /srv/new --verify" },
            { N_("put /etc back exactly as it was"), "bkctl restore 3f2a91c0:/etc --in-place --delete" },
            { N_("one disk, as an image for QEMU"),
              "bkctl restore web@latest:vda --to /var/lib/images/new.qcow2" },
            { N_("a virtual machine, beside the one that it was"),
              "bkctl restore web@latest --define --connect qemu:///system --name web-copy --disk-dir "
              "/var/lib/libvirt/images" },
            { 0 } },
    .run = restore_run,
};
