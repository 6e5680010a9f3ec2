/* One disk into content. Internal to bkd/backup/.
 *
 *   disk_run.c    the story            disk_plan.c   which segments are read
 *   disk_part.c   reading one          disk_audit.c  looking whether "unchanged" is true
 *
 * The disk is cut into segments of DISK_SEGMENT bytes. Those in which nothing changed are taken over from the
 * parent by their pages, those without data are one hole, the others are read, each by a worker. */
#ifndef BKD_BACKUP_DISK_RUN_H
#define BKD_BACKUP_DISK_RUN_H

#include "bkd/backup/ingest.h"
#include "bkd/backup/leaves.h"
#include "bkd/backup/run.h"
#include "bkd/job/pool.h"
#include "bkd/source/disk.h"

#define DISK_SEGMENT ((uint64_t)64 << 20)
enum { DISK_SEGMENT_BLOCKS = DISK_SEGMENT / DISK_BLOCK };

/* What happened, for the snapshot's record. */
struct disk_report {
    uint64_t read_bytes;
    uint64_t n_audited, n_lies; /* blocks */
    bool parent_failed;         /* that is why it failed */
};

/* Read all of d, or, with `old`, what is not clean; audit_ppm: blocks of a million said to be clean that are
 * looked at. *ret_lied: a look showed that the tracking lies, and ret is not set; or it fails and the report
 * says that the parent did: the caller begins again without `old` after both. The report is set also after
 * errors. */
int disk_run(struct run *run, struct disk *d, const struct content *old, unsigned audit_ppm,
             struct content *ret, struct disk_report *ret_report, bool *ret_lied,
             struct bk_error *err) BK_MUST_CHECK;

/* ---- inside ---- */

enum part_kind {
    PART_BLANK, /* one hole */
    PART_KEEP,  /* as the parent has it */
    PART_READ,  /* at most a segment */
};
struct disk_job;
struct part {
    struct task task;
    struct disk_job *of;
    enum part_kind kind;
    uint64_t from, to;
    struct pieces pieces;
};
struct disk_job {
    struct run *run;
    struct disk *disk;
    const struct leaves *old; /* NULL: no parent, or it is not to be used */
    struct pool *pool;
    struct ingest *in; /* owned: one for each worker */
    unsigned n_in;
    struct part *parts; /* owned */
    size_t n, cap;
    unsigned audit_ppm;
    atomic_uint_fast64_t n_audited, n_lies;
    atomic_bool parent_failed;

    pthread_mutex_t lock; /* guards free_lanes, n_free */
    pthread_cond_t freed;
    unsigned *free_lanes; /* owned: lanes of the disk that nobody uses */
    unsigned n_free;
};

/* What a look into the parent returned; its damage is remembered. */
int disk_parent(struct disk_job *g, int r);
unsigned disk_lane_take(struct disk_job *g);
void disk_lane_give(struct disk_job *g, unsigned lane);

/* disk_plan.c: fills parts. */
int disk_plan(struct disk_job *g, struct bk_error *err) BK_MUST_CHECK;
/* disk_part.c: fills p->pieces; a task's. */
int disk_part(struct part *p, unsigned worker, struct bk_error *err) BK_MUST_CHECK;
/* What a block of a segment is. */
enum block_state { BLOCK_NONE, BLOCK_CLEAN, BLOCK_HOLE, BLOCK_ZERO, BLOCK_DATA };
struct blocks {
    uint64_t from, to;
    uint8_t v[DISK_SEGMENT_BLOCKS];    /* enum block_state */
    uint8_t data[DISK_SEGMENT_BLOCKS]; /* the map says that it holds data */
    size_t n;
};
int disk_blocks(struct disk_job *g, unsigned lane, uint64_t from, uint64_t to, struct blocks *ret,
                struct bk_error *err) BK_MUST_CHECK;
/* disk_audit.c: look at some of the clean blocks; old: the parent's extents of the same bytes. */
int disk_audit(struct disk_job *g, unsigned worker, unsigned lane, const struct blocks *b,
               const struct extents *old, struct bk_error *err) BK_MUST_CHECK;

#endif
