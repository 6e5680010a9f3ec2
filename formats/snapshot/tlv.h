/* Records as numbered fields: a table describes a struct once, for writing and for reading.
 *
 *     field number varint | length varint | value            repeated, in any order
 *
 * Unknown even fields are skipped, unknown odd ones are refused (VERSION). A list is its field once per
 * element, in order. Fields with the value 0 or "" are not written unless they are mandatory, and read so
 * when absent. docs/formats/snapshot.md, "Fields". Internal to snapshot/. Pure; any thread. */
#ifndef FORMATS_SNAPSHOT_TLV_H
#define FORMATS_SNAPSHOT_TLV_H

#include "formats/snapshot/snapshot.h"

enum tlv_type {
    TLV_ID = 1, /* uint8_t[SESSION_ID] */
    TLV_U64,    /* uint64_t, varint */
    TLV_U32,    /* uint32_t, varint */
    TLV_S64,    /* int64_t, zigzag varint */
    TLV_ENUM,   /* an enum of 1..max, varint */
    TLV_BOOL,   /* bool, varint 0 or 1 */
    TLV_TEXT,   /* char *, owned; max bytes; any but NUL */
    TLV_LIST,   /* struct snapshot_list; max bytes each */
    TLV_EACH,   /* elements with put and get of their own */
};

struct tlv_field {
    unsigned number; /* 1..63 */
    enum tlv_type type;
    bool mandatory;
    size_t at; /* offset in the struct */
    size_t max;
    /* EACH. put writes the value of element i of the struct; count says how many there are. get adds one,
     * and may leave r bad instead of failing. */
    size_t (*count)(const void *of);
    int (*put)(const void *of, size_t i, struct bk_buf *out, struct bk_error *err);
    int (*get)(struct bk_reader *r, void *of, struct bk_error *err);
};

/* what: the record's name in messages, with its article */
int tlv_encode(const struct tlv_field *fields, size_t n, const char *what, const void *of, struct bk_buf *out,
               struct bk_error *err) BK_MUST_CHECK;
/* of: zeroed by the caller, who clears it after an error. Absent text becomes an owned "". */
int tlv_decode(const struct tlv_field *fields, size_t n, const char *what, const void *data, size_t len,
               void *of, struct bk_error *err) BK_MUST_CHECK;

/* A text value onto out, without its length: at most max bytes, NULL is "". */
int tlv_put_text(const char *s, size_t max, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* An owned copy of n bytes without NUL; CORRUPT or NOMEM. */
int tlv_text(const uint8_t *p, size_t n, char **ret, struct bk_error *err) BK_MUST_CHECK;
/* Room for one more zeroed element of an owned array of n elements; LIMIT past max. Doubles at powers of two.
 */
void *tlv_grow(void *v, size_t n, size_t max, size_t size, struct bk_error *err, int *ret_code);

#endif
