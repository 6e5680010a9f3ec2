#include "bkd/source/disk_rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_BLOCKS = (128 << 20) / DISK_BLOCK }; /* as long to ask about one by one as to ask anew */

/* The map is kept with two bits for a block: 8 MiB for 2 TiB, whatever lies where. */
enum state {
    NOTHING, /* nothing is allocated; of a tracked disk: and nothing changed */
    SAME,    /* an object is there, in which nothing is; of a tracked disk: nothing that changed */
    DATA,    /* to be read; of a tracked disk: it changed */
};

struct rbd_disk {
    struct disk disk;
    struct job *job;       /* borrowed */
    struct rbd_link *link; /* borrowed */
    rbd_image_t image;     /* owned */
    uint64_t overlap;
    uint8_t *map;           /* owned */
    struct rbd_lane *lanes; /* owned */
};

static enum state state_of(const struct rbd_disk *d, uint64_t block)
{
    return (enum state)(d->map[block / 4] >> (block % 4 * 2) & 3);
}

static void set_state(struct rbd_disk *d, uint64_t block, enum state s)
{
    unsigned shift = (unsigned)(block % 4 * 2);
    d->map[block / 4] = (uint8_t)((d->map[block / 4] & ~(3u << shift)) | (unsigned)s << shift);
}

/* ---- asking for the map ---- */

struct asking {
    struct rbd_disk *d;
    enum state data; /* what an extent with data makes of its blocks */
};

static void set_range(struct rbd_disk *d, uint64_t from, uint64_t to, enum state s)
{
    for (uint64_t b = from / DISK_BLOCK; b * DISK_BLOCK < to; b++)
        set_state(d, b, s);
}

static int on_extent(uint64_t at, size_t len, int exists, void *ctx)
{
    struct asking *k = ctx;
    struct rbd_disk *d = k->d;
    uint64_t to = at < d->disk.size && len > d->disk.size - at ? d->disk.size : at + len;
    if (atomic_load(&d->job->cancelled))
        return -ECANCELED;
    if (at >= d->disk.size || !len)
        return 0;
    /* "Does not exist" is no promise that it reads as zeroes: librbd before 16.2.15, 17.2.8 and 18.2.2 also
     * says it of objects that it could not tell about. So what is told to the byte is read, whatever is told
     * of it. */
    if (exists || k->data == DATA)
        set_range(d, at, to, k->data);
    return 0;
}

/* What data makes of [from, to) of the image. whole_object: it is enough to know which objects are there. */
static int ask(struct asking *k, rbd_image_t image, const char *since, bool whole_object, uint64_t from,
               uint64_t to, struct bk_error *err)
{
    struct rbd_disk *d = k->d;
    int rc = rbd_lib.diff_iterate2(image, since, from, to - from, !whole_object, whole_object, on_extent, k);
    int r = job_check(d->job, err);
    return r < 0 || rc >= 0
               ? r
               : rbd_link_fail(d->link, rc, N_("ask for the map"), bk_text(N_("of the image")), err);
}

/* Is there a map of the objects, and valid? Of striped images older librbds tell the wrong places of objects.
 */
static bool has_object_map(rbd_image_t image)
{
    uint64_t features = 0, flags = 0, stripes = 0;
    return rbd_lib.get_stripe_count(image, &stripes) >= 0 && stripes == 1 &&
           rbd_lib.get_features(image, &features) >= 0 && rbd_lib.get_flags(image, &flags) >= 0 &&
           (features & RBD_FEATURE_FAST_DIFF) &&
           !(flags & (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID));
}

/* Where objects are marked as there, bit by bit; where there are none over some distance nothing is asked. */
static int ask_where_marked(struct asking *k, const char *since, struct bk_error *err)
{
    struct rbd_disk *d = k->d;
    uint64_t n = (d->disk.size + DISK_BLOCK - 1) / DISK_BLOCK;
    int r = 0;
    for (uint64_t b = 0; b < n && r == 0;) {
        if (state_of(d, b) == NOTHING) {
            b++;
            continue;
        }
        uint64_t first = b, end = b + 1;
        for (b = end; b < n && b - end < GAP_BLOCKS; b++)
            if (state_of(d, b) != NOTHING)
                end = b + 1;
        uint64_t to = end * DISK_BLOCK < d->disk.size ? end * DISK_BLOCK : d->disk.size;
        r = ask(k, d->image, since, false, first * DISK_BLOCK, to, err);
    }
    return r;
}

