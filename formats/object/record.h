/* Records: small sealed objects (snapshots, notes, the keyring, sessions).
 *
 *   header (16) | epoch u32 | salt 32 | sealed length u32 | ciphertext + tag | digest 32
 *
 * The key is keyring_object_key(epoch, salt, "record"), the message number 0, the associated data
 * everything before the ciphertext plus the object's name: a record moved to another name does
 * not open. The payload is zstd-compressed when that makes it smaller (first payload byte: codec).
 * The digest is the suite's hash of all before it, so that anyone can check without keys.
 * For the keyring record the epoch is 0xffffffff, the KEK stands in for the epoch key, and nothing
 * is compressed.
 * docs/formats/record.md. Any thread. */
#ifndef FORMATS_OBJECT_RECORD_H
#define FORMATS_OBJECT_RECORD_H

#include "formats/base/buf.h"
#include "formats/crypto/keyring.h"
#include "formats/object/object.h"

enum {
    RECORD_MAX = 64 << 20, /* bytes of one record, stored or opened */
    RECORD_SALT = KEYRING_SALT,
    RECORD_VERSION = 1,                                 /* of every kind that is a record */
    RECORD_NAME_MAX = 255,                              /* bytes of an object's name */
    RECORD_FIXED = OBJECT_HEADER + 4 + RECORD_SALT + 4, /* before the ciphertext */
};
#define RECORD_EPOCH_KEK UINT32_MAX

/* Seal payload as an object of `kind` named `name` under the newest epoch. random: salt.
 * Appended to out. LIMIT when payload or result pass RECORD_MAX. */
int record_seal(const struct keyring *k, enum object_kind kind, const char *name,
                const uint8_t random[static RECORD_SALT], const void *payload, size_t len, struct bk_buf *out,
                struct bk_error *err) BK_MUST_CHECK;
/* Appended to payload, which is unchanged after an error.
 * CORRUPT, VERSION, ABSENT (epoch not in the keyring), LIMIT. */
int record_open(const struct keyring *k, enum object_kind kind, const char *name, const void *data,
                size_t len, struct bk_buf *payload, struct bk_error *err) BK_MUST_CHECK;

/* The same under a bare KEK: the keyring record. AUTH when the tag does not fit. */
int record_seal_kek(enum suite_id suite, const uint8_t kek[static SUITE_KEY], enum object_kind kind,
                    const char *name, const uint8_t random[static RECORD_SALT], const void *payload,
                    size_t len, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int record_open_kek(enum suite_id suite, const uint8_t kek[static SUITE_KEY], enum object_kind kind,
                    const char *name, const void *data, size_t len, struct bk_buf *payload,
                    struct bk_error *err) BK_MUST_CHECK;

/* Without keys: header and digest only. CORRUPT or VERSION. */
int record_check(const void *data, size_t len, struct object_header *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
