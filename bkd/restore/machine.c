#include "bkd/restore/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/restore/machine_plan.h"

struct run {
    struct repo *repo;
    struct job *job;
    const struct machine_opts *opts;
    struct vm_define *libvirt; /* owned */
    struct machines machines;  /* owned */
};

static void run_clear(struct run *x)
{
    vm_define_free(x->libvirt);
    machines_clear(&x->machines);
}
BK_AUTO_CLEAR(struct run, run_clear)

/* ---- looking ---- */

static bool is_uuid(const char *s)
{
    return strlen(s) == VM_UUID && strspn(s, "0123456789abcdefABCDEF-") == VM_UUID;
}

static int choose_name(struct run *x, struct machine *m, struct bk_error *err)
{
    const char *name = x->opts->name ? x->opts->name : m->xml.name;
    bool taken = false;
    if (!*name || strlen(name) > VM_NAME_MAX || strpbrk(name, "/\n"))
        return bk_fail(err, BK_E_USAGE, "'%s' is no name for a domain", name);
    snprintf(m->name, sizeof m->name, "%s", name);
    int r = vm_define_has_name(x->libvirt, name, &taken, err);
    if (r < 0 || !taken)
        return r;
    bk_fail(err, BK_E_EXISTS, "there is a domain '%s' already", name);
    return bk_hint(err, "give it another name with --name, or undefine the one that is there");
}

/* Beside the machine that it is a copy of, under another name, it is a machine of its own. */
static int choose_uuid(struct run *x, struct machine *m, struct bk_error *err)
{
    const struct machine_opts *o = x->opts;
    bool taken = false, other_name = strcmp(m->name, m->xml.name) != 0;
    if (!is_uuid(m->xml.uuid))
        return bk_fail(err, BK_E_CORRUPT, "domain '%s': its definition has no uuid", m->name);
    int r = o->new_uuid ? 0 : vm_define_has_uuid(x->libvirt, m->xml.uuid, &taken, err);
    if (r < 0)
        return r;
    if (taken && !other_name) {
        bk_fail(err, BK_E_EXISTS, "there is a domain with the uuid %s already, under another name",
                m->xml.uuid);
        return bk_hint(err, "make it a machine of its own with --new-uuid --new-mac");
    }
    m->new_uuid = o->new_uuid || taken;
    m->new_macs = o->new_macs || taken;
    if (m->new_uuid)
        return vm_define_new_uuid(m->uuid, err);
    snprintf(m->uuid, sizeof m->uuid, "%s", m->xml.uuid);
    return 0;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static const char *path_of(const struct machine *m, enum machine_kind kind)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == kind)
            return m->parts[i].path;
    return NULL;
}

static int change(struct run *x, struct machine *m, struct bk_error *err)
{
    bk_auto(free) struct vm_rewrite_disk *disks = calloc(m->n_parts ? m->n_parts : 1, sizeof *disks);
    if (!disks)
        return bk_fail_errno(err, ENOMEM, "change a definition");
    bool renamed = strcmp(m->name, m->xml.name) != 0;
    struct vm_rewrite w = { .name = m->name,
                            .uuid = m->uuid,
                            .new_macs = m->new_macs,
                            .disks = disks,
                            .nvram = path_of(m, MACHINE_NVRAM),
                            .kernel = path_of(m, MACHINE_KERNEL),
                            .initrd = path_of(m, MACHINE_INITRD),
                            .forget_tpm_place = path_of(m, MACHINE_TPM),
                            .networks = x->opts->networks,
                            .n_networks = x->opts->n_networks,
                            .has_medium = is_there };
    w.forget_nvram = !w.nvram && (renamed || x->machines.folder);
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct machine_part *p = &m->parts[i];
        if (p->kind == MACHINE_DISK)
            disks[w.n_disks++] = (struct vm_rewrite_disk){
                .target = p->target, .path = p->path, .format = p->format, .device = p->device
            };
    }
    return vm_rewrite(m->text, &w, x->job, &m->changed, err);
}

static int look_at_network(void *ctx, const char *name, struct bk_error *err)
{
    struct run *x = ctx;
    bool there = false;
    int r = vm_define_has_network(x->libvirt, name, &there, err);
    if (r < 0 || there)
        return r;
    bk_fail(err, BK_E_ABSENT, "there is no network '%s' here", name);
    return bk_hint(err, "name the one that it is here: --network %s=NETWORK", name);
}

static int look_at_one(struct run *x, const struct snapshot *s, const struct hold *h, struct machine *m,
                       struct bk_error *err)
{
    int r = choose_name(x, m, err);
    if (r == 0)
        r = choose_uuid(x, m, err);
    if (r == 0)
        r = machine_place(s, x->opts, h, x->job, x->machines.folder, m, err);
    if (r == 0)
        r = change(x, m, err);
    if (r == 0)
        r = vm_rewrite_networks(m->changed, look_at_network, x, err);
    return r < 0 ? bk_context(err, "domain '%s'", m->xml.name) : 0;
}

