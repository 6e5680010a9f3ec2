/* What every object of a repository starts with, and what objects are called.
 *
 *   0   4  magic "BKO1"
 *   4   2  kind
 *   6   2  format version of that kind
 *   8   4  mandatory features: a reader that does not know one of them must refuse
 *   12  2  optional features: may be ignored
 *   14  1  suite
 *   15  1  zero
 *
 * docs/formats/object.md. Any thread. */
#ifndef FORMATS_OBJECT_OBJECT_H
#define FORMATS_OBJECT_OBJECT_H

#include <stdint.h>

#include "formats/base/error.h"
#include "formats/crypto/suite.h"

enum { OBJECT_HEADER = 16 };

enum object_kind {
    OBJECT_CONFIG = 1,
    OBJECT_SLOT = 2,
    OBJECT_KEYRING = 3,
    OBJECT_SESSION = 4,
    OBJECT_SNAPSHOT = 5,
    OBJECT_VOID = 6, /* a fenced session, under the name its snapshot would have had */
    OBJECT_NOTE = 7, /* tags and holds of a snapshot */
    OBJECT_PACK = 8,
    OBJECT_INDEX = 9,
    OBJECT_GENERATION = 10, /* the collector's counter */
    OBJECT_TOMBSTONES = 11, /* what the collector is about to delete */
    OBJECT_RETENTION = 12,  /* the minimum retention */
};

struct object_header {
    enum object_kind kind;
    uint16_t version;
    uint32_t mandatory;
    uint16_t optional;
    enum suite_id suite;
};

void object_header_encode(const struct object_header *h, uint8_t out[static OBJECT_HEADER]);
/* Expects `kind`. CORRUPT: not this kind of object. VERSION: a newer version, or a mandatory
 * feature or suite this program does not know; the message names it, with a hint to upgrade. */
int object_header_decode(const void *data, size_t len, enum object_kind kind, uint16_t max_version,
                         struct object_header *ret, struct bk_error *err) BK_MUST_CHECK;
/* The kind of any object, for scanners: 0 when it is none of ours. */
unsigned object_peek_kind(const void *data, size_t len);
const char *object_kind_name(unsigned kind);

/* Lower-case hexadecimal; out has room for 2*len+1. */
void object_hex(const uint8_t *bytes, size_t len, char *out);
/* Exactly 2*len hexadecimal digits, else -1. */
int object_unhex(const char *hex, uint8_t *out, size_t len);

#endif
