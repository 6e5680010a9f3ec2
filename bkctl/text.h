/* Values for people: sizes, times, ids, paths, columns; and paths for JSON. */
#ifndef BKCTL_TEXT_H
#define BKCTL_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "formats/base/buf.h"
#include "formats/tree/tree.h"

enum { TEXT_SIZE = 32, TEXT_COUNT = 64, TEXT_TIME = 40, TEXT_MODE = 12, TEXT_ID_SHORT = 8 };

/* "812 B", "63.9 MiB" */
const char *text_bytes(uint64_t bytes, char out[static TEXT_SIZE]);
/* "1 file", "7 files": form holds one %llu, for n things. The macros say what is counted often. */
const char *text_count(char out[static TEXT_COUNT], const char *form, uint64_t n);
#define TEXT_COUNTED(out, one, many, n) text_count(out, BK_COUNTED(one, many, n), n)
#define TEXT_FILES(out, n) TEXT_COUNTED(out, "%llu file", "%llu files", n)
#define TEXT_DIRS(out, n) TEXT_COUNTED(out, "%llu directory", "%llu directories", n)
#define TEXT_OTHERS(out, n) TEXT_COUNTED(out, "%llu other", "%llu others", n)
/* "1.4 s", "3:07", "2:10:00" */
const char *text_seconds(double s, char out[static TEXT_SIZE]);
/* local time, "2026-11-26 14:03:11"; out of range of the calendar: "@SECONDS" */
const char *text_time(int64_t s, char out[static TEXT_TIME]);
/* ISO 8601 in UTC with nanoseconds, for JSON; "@SECONDS" out of range */
const char *text_time_iso(int64_t s, uint32_t ns, char out[static TEXT_TIME]);
/* "drwxr-xr-x" */
const char *text_mode(const struct tree_entry *e, char out[static TEXT_MODE]);
const char *text_type(enum tree_type t); /* "file", "dir" ...: for JSON */
/* len bytes as 2*len digits and a NUL */
const char *text_hex(const uint8_t *id, size_t len, char *out);

/* Bytes of a name for a terminal: control characters, bytes that are not UTF-8 and the backslash become \n,
 * \t, \\ or \xNN. text_path_put writes; text_path makes a string for messages, cut with "..." where out is
 * full. */
void text_path_put(FILE *f, const void *path, size_t len);
const char *text_path(const void *path, size_t len, char *out, size_t out_len);

/* Is it UTF-8 without NUL? */
bool text_is_utf8(const void *data, size_t len);
/* Columns a UTF-8 text takes on a terminal. */
int text_width(const char *s);

/* Sets key to the text; bytes that are not UTF-8 become U+FFFD and the exact bytes follow in base64 as
 * "KEY_raw". */
void text_json_bytes(json_t *o, const char *key, const void *data, size_t len);
json_t *text_json_u64(uint64_t v);

/* A table whose columns are as wide as their widest cell. Cells are copied; the first `n_cols` cells are the
 * heads. table_init -> table_cell ... -> table_print -> table_clear */
struct table {
    size_t n_cols;
    unsigned right; /* bit i: column i is set flush right */
    char **v;       /* owned strings */
    size_t n;
    bool failed; /* no memory: table_print tells */
};
void table_init(struct table *t, size_t n_cols, unsigned right);
void table_cell(struct table *t, const char *fmt, ...) BK_PRINTF(2, 3);
int table_print(const struct table *t, FILE *f, struct bk_error *err) BK_MUST_CHECK;
void table_clear(struct table *t);
BK_AUTO_CLEAR(struct table, table_clear)

#endif
