/* A small source tree in two states, and what a snapshot of either must give back.
 *
 * Both states lie ready on disk; sample_show moves one of them to the path that is backed up, so that a sweep
 * of hundreds of runs writes the files once. Files that do not change are hard links: same inode, same times.
 */
#ifndef TESTS_FAULT_SAMPLE_H
#define TESTS_FAULT_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/restore/restore.h"

enum { SAMPLE_FILES = 40, SAMPLE_STATES = 2 };

struct sample_file {
    char path[64]; /* below the tree */
    uint8_t *data;
    size_t len;
};

struct sample_state {
    struct sample_file v[SAMPLE_FILES];
    size_t n;
};

struct sample {
    char top[96];       /* temporary directory that holds everything */
    char shown[112];    /* the path that is backed up */
    char restored[112]; /* for restores; emptied by sample_restore */
    int state;          /* shown now, -1 none */
    struct sample_state states[SAMPLE_STATES];
};

void sample_make(struct sample *t);
void sample_remove(struct sample *t);
/* A folder and all in it; one that is absent is fine. */
void sample_remove_below(const char *path);
void sample_show(struct sample *t, int state);

/* What a restore reported. */
struct sample_problems {
    struct {
        char path[256];
        int code;
    } v[256];
    size_t n;
};
bool sample_reported(const struct sample_problems *p, const char *path);

/* Read every file of a snapshot through the reader and compare with the state. 0: identical; the error of the
 * first failing read; calls cmocka's fail when bytes are wrong without an error. */
int sample_compare(const struct sample *t, int state, struct repo *r, const struct snapshot *s,
                   struct bk_error *err);
/* Restore to t->restored and compare: every file that is not among the problems must be identical. Returns
 * what restore_files returned (then only that no file holds foreign bytes in full length is not asked). */
int sample_restore(struct sample *t, int state, struct repo *r, struct job *j, const struct snapshot *s,
                   struct sample_problems *p, struct bk_error *err);

#endif
