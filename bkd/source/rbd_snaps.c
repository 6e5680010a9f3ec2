#include "bkd/source/rbd_snaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/job/world.h"

enum { FIRST = 64, MOST = 1 << 20 };

int rbd_snaps_list(struct rbd_link *l, rbd_image_t image, struct rbd_snaps *ret, struct bk_error *err)
{
    for (int cap = FIRST; cap < MOST;) {
        rbd_snap_info_t *v = calloc((size_t)cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list snapshots");
        int want = cap, n = rbd_lib.snap_list(image, v, &want);
        if (n >= 0) {
            *ret = (struct rbd_snaps){ v, (size_t)n };
            return 0;
        }
        free(v);
        if (n != -ERANGE)
            return rbd_link_fail(l, n, N_("list snapshots"), bk_text(N_("of the image")), err);
        cap = want > cap ? want + FIRST : cap * 2;
    }
    return bk_fail(err, BK_E_LIMIT, "more than %d snapshots", MOST);
}

void rbd_snaps_clear(struct rbd_snaps *s)
{
    if (s->v)
        rbd_lib.snap_list_end(s->v);
    free(s->v);
    *s = (struct rbd_snaps){ 0 };
}

const rbd_snap_info_t *rbd_snaps_find(const struct rbd_snaps *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->v[i].name, name))
            return &s->v[i];
    return NULL;
}

int rbd_snaps_name(const char *series, char out[static RBD_SNAP_OURS + 1], struct bk_error *err)
{
    uint64_t dice = 0;
    int r = world_real.random(world_real.ctx, (uint8_t *)&dice, sizeof dice, err);
    if (r == 0)
        snprintf(out, RBD_SNAP_OURS + 1, "bkctl-%.*s-%016llx", DISKS_SERIES, series,
                 (unsigned long long)dice);
    return r;
}

bool rbd_snaps_ours(const char *name, const char *series)
{
    return strlen(name) == RBD_SNAP_OURS && strlen(series) == DISKS_SERIES && !memcmp(name, "bkctl-", 6) &&
           !memcmp(name + 6, series, DISKS_SERIES) && name[6 + DISKS_SERIES] == '-' &&
           strspn(name + 6 + DISKS_SERIES + 1, "0123456789abcdef") == 16;
}
