/* Images of other formats, through a qemu-nbd of our own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "bkd/source/disk_nbd.h"
#include "bkd/source/disk_format.h"
#include "bkd/source/disk_serve.h"

int disk_image_open(const char *path, const char *format, const char *bitmap, struct job *j,
                    struct disk **ret, struct bk_error *err)
{
    if (!disk_format_known(format))
        return bk_fail(err, BK_E_UNSUPPORTED, "%s: '%s' is no format of disk images that is known", path,
                       format);
    bk_auto(close) int probe = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (probe < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    unsigned n = j->n_threads < NBD_LINKS_MAX ? j->n_threads : NBD_LINKS_MAX;
    bk_auto(free) struct nbd_link *links = calloc(n, sizeof *links);
    bk_auto(free) char *changes = NULL;
    if (bitmap && asprintf(&changes, "qemu:dirty-bitmap:%s", bitmap) < 0)
        changes = NULL;
    if (!links || (bitmap && !changes))
        return bk_fail_errno(err, ENOMEM, "open %s", path);
    const char *contexts[] = { "base:allocation", changes, NULL };
    const char *more[] = { "-r", bitmap ? "-B" : NULL, bitmap, NULL };
    struct child *server = NULL;
    int r = disk_serve(path, format, more, n, j, contexts, links, &server, err);
    if (r == 0)
        r = disk_nbd_over(links, n, changes, server, ret, err);
    return r < 0 ? bk_context(err, "%s", path) : 0;
}
