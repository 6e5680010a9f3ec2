#include "bkctl/backup_disks.h"

#include <errno.h>
#include <string.h>

#include "bkctl/text.h"
#include "bkd/source/disk_format.h"
#include "bkd/source/disks_rbd.h"
#include "bkd/source/vm.h"

static bool is_machine(const char *operand)
{
    return !strncmp(operand, VM_OPERAND, strlen(VM_OPERAND));
}

int backup_disks_check(const struct backup_disks_args *x, const struct operands *ops, bool *ret,
                       struct bk_error *err)
{
    size_t n_plain = 0, n_images = 0, n_machines = 0;
    for (size_t i = 0; i < ops->n; i++) {
        n_plain += disks_plain_is(ops->v[i]);
        n_images += disks_rbd_is(ops->v[i]);
        n_machines += is_machine(ops->v[i]);
    }
    *ret = n_plain || n_images || n_machines;
    if (*ret && n_plain != ops->n && n_images != ops->n && n_machines != ops->n) {
        bk_fail(err, BK_E_USAGE,
                "files, disks, images in Ceph and virtual machines do not go into one snapshot");
        return bk_hint(err, "a file whose name begins with disk: is written ./disk:...");
    }
    if (!n_plain && x->format)
        return bk_fail(err, BK_E_USAGE, "--disk-format is for disks: disk:PATH");
    if (!n_machines && (x->connect || x->scratch_dir || x->excluded.n || x->freeze))
        return bk_fail(err, BK_E_USAGE,
                       "--connect, --scratch, --exclude-disk and --freeze are for virtual machines: vm:NAME");
    return 0;
}

#if HAVE_VM
/* The repository and what tells the series apart: so two of them do not take each other's checkpoints away.
 */
static int series_of(struct repo *repo, const struct backup_common *c, const struct operands *ops,
                     struct bk_buf *ret, struct bk_error *err)
{
    char id[2 * CONFIG_REPO_ID + 1];
    text_hex(repo_config(repo)->repo_id, CONFIG_REPO_ID, id);
    int r = bk_buf_append(ret, id, strlen(id), err);
    for (size_t i = 0; i < (c->name ? 1 : ops->n) && r == 0; i++) {
        const char *part = c->name ? c->name : ops->v[i];
        r = bk_buf_u8(ret, ',', err);
        if (r == 0)
            r = bk_buf_append(ret, part, strlen(part), err);
    }
    return r < 0 ? r : bk_buf_u8(ret, 0, err);
}

static int machines(struct repo *repo, const struct backup_common *c, const struct backup_disks_args *x,
                    const struct operands *ops, struct disks **ret, struct bk_error *err)
{
    bk_auto(free) const char **names = calloc(ops->n, sizeof *names);
    bk_auto(bk_buf_clear) struct bk_buf series = BK_BUF(SIZE_MAX);
    if (!names)
        return bk_fail_errno(err, ENOMEM, "open virtual machines");
    int r = series_of(repo, c, ops, &series, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ops->n; i++)
        names[i] = ops->v[i] + strlen(VM_OPERAND);
    struct vm_opts o = { .uri = x->connect,
                         .excluded = x->excluded.v,
                         .n_excluded = x->excluded.n,
                         .freeze = (enum vm_freeze_policy)x->freeze,
                         .freeze_max_ms = (unsigned)x->freeze_max_s * 1000,
                         .scratch_dir = x->scratch_dir,
                         .series = (const char *)series.data,
                         .full = c->level == LEVEL_FULL };
    return vm_disks_new(&o, names, ops->n, ret, err);
}
#else
static int machines(struct repo *repo, const struct backup_common *c, const struct backup_disks_args *x,
                    const struct operands *ops, struct disks **ret, struct bk_error *err)
{
    (void)repo;
    (void)c;
    (void)x;
    (void)ret;
    return bk_fail(err, BK_E_UNSUPPORTED, "%s: this build has no libvirt", ops->v[0]);
}
#endif

int backup_disks_run(struct app *a, struct repo *repo, const struct backup_common *c,
                     const struct backup_disks_args *x, const struct operands *ops, struct backup_result *ret,
                     struct bk_error *err)
{
    const char *const *v = (const char *const *)ops->v;
    bk_auto(disks_free) struct disks *source = NULL;
    int r = is_machine(v[0]) ? machines(repo, c, x, ops, &source, err)
            : disks_rbd_is(v[0])
                ? disks_rbd_new(v, ops->n, &source, err)
                : disks_plain_new(v, ops->n, x->format ? disk_formats[x->format - 1] : NULL, &source, err);
    if (r < 0)
        return r;
    struct backup_disks d = {
        .source = source, .operands = v, .n_operands = ops->n, .audit_ppm = (unsigned)x->audit * 10000
    };
    return backup_disks(repo, &a->job, c, &d, ret, err);
}
