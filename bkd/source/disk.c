#include "bkd/source/disk.h"

int disk_map(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
             struct bk_error *err)
{
    return from < to ? d->ops->map(d, lane, from, to, fn, ctx, err) : 0;
}

int disk_read(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
              struct bk_error *err)
{
    return from < to ? d->ops->read(d, lane, from, to, fn, ctx, err) : 0;
}

void disk_free(struct disk *d)
{
    if (d)
        d->ops->free(d);
}
