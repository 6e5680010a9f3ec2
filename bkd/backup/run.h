/* The bracket around every kind of backup.
 *
 *     run_open -> (source is read into run.sink) -> run_commit -> run_close
 *
 * open: session first, then the catalogue and the index, so that a collector either waits for us or has told
 * us what is about to go. close without commit leaves no snapshot; what was stored stays findable for the
 * next run. One thread. */
#ifndef BKD_BACKUP_RUN_H
#define BKD_BACKUP_RUN_H

#include "bkd/backup/backup.h"
#include "bkd/backup/ingest.h"
#include "bkd/backup/trouble.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/session.h"

struct run {
    struct repo *repo;                  /* borrowed */
    struct job *job;                    /* borrowed */
    const struct backup_common *common; /* borrowed */
    struct session *session;            /* NULL in a dry run */
    bool verify;                        /* the parent may lose what it uses: a collection is undecided */
    struct catalog catalog;
    const struct catalog_item *parent; /* NULL: full */
    struct index *index;
    struct reader *reader;
    struct writer *writer; /* NULL in a dry run */
    struct sink sink;
    struct troubles troubles;
    struct snapshot snap; /* filled in as it goes */
    bool committed;
};

/* what: default name without the host: "PATH,PATH", a stream's name. compares: the kind of stream that a
 * parent must have; 0: nothing is compared. */
int run_open(struct run *r, struct repo *repo, struct job *j, const struct backup_common *c, const char *what,
             enum stream_kind compares, struct bk_error *err) BK_MUST_CHECK;
/* A stream of the snapshot; the name is copied. */
int run_add_stream(struct run *r, enum stream_kind kind, const char *name, const struct tree_dir *tree,
                   const struct content *content, struct bk_error *err) BK_MUST_CHECK;
/* Exceptions, packs, index, then the snapshot. In a dry run only the counters are filled in. */
int run_commit(struct run *r, struct backup_result *ret, struct bk_error *err) BK_MUST_CHECK;
void run_close(struct run *r);
BK_AUTO_CLEAR(struct run, run_close)

#endif
