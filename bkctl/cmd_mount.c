/* mount: all snapshots as a read-only file system. */
#include "bkctl/command.h"
#include "bkctl/mount.h"
#include "bkctl/show.h"

static const struct opt mount_opts[] = {
    OPT_FLAG(struct mount_args, foreground, 'f', "foreground",
             N_("stay in the foreground (this is the default)"), .conflicts = "background"),
    OPT_FLAG(struct mount_args, background, 'b', "background", N_("return as soon as it is mounted")),
    OPT_FLAG(struct mount_args, allow_other, 0, "allow-other",
             N_("let other users in; what they may read is then checked by mode")),
    OPT_END,
};

static int mount_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
#if HAVE_MOUNT
    return mount_serve(a, args, ops->v[0], err);
#else
    (void)a, (void)args, (void)ops;
    bk_fail(err, BK_E_UNSUPPORTED, "this bkctl was built without FUSE");
    return bk_hint(err, "install libfuse3-dev and build again");
#endif
}

const struct command cmd_mount = {
    .name = "mount",
    .summary = N_("Mount all snapshots, read-only"),
    .operands = N_("DIR"),
    .about = N_(
        "Below DIR: snapshots/NAME/TIME and snapshots/NAME/latest (a '/' in NAME is written %2F, a '%' as "
        "%25), ids/ID, and "
        "latest. Shows the snapshots that are there when it starts. Ctrl-C or fusermount3 -u DIR ends it."),
    .opts = mount_opts,
    .args_size = sizeof(struct mount_args),
    .min_operands = 1,
    .max_operands = 1,
    .examples = (const struct example[]){ { N_("look around"),
                                            "bkctl mount --background /mnt/b && ls /mnt/b/latest" },
                                          { N_("and end it"), "fusermount3 -u /mnt/b" },
                                          { 0 } },
    .run = mount_run,
};
