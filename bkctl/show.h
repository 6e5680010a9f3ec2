/* Snapshots and entries as JSON, and the pieces that several commands print. */
#ifndef BKCTL_SHOW_H
#define BKCTL_SHOW_H

#include "bkctl/app.h"
#include "bkctl/text.h"
#include "formats/snapshot/snapshot.h"

enum { SHOW_ID = 2 * SESSION_ID + 1 };

/* {"type": type} to add to, or NULL without memory (json_object_set_new and ui_emit accept that). */
json_t *show_record(const char *type);
/* All facts of a snapshot, docs/json.md "snapshot". */
json_t *show_snapshot_json(const struct snapshot *s, const struct snapshot_list *tags,
                           const struct note *note);
/* An entry of a tree, docs/json.md "entry". */
json_t *show_entry_json(const char *type, const void *path, size_t path_len, const struct tree_entry *e);
/* One line of `ls -l`. */
void show_entry_long(FILE *f, const void *path, size_t path_len, const struct tree_entry *e);
/* What a backup or import committed: the result record, or a few lines unless --quiet. Returns 0 or
 * EXCEPTIONS. */
int show_backup_result(struct app *a, const struct snapshot *s, bool dry_run);
/* For backup_common.on_exception; ctx: the app. */
void show_exception(void *ctx, const struct tree_exception *x);
/* One line of a list: path and what was wrong. */
void show_exception_line(FILE *f, const struct tree_exception *x);
/* The facts of an old snapshot in a few lines. */
void show_snapshot(const struct snapshot *s);
/* First TEXT_ID_SHORT digits of a snapshot's id. */
const char *show_short_id(const uint8_t id[static SESSION_ID], char out[static SHOW_ID]);
/* "full", "complete": translated */
const char *show_level(enum snapshot_level l);
const char *show_state(enum snapshot_state s);
bool show_is_zero(const uint8_t *id, size_t len);

#endif
