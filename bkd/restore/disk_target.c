#include "bkd/restore/disk_target.h"

#include <string.h>

#include "bkd/source/disks.h"
#include "bkd/source/disks_rbd.h"
#include "bkd/source/disk_format.h"

static int open_rbd(const struct disk_target_opts *o, struct job *j, struct disk_target **ret,
                    struct bk_error *err)
{
    if (o->format && strcmp(o->format, "raw") != 0)
        return bk_fail(err, BK_E_USAGE, "%s: an image in Ceph takes the bytes of the disk, not a %s image",
                       o->to, o->format);
#if HAVE_RBD
    int r = disk_target_rbd(o, j, ret, err);
#else
    (void)j, (void)ret;
    int r = bk_fail(err, BK_E_UNSUPPORTED, "this build writes no images in Ceph: it has no librbd");
#endif
    return r < 0 ? bk_context(err, "%s", o->to) : 0;
}

int disk_target_open(const struct disk_target_opts *o, struct job *j, struct disk_target **ret,
                     struct bk_error *err)
{
    if (disks_rbd_is(o->to))
        return open_rbd(o, j, ret, err);
    const char *uri = disks_uri(o->to), *name = uri ? NULL : disk_format_of_name(o->to, NULL);
    const char *format = o->format ? o->format : name ? name : "raw";
    if (!disk_format_known(format))
        return bk_fail(err, BK_E_USAGE, "'%s' is no format of disk images that is known", format);
    if (uri && o->format && strcmp(o->format, "raw"))
        return bk_fail(err, BK_E_USAGE, "an NBD export takes the bytes of the disk, not a %s image",
                       o->format);
    int r;
    if (!uri && !strcmp(format, "raw"))
        r = disk_target_file(o, ret, err);
    else
#if HAVE_DISKS
        r = disk_target_nbd(o, uri ? NULL : format, j, ret, err);
#else
        r = bk_fail(err, BK_E_UNSUPPORTED, "this build writes raw disks only: it has no libnbd");
#endif
    return r < 0 ? bk_context(err, "%s", o->to) : 0;
}

void disk_target_free(struct disk_target *t)
{
    if (t)
        t->ops->free(t);
}