static int check_apart(struct run *x, struct bk_error *err)
{
    const struct machines *m = &x->machines;
    for (size_t a = 0; a < m->n; a++)
        for (size_t b = a + 1; b < m->n; b++)
            if (!strcmp(m->v[a].name, m->v[b].name) || !strcmp(m->v[a].uuid, m->v[b].uuid))
                return bk_fail(err, BK_E_CORRUPT, "two machines of the snapshot are called '%s'",
                               m->v[a].name);
    for (size_t i = 0; i < x->opts->n_networks; i++)
        if (!x->opts->networks[i].used)
            return bk_fail(err, BK_E_ABSENT, "no machine of the snapshot is on a network '%s'",
                           x->opts->networks[i].from);
    return machine_place_apart(m, err);
}

static int name_folder(struct run *x, struct bk_error *err)
{
    const char *dir = x->opts->disk_dir;
    bk_auto(free) char *here = dir && *dir != '/' ? realpath(".", NULL) : NULL;
    if (!dir)
        return 0;
    if (!*dir)
        return bk_fail(err, BK_E_USAGE, "the folder for the disks has no name");
    if ((*dir != '/' && !here) ||
        asprintf(&x->machines.folder, "%s%s%s", here ? here : "", here ? "/" : "", dir) < 0) {
        x->machines.folder = NULL;
        return bk_fail_errno(err, errno, "name the folder %s", dir);
    }
    for (size_t n = strlen(x->machines.folder); n > 1 && x->machines.folder[n - 1] == '/'; n--)
        x->machines.folder[n - 1] = '\0';
    return 0;
}

static int look(struct run *x, const struct snapshot *s, struct bk_error *err)
{
    bk_auto(hold_close) struct hold h = { 0 };
    int r = hold_open(x->repo, x->job, "restore", false, &h, err);
    if (r == 0)
        r = name_folder(x, err);
    if (r == 0)
        r = machine_find(s, x->opts, &h, x->job, &x->machines, err);
    if (r == 0)
        r = vm_define_open(x->opts->uri, &x->libvirt, err);
    for (size_t i = 0; i < x->machines.n && r == 0; i++)
        r = look_at_one(x, s, &h, &x->machines.v[i], err);
    return r == 0 ? check_apart(x, err) : r;
}

/* ---- doing ---- */

static int define(struct run *x, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < x->machines.n && r == 0; i++) {
        struct machine *m = &x->machines.v[i];
        r = job_check(x->job, err);
        if (r == 0)
            r = vm_define_add(x->libvirt, m->changed, m->name, m->uuid, err);
        m->defined = r == 0 || r == BK_E_UNREACHABLE; /* then it may be */
    }
    return r;
}

/* A restore takes hours, in which the daemon may have been restarted. */
static int connect_again(struct run *x, struct bk_error *err)
{
    vm_define_free(x->libvirt);
    x->libvirt = NULL;
    return vm_define_open(x->opts->uri, &x->libvirt, err);
}

static int take_away(struct run *x, const struct machine *m, struct bk_error *err)
{
    int r = x->libvirt ? vm_define_remove(x->libvirt, m->uuid, err) : BK_E_UNREACHABLE;
    if (r != BK_E_UNREACHABLE)
        return r;
    r = connect_again(x, err);
    return r < 0 ? r : vm_define_remove(x->libvirt, m->uuid, err);
}

static void undo(struct run *x)
{
    for (size_t i = 0; i < x->machines.n; i++) {
        struct machine *m = &x->machines.v[i];
        struct bk_error why = { 0 };
        int r = m->defined ? take_away(x, m, &why) : 0;
        if (r < 0) /* its files stay as well */
            job_log(x->job, JOB_WARN, N_("domain '%s' could not be undefined: %s"), m->name, why.text);
        m->defined = r < 0;
    }
    machine_files_undo(&x->machines, x->job);
}

static int start(struct run *x, const struct restore_report *report, struct bk_error *err)
{
    int r = 0;
    if (report->n_problems)
        job_log(x->job, JOB_WARN, N_("nothing is started: there were problems"));
    for (size_t i = 0; i < x->machines.n && r == 0 && !report->n_problems; i++) {
        struct machine *m = &x->machines.v[i];
        r = vm_define_start(x->libvirt, m->uuid, err);
        m->started = r == 0;
        if (r < 0)
            bk_context(err, "domain '%s' is restored and defined, but does not start", m->name);
    }
    return r;
}

int machines_restore(struct repo *repo, struct job *j, const struct snapshot *s, const struct machine_opts *o,
                     struct machines *ret, struct restore_report *report, struct bk_error *err)
{
    bk_auto(run_clear) struct run x = { .repo = repo, .job = j, .opts = o };
    int r = look(&x, s, err);
    if (r < 0)
        return r;
    r = machine_files_restore(repo, j, o, &x.machines, report, err);
    if (r == 0 && !o->dry_run)
        r = machine_files_settle(&x.machines, err);
    if (r == 0 && !o->dry_run)
        r = connect_again(&x, err);
    if (r == 0 && !o->dry_run)
        r = define(&x, err);
    if (r < 0) {
        undo(&x);
        return r;
    }
    if (!o->dry_run)
        machine_files_keep(&x.machines, report->n_problems > 0, j);
    if (o->start && !o->dry_run)
        r = start(&x, report, err);
    if (r < 0)
        return r;
    *ret = x.machines;
    x.machines = (struct machines){ 0 };
    return 0;
}
