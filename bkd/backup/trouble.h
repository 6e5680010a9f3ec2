/* The exceptions of a run: gathered from any thread, sorted by path in the end, so that the stored list does
 * not depend on the number of threads. At most TROUBLES_KEPT are kept in full; all are counted. */
#ifndef BKD_BACKUP_TROUBLE_H
#define BKD_BACKUP_TROUBLE_H

#include "bkd/backup/backup.h"
#include "bkd/backup/ingest.h"

enum { TROUBLES_KEPT = 1000000 };
struct troubles {
    pthread_mutex_t lock;
    struct trouble_item {
        enum tree_trouble trouble;
        uint32_t sys;
        char *text; /* owned: path, NUL, detail, NUL */
        size_t path_len;
    } * v; /* owned */
    size_t n, cap;
    uint64_t total;
    const struct backup_common *common; /* borrowed: on_exception */
    struct job *job;                    /* borrowed: its counter */
};
void troubles_init(struct troubles *t, const struct backup_common *c, struct job *j);
void troubles_clear(struct troubles *t);

/* path: without NUL inside; detail: a short English text, may be "". NOMEM. */
int troubles_add(struct troubles *t, enum tree_trouble kind, int sys, const char *path, const char *detail,
                 struct bk_error *err) BK_MUST_CHECK;
/* The list as content, when there is any. */
int troubles_store(struct troubles *t, struct ingest *g, struct content *ret,
                   struct bk_error *err) BK_MUST_CHECK;

#endif