/* What changed is asked for to the byte, of every object that is there, or was: that is not left to the map
 * of the objects. An object that neither has reads as zeroes, then and now, and need not be asked: of a large
 * image with little in it that saves nearly everything. Of what did not change it is enough to know which
 * objects are there: it is for the audit, and for reading all when the tracking turns out to lie. */
static int make_map(struct rbd_disk *d, const struct disk_rbd_opts *o, struct bk_error *err)
{
    struct asking there = { d, SAME }, bytes = { d, DATA };
    uint64_t size = d->disk.size;
    bool quick = has_object_map(d->image) && (!o->since || has_object_map(o->before));
    if (!size || (!o->since && !quick))
        return size ? ask(&bytes, d->image, NULL, false, 0, size, err) : 0;
    set_range(d, 0, d->overlap < size ? d->overlap : size, SAME);
    int r = ask(&there, d->image, NULL, true, 0, size, err);
    if (r == 0 && quick && o->since)
        r = ask(&there, o->before, NULL, true, 0, size, err);
    if (r < 0)
        return r;
    return quick ? ask_where_marked(&bytes, o->since, err)
                 : ask(&bytes, d->image, o->since, false, 0, size, err);
}

/* ---- the disk ---- */

static int rbd_map(struct disk *disk, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
                   struct bk_error *err)
{
    (void)lane;
    struct rbd_disk *d = (struct rbd_disk *)disk;
    int r = 0;
    for (uint64_t at = from; at < to && r == 0;) {
        uint64_t b = at / DISK_BLOCK;
        enum state s = state_of(d, b);
        while (++b * DISK_BLOCK < to && state_of(d, b) == s)
            ;
        uint64_t end = b * DISK_BLOCK < to ? b * DISK_BLOCK : to;
        struct disk_part p = { .from = at,
                               .len = end - at,
                               .kind = s == DATA || (s == SAME && disk->tracked) ? EXTENT_DATA : EXTENT_HOLE,
                               .clean = disk->tracked && (s == NOTHING || s == SAME) };
        r = fn(ctx, &p, err);
        at = end;
    }
    return r;
}

static int rbd_disk_read(struct disk *disk, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn,
                         void *ctx, struct bk_error *err)
{
    struct rbd_disk *d = (struct rbd_disk *)disk;
    return rbd_lane_read(&d->lanes[lane], d->image, from, to, d->job, fn, ctx, err);
}

static void rbd_disk_free(struct disk *disk)
{
    struct rbd_disk *d = (struct rbd_disk *)disk;
    for (unsigned i = 0; d->lanes && i < disk->n_lanes; i++)
        rbd_lane_clear(&d->lanes[i]);
    if (!atomic_load(&d->link->lost)) { /* else librbd still writes into them */
        rbd_lib.close(d->image);
        free(d->lanes);
    }
    free(d->map);
    free(d);
}

static const struct disk_ops rbd_ops = { .map = rbd_map, .read = rbd_disk_read, .free = rbd_disk_free };

int disk_rbd_new(struct rbd_link *link, const struct disk_rbd_opts *o, struct job *j, struct disk **ret,
                 struct bk_error *err)
{
    struct rbd_disk *d = calloc(1, sizeof *d);
    if (!d) {
        rbd_lib.close(o->image);
        return bk_fail_errno(err, ENOMEM, "open an image");
    }
    *d = (struct rbd_disk){
        .disk = { .ops = &rbd_ops, .size = o->size, .n_lanes = j->n_threads, .tracked = o->since },
        .job = j,
        .link = link,
        .image = o->image,
        .overlap = o->overlap
    };
    bk_auto(disk_free) struct disk *disk = &d->disk;
    d->lanes = calloc(j->n_threads, sizeof *d->lanes);
    for (unsigned i = 0; d->lanes && i < j->n_threads; i++)
        rbd_lane_init(&d->lanes[i], link);
    d->map = calloc(1, o->size / DISK_BLOCK / 4 + 1);
    if (!d->map || !d->lanes)
        return bk_fail_errno(err, ENOMEM, "open an image");
    int r = make_map(d, o, err);
    if (r == 0)
        *ret = bk_steal(disk);
    return r;
}
