/* Disks that are taken together: the bracket of consistency around them, and what is kept beside them.
 *
 *     disks_X_new -> disks_begin -> (v is read) -> disks_check -> disks_end -> disks_free
 *
 * begin quiesces the source and opens its disks as of one moment; end leaves the source as it was, and lets
 * go of what only an older snapshot needed once the new one is committed. free without end: as end without a
 * commit. One thread, but for what disk.h says. docs/design/disks.md. */
#ifndef BKD_SOURCE_DISKS_H
#define BKD_SOURCE_DISKS_H

#include "bkd/source/disk.h"

enum {
    DISKS_NAME_MAX = 255 /* bytes between slashes */,
    DISKS_MAX = 1024,
    DISKS_TEXT_MAX = 16 << 20, /* bytes of one kept text */
    DISKS_SERIES = 16,         /* hex digits */
};

struct disks_item {
    char *name;        /* owned; unique among the disks: "vda" */
    struct disk *disk; /* owned */
    char *reason; /* owned; why all of it is read although a parent is there; NULL: it is tracked, or cannot
                     be */
};
struct disks_text { /* kept as a blob stream of the snapshot: a definition, firmware variables */
    char *name;     /* owned; unlike any disk's */
    uint8_t *data;  /* owned */
    size_t len;
};
/* What it said in the snapshot compared with; when nothing is compared, in the newest one of the name, so
 * that it can tidy up. */
struct disks_past {
    const void *source; /* its text DISKS_SOURCE then; NULL: nothing to compare with */
    size_t source_len;
    bool compared;                 /* there is such a snapshot, whatever it says */
    char series[DISKS_SERIES + 1]; /* the same for all snapshots of a name in a repository, and only for them:
                                      for names of what is left in the source */
};
#define DISKS_SOURCE "source.json"
#define DISKS_RECORD "disks.json" /* how the disks were read: the backup's own */

/* Parts between slashes that can be names of files, and not DISKS_RECORD. */
bool disks_name_fits(const char *name);

struct disks;
struct disks_ops {
    int (*begin)(struct disks *s, struct job *j, const struct disks_past *past, struct bk_error *err);
    int (*check)(struct disks *s, struct job *j, struct bk_error *err); /* or NULL */
    int (*end)(struct disks *s, struct job *j, bool committed, struct bk_error *err);
    void (*free)(struct disks *s);
};
struct disks {
    const struct disks_ops *ops;
    struct disks_item *v; /* owned, set by begin */
    size_t n;
    struct disks_text *texts; /* owned, set by begin */
    size_t n_texts;
};

/* Fill v and texts. After an error the source is as it was, and begin may be tried again. The texts hold
 * DISKS_SOURCE when the source has something to say to its next run. */
int disks_begin(struct disks *s, struct job *j, const struct disks_past *past,
                struct bk_error *err) BK_MUST_CHECK;
/* After all was read, before the commit: was it what begin opened, to the end? CHANGED: no, the snapshot must
 * not be made. */
int disks_check(struct disks *s, struct job *j, struct bk_error *err) BK_MUST_CHECK;
/* The disks are freed before. An error tells of what could not be put back; the snapshot stands all the same.
 */
int disks_end(struct disks *s, struct job *j, bool committed, struct bk_error *err) BK_MUST_CHECK;
void disks_free(struct disks *s);
BK_AUTO(struct disks *, disks_free)

/* For those who make one. The disk is taken over also on errors; name, reason and data are copied. LIMIT,
 * NOMEM, USAGE for a name that is empty or there already. */
int disks_add(struct disks *s, const char *name, struct disk *disk, const char *reason,
              struct bk_error *err) BK_MUST_CHECK;
int disks_add_text(struct disks *s, const char *name, const void *data, size_t len,
                   struct bk_error *err) BK_MUST_CHECK;

/* Images, devices and exports as they are: "disk:PATH", and "nbd:URI" or the URI alone. Nothing is quiesced
 * and nothing tracked: whoever writes to them meanwhile gets a mixture, which is theirs to prevent. format:
 * of the images, one of disk_format.h; NULL: what the ending of the name says, else raw; USAGE when then the
 * first bytes look like another one. A disk is called as its file or export, without folders and the ending
 * of a format. */
int disks_plain_new(const char *const *operands, size_t n, const char *format, struct disks **ret,
                    struct bk_error *err) BK_MUST_CHECK;
bool disks_plain_is(const char *operand);
/* The URI of an operand that is an export, else NULL. */
const char *disks_uri(const char *operand);

#endif
