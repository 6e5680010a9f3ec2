/* The catalogue: all committed snapshots with their notes, newest sequence last, and how people name them. */
#ifndef BKD_REPO_CATALOG_H
#define BKD_REPO_CATALOG_H

#include "bkd/repo/repo.h"
#include "formats/snapshot/snapshot.h"

struct catalog_item {
    struct snapshot snap;
    struct note note;    /* number 0: none; else note.tags replaces snap.tags */
    int64_t received_ns; /* by the clock of the server that took it; 0: none did, or received_load was not
                            asked */
};
struct catalog {
    struct catalog_item *v; /* owned, by (sequence, start) */
    uint32_t *by_id;        /* owned: where in v they are, in the order of their ids */
    size_t n;
    size_t n_damaged; /* snapshot objects that did not open */
};
typedef void catalog_damage_fn(void *ctx, const char *object, const struct bk_error *why);
/* damaged NULL: they are only counted. */
int catalog_load(struct repo *r, catalog_damage_fn *damaged, void *ctx, struct catalog *ret,
                 struct bk_error *err) BK_MUST_CHECK;
void catalog_clear(struct catalog *c);
BK_AUTO_CLEAR(struct catalog, catalog_clear)
/* Who brought v into another order says so before the next look-up. */
void catalog_reordered(struct catalog *c);

/* "latest", "NAME@latest", "NAME@ID-PREFIX" or a hex id prefix of at least 4 digits. ABSENT; AMBIGUOUS lists
 * the candidates. Snapshots in state INCOMPLETE are never "latest". */
int catalog_resolve(const struct catalog *c, const char *name, const struct catalog_item **ret,
                    struct bk_error *err) BK_MUST_CHECK;
/* The newest complete (or with exceptions) snapshot of that name, of `level` if not 0; NULL when there is
 * none. */
const struct catalog_item *catalog_newest(const struct catalog *c, const char *name,
                                          enum snapshot_level level);
const struct snapshot_list *catalog_tags(const struct catalog_item *i);

/* Change tags or hold: read the note in force, apply, put the next number; retried when somebody else was
 * first. */
struct note_change {
    const char *const *add_tags;
    size_t n_add;
    const char *const *remove_tags;
    size_t n_remove;
    int hold; /* 1 set, 0 release, -1 leave */
    const char *reason;
    const char *who;
};
int catalog_annotate(struct repo *r, const struct catalog_item *i, const struct note_change *c,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
