/* vm: what concerns virtual machines themselves, not their snapshots. */
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"
#if HAVE_VM
#include "bkd/source/vm.h"
#endif

struct vm_args {
    const char *connect;
};

static const struct opt vm_args_opts[] = {
    OPT_STR(struct vm_args, connect, 0, "connect", N_("URI"), N_("of libvirt, as virsh takes it")),
    OPT_END,
};

static int forget_tracking(struct app *a, const char *uri, const char *domain, unsigned *ret,
                           struct bk_error *err)
{
#if HAVE_VM
    return vm_forget_tracking(uri, domain, &a->job, ret, err);
#else
    (void)a;
    (void)uri;
    (void)domain;
    (void)ret;
    return bk_fail(err, BK_E_UNSUPPORTED, "this build cannot speak to libvirt");
#endif
}

static int vm_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const struct vm_args *x = args;
    if (strcmp(ops->v[0], "forget-tracking")) {
        bk_fail(err, BK_E_USAGE, "'%s' is nothing that can be done", ops->v[0]);
        return bk_hint(err, "choose one of: %s", cmd_vm.verbs);
    }
    unsigned n = 0;
    int r = forget_tracking(a, x->connect, ops->v[1], &n, err);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "domain", json_string(ops->v[1]));
        json_object_set_new(o, "removed_checkpoints", json_integer(n));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(ngettext("domain %s: %u checkpoint removed; its next backup reads everything\n",
                        "domain %s: %u checkpoints removed; its next backup reads everything\n", n),
               ops->v[1], n);
    }
    return 0;
}

const struct command cmd_vm = {
    .name = "vm",
    .summary = N_("Hand a virtual machine back as it was before it was backed up"),
    .operands = N_("forget-tracking DOMAIN"),
    .verbs = "forget-tracking",
    .about =
        N_("Ends what an interrupted backup left running on the domain, and deletes the checkpoints by which "
           "backups see what has changed. What other programs made is left alone. Snapshots are not touched; "
           "the next backup reads everything."),
    .opts = vm_args_opts,
    .args_size = sizeof(struct vm_args),
    .min_operands = 2,
    .max_operands = 2,
    .examples = (const struct example[]){ { N_("no longer backed up from here"),
                                            "bkctl vm forget-tracking web1 --connect qemu:///system" },
                                          { 0 } },
    .run = vm_run,
};
