#include <errno.h>

#include "bkd/backup/disk_run.h"

/* The segment at hand. */
struct planner {
    struct disk_job *g;
    uint64_t from, at;
    bool dirty, data; /* of what was seen of it */
};

static int add_part(struct disk_job *g, enum part_kind kind, uint64_t from, uint64_t to, struct bk_error *err)
{
    struct part *last = g->n ? &g->parts[g->n - 1] : NULL;
    if (last && kind != PART_READ && last->kind == kind) {
        last->to = to;
        return 0;
    }
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct part *v = reallocarray(g->parts, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "plan %zu segments of a disk", cap);
        g->parts = v;
        g->cap = cap;
    }
    g->parts[g->n++] = (struct part){ .of = g, .kind = kind, .from = from, .to = to };
    return 0;
}

static int close_segment(struct planner *p, uint64_t end, struct bk_error *err)
{
    enum part_kind kind = p->g->old && !p->dirty ? PART_KEEP : p->data ? PART_READ : PART_BLANK;
    int r = add_part(p->g, kind, p->from, end, err);
    p->from = end;
    p->dirty = p->data = false;
    return r;
}

static int on_part(void *ctx, const struct disk_part *m, struct bk_error *err)
{
    struct planner *p = ctx;
    uint64_t end = m->from + m->len;
    while (p->at < end) {
        uint64_t stop = p->from + DISK_SEGMENT;
        p->dirty |= !m->clean;
        p->data |= m->kind != EXTENT_HOLE;
        /* A long part says the same of all the segments that lie in it. */
        if (p->at == p->from && end - p->at >= DISK_SEGMENT)
            stop = m->kind == EXTENT_HOLE || (p->g->old && m->clean)
                       ? p->at + (end - p->at) / DISK_SEGMENT * DISK_SEGMENT
                       : stop;
        p->at = stop < end ? stop : end;
        int r = p->at == stop ? close_segment(p, stop, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int disk_plan(struct disk_job *g, struct bk_error *err)
{
    struct planner p = { .g = g };
    unsigned lane = disk_lane_take(g);
    int r = disk_map(g->disk, lane, 0, g->disk->size, on_part, &p, err);
    disk_lane_give(g, lane);
    if (r == 0 && p.from < g->disk->size)
        r = close_segment(&p, g->disk->size, err);
    return r;
}
