/* Bytes in, extents out: the buffer and the chunker of one worker.
 *
 *     ingest_open (per lane) -> ingest_range | ingest_feed ... ingest_flush -> ingest_free
 *
 * Chunks are cut from the start of a segment (or of a run of data after a hole) on, so that the result does
 * not depend on read sizes or threads. A chunk of zeroes only becomes an extent without a chunk. A lane
 * belongs to one thread at a time. */
#ifndef BKD_BACKUP_INGEST_H
#define BKD_BACKUP_INGEST_H

#include "bkd/backup/pieces.h"

enum {
    INGEST_READ = 1 << 20,         /* bytes asked for at once */
    INGEST_LATE = 32,              /* small files that wait for their names */
    INGEST_LATE_BYTES = 128 << 10, /* ... and their bytes */
};

struct ingest {
    struct sink *sink;     /* borrowed */
    struct job *job;       /* borrowed */
    struct job_rate *rate; /* borrowed; NULL: no limit */
    unsigned lane;
    uint64_t segment_bytes;
    uint8_t *buf; /* owned, cap bytes: a read and the longest chunk */
    size_t cap, len;
    struct extents x;     /* of the segment at hand */
    uint64_t segment_len; /* ingest_feed: bytes of the segment so far */
    uint64_t read_bytes;  /* so far, in all */
    /* small files at the head of buf, and where their ids are wanted */
    struct suite_piece late[INGEST_LATE];
    chunk_id *late_to[INGEST_LATE];
    size_t n_late, late_bytes;
    size_t late_max; /* a file up to here is one chunk, and may wait */
};

int ingest_open(struct ingest *g, struct sink *s, struct job *j, struct job_rate *rate, unsigned lane,
                struct bk_error *err) BK_MUST_CHECK;
void ingest_close(struct ingest *g);

/* Cut data completely (at_end) into chunks, put them, append the extents to g->x. data may be g->buf. */
int ingest_data(struct ingest *g, const uint8_t *data, size_t len, struct bk_error *err) BK_MUST_CHECK;
/* The same for blocks of `block` bytes, the last one of what is left. */
int ingest_blocks(struct ingest *g, const uint8_t *data, size_t len, size_t block,
                  struct bk_error *err) BK_MUST_CHECK;
int ingest_blank(struct ingest *g, enum extent_kind kind, uint64_t len, struct bk_error *err) BK_MUST_CHECK;

/* Small files are named and put several at a time, which is cheaper:
 *
 *     ingest_place (where to read to) -> ingest_later ... -> ingest_settle
 *
 * ingest_place: room for len bytes and one more, len < INGEST_READ. It may settle what waits.
 * ingest_later: the len bytes there become the content *ret, whose id is written when it is settled: *ret
 * stays where it is until then. False: they are not one chunk, or too many to wait; nothing was done.
 * ingest_settle: all ids are there. Before anything else uses buf, and before anybody looks at the ids. */
int ingest_place(struct ingest *g, size_t len, uint8_t **ret, struct bk_error *err) BK_MUST_CHECK;
bool ingest_later(struct ingest *g, const uint8_t *data, size_t len, struct content *ret);
int ingest_settle(struct ingest *g, struct bk_error *err) BK_MUST_CHECK;

/* How reading from a file went, besides the run's own errors. */
struct ingest_read {
    uint64_t len; /* bytes of content produced: less than asked for when the file ended early */
    int sys;      /* errno of a read that failed: the rest was taken as zeroes */
};
/* Bytes [from, end) of an open file into pieces; sparse: ask the file system for holes. */
int ingest_range(struct ingest *g, int fd, uint64_t from, uint64_t end, bool sparse, struct pieces *out,
                 struct ingest_read *ret, struct bk_error *err) BK_MUST_CHECK;

/* For content that comes as a stream: any amounts, in order; pieces close at every segment_bytes. */
int ingest_feed(struct ingest *g, const void *data, size_t len, struct pieces *out,
                struct bk_error *err) BK_MUST_CHECK;
int ingest_feed_hole(struct ingest *g, uint64_t len, struct pieces *out, struct bk_error *err) BK_MUST_CHECK;
int ingest_flush(struct ingest *g, struct pieces *out, struct bk_error *err) BK_MUST_CHECK;

/* Bytes were read: counts them, keeps to the limit. CANCELLED. */
int ingest_account(struct ingest *g, size_t len, struct bk_error *err) BK_MUST_CHECK;

bool ingest_is_zero(const uint8_t *data, size_t len);

#endif
