/* The steps of restoring machines. machine.h. */
#ifndef BKD_RESTORE_MACHINE_PLAN_H
#define BKD_RESTORE_MACHINE_PLAN_H

#include "bkd/restore/hold.h"
#include "bkd/restore/machine.h"

/* The machines that are wanted, with their definitions. */
int machine_find(const struct snapshot *s, const struct machine_opts *o, const struct hold *h, struct job *j,
                 struct machines *m, struct bk_error *err) BK_MUST_CHECK;
/* All of a stream that is small. LIMIT. */
int machine_read(const struct hold *h, const struct content *c, struct bk_buf *ret,
                 struct bk_error *err) BK_MUST_CHECK;

/* What is restored of it, and to where; name and uuid are known. Nothing is written. */
int machine_place(const struct snapshot *s, const struct machine_opts *o, const struct hold *h, struct job *j,
                  const char *folder, struct machine *m, struct bk_error *err) BK_MUST_CHECK;
/* Every part of the path that leads to the file is a real folder that is there. */
int machine_place_folder(const char *path, struct bk_error *err) BK_MUST_CHECK;
/* Nobody uses the file. BUSY. */
int machine_place_idle(const char *path, struct bk_error *err) BK_MUST_CHECK;
/* No two parts go to one place. */
int machine_place_apart(const struct machines *m, struct bk_error *err) BK_MUST_CHECK;

/* Files and folders: made, or put in place of what was there. */
int machine_files_restore(struct repo *repo, struct job *j, const struct machine_opts *o, struct machines *m,
                          struct restore_report *report, struct bk_error *err) BK_MUST_CHECK;
int machine_files_settle(struct machines *m, struct bk_error *err) BK_MUST_CHECK;
/* The old ones that were exchanged go; with problems they stay beside, which is told. */
void machine_files_keep(struct machines *m, bool problems, struct job *j);
/* As if nothing had happened, but for machines whose definition could not be taken away. */
void machine_files_undo(struct machines *m, struct job *j);

#endif
