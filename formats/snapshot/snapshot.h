/* Snapshots: one object commits one complete point of one source. Payload of the record
 * snapshots/<session id in hex>. A sequence of (field number varint, length varint, bytes): unknown fields
 * with an even number may be skipped, unknown fields with an odd number are mandatory and refused (VERSION).
 * docs/formats/snapshot.md. Pure; any thread. */
#ifndef FORMATS_SNAPSHOT_SNAPSHOT_H
#define FORMATS_SNAPSHOT_SNAPSHOT_H

#include "formats/object/session.h"
#include "formats/tree/tree.h"

enum {
    SNAPSHOT_TEXT_MAX = 1024,  /* bytes of names, tags, reasons */
    SNAPSHOT_PATH_MAX = 65535, /* bytes of a path or an exclude */
    SNAPSHOT_STREAMS_MAX = 4096,
    SNAPSHOT_LIST_MAX = 65536, /* elements of any other list */
};

enum snapshot_level { LEVEL_FULL = 1, LEVEL_DIFFERENTIAL = 2, LEVEL_INCREMENTAL = 3 };
enum snapshot_state { STATE_COMPLETE = 1, STATE_EXCEPTIONS = 2, STATE_INCOMPLETE = 3 };
enum stream_kind {
    STREAM_TREE = 1,
    STREAM_BLOB = 2,
    STREAM_DISK = 3,
    STREAM_EXCEPTIONS = 4,
    STREAM_BLOCK_HASHES = 5
};

struct snapshot_stream {
    enum stream_kind kind;
    char *name;             /* owned; "" for the only tree */
    struct tree_dir tree;   /* TREE: the root directory's entries; its paths are absolute */
    struct content content; /* the others */
};

struct snapshot_id_name { /* numeric owner to name, for restores on another host */
    uint32_t id;
    char *name; /* owned */
};

struct snapshot_list { /* owned strings, any bytes but NUL */
    char **v;
    size_t n;
};

struct snapshot {
    uint8_t id[SESSION_ID];     /* = the session's */
    uint8_t parent[SESSION_ID]; /* compared with; all zero: none */
    uint8_t base[SESSION_ID];   /* the last full this one builds on; itself for a full */
    uint64_t sequence;          /* 1 + the highest committed when this one was */
    uint64_t generation;        /* of the repository, at the session's start */
    enum snapshot_level level;
    enum snapshot_state state;
    int64_t start_ns, end_ns;           /* Unix time */
    char *name, *host, *user, *program; /* owned; program: "bkctl 0.1.0" */
    struct snapshot_list paths;         /* what was asked for */
    struct snapshot_list excludes;
    struct snapshot_list tags; /* at creation; later ones are notes */
    uint64_t n_files, n_dirs, n_others, n_exceptions;
    uint64_t content_bytes;          /* sum of file sizes */
    uint64_t read_bytes;             /* read from the source in this run */
    uint64_t new_bytes;              /* plaintext of new chunks */
    uint64_t stored_bytes;           /* what they take in packs */
    uint64_t n_unchanged;            /* files taken over from the parent unread */
    uint8_t origin_repo[SESSION_ID]; /* of a copy: the repository in which it was made, config.repo_id; */
    uint8_t origin[SESSION_ID];      /* and its id there; all zero: made here */
    struct snapshot_id_name *users, *groups; /* owned arrays */
    size_t n_users, n_groups;
    struct snapshot_stream *streams; /* owned */
    size_t n_streams;
};

void snapshot_clear(struct snapshot *s);
BK_AUTO_CLEAR(struct snapshot, snapshot_clear)
/* encode: NULL strings count as ""; USAGE or LIMIT for what decode would refuse; out keeps its length on any
 * error. decode: every string of *ret is set; *ret is set on success only. CORRUPT: malformed, a scalar field
 * given twice, a mandatory one missing, past a ceiling; VERSION: an unknown odd field, level, state or kind
 * of stream. */
int snapshot_encode(const struct snapshot *s, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int snapshot_decode(const void *data, size_t len, struct snapshot *ret, struct bk_error *err) BK_MUST_CHECK;

/* helpers for builders. add: a copy; LIMIT past SNAPSHOT_PATH_MAX or SNAPSHOT_LIST_MAX. */
int snapshot_list_add(struct snapshot_list *l, const char *s, struct bk_error *err) BK_MUST_CHECK;
void snapshot_list_clear(struct snapshot_list *l);
BK_AUTO_CLEAR(struct snapshot_list, snapshot_list_clear)
/* the first stream of that kind, or NULL */
const struct snapshot_stream *snapshot_stream_of(const struct snapshot *s, enum stream_kind kind);
const char *snapshot_level_name(enum snapshot_level l); /* "full" ... */
const char *snapshot_state_name(enum snapshot_state s); /* "complete", "exceptions", "incomplete" */
const char *snapshot_stream_kind_name(enum stream_kind k);

/* Notes: the tags and the hold of a snapshot, changeable after the commit. Object
 * notes/<snapshot hex>.<8 hex digits>; the highest number is in force; a change is put-if-absent of the next.
 */
struct note {
    uint8_t snapshot[SESSION_ID];
    uint32_t number; /* 1.. */
    int64_t when_ns;
    char *who; /* owned: "user@host" */
    struct snapshot_list tags;
    bool hold;    /* never delete while set */
    char *reason; /* owned, of the hold; "" */
};
void note_clear(struct note *n);
BK_AUTO_CLEAR(struct note, note_clear)
/* as snapshot_encode and snapshot_decode */
int note_encode(const struct note *n, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int note_decode(const void *data, size_t len, struct note *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
