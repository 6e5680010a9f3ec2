/* Where the chunks of a run go: into a writer, or, in a dry run, nowhere, but named and counted all the same.
 *
 * Lanes as in writer.h: one thread each. */
#ifndef BKD_BACKUP_SINK_H
#define BKD_BACKUP_SINK_H

#include "bkd/repo/writer.h"

struct sink {
    struct writer *w;    /* borrowed; NULL: dry run */
    struct repo *repo;   /* borrowed */
    struct index *index; /* borrowed */
    atomic_uint_fast64_t
        dry_new_bytes; /* of chunks the index does not know; what repeats within the run counts each time */
};

/* Errors are the writer's, and so is what ret holds after one. */
int sink_put(struct sink *s, unsigned lane, enum chunk_kind kind, const void *data, size_t len, chunk_id *ret,
             struct bk_error *err) BK_MUST_CHECK;
int sink_put_many(struct sink *s, unsigned lane, enum chunk_kind kind, const struct suite_piece *chunks,
                  size_t n, chunk_id *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
