#include "formats/object/object.h"

#include <stdbool.h>
#include <string.h>

#include "formats/base/error.h"
#include "formats/base/wire.h"

static const uint8_t magic[4] = { 'B', 'K', 'O', '1' };

enum { MANDATORY_KNOWN = 0 }; /* features this program understands */

static const char *const kind_names[] = {
    [OBJECT_CONFIG] = N_("config"),
    [OBJECT_SLOT] = N_("key slot"),
    [OBJECT_KEYRING] = N_("keyring"),
    [OBJECT_SESSION] = N_("session"),
    [OBJECT_SNAPSHOT] = N_("snapshot"),
    [OBJECT_VOID] = N_("void"),
    [OBJECT_NOTE] = N_("note"),
    [OBJECT_PACK] = N_("pack"),
    [OBJECT_INDEX] = N_("index"),
    [OBJECT_GENERATION] = N_("generation"),
    [OBJECT_TOMBSTONES] = N_("tombstones"),
    [OBJECT_RETENTION] = N_("minimum retention"),
};

const char *object_kind_name(unsigned kind)
{
    return kind < BK_COUNT(kind_names) && kind_names[kind] ? kind_names[kind] : N_("unknown");
}

static bool kind_known(unsigned kind)
{
    return kind < BK_COUNT(kind_names) && kind_names[kind];
}

void object_header_encode(const struct object_header *h, uint8_t out[static OBJECT_HEADER])
{
    memcpy(out, magic, sizeof magic);
    bk_put_u16(out + 4, (uint16_t)h->kind);
    bk_put_u16(out + 6, h->version);
    bk_put_u32(out + 8, h->mandatory);
    bk_put_u16(out + 12, h->optional);
    out[14] = (uint8_t)h->suite;
    out[15] = 0;
}

unsigned object_peek_kind(const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len < OBJECT_HEADER || memcmp(p, magic, sizeof magic) != 0)
        return 0;
    unsigned kind = bk_get_u16(p + 4);
    return kind_known(kind) ? kind : 0;
}

static int newer(struct bk_error *err)
{
    bk_hint(err, "use the release that wrote this repository, or a later one");
    return BK_E_VERSION;
}

int object_header_decode(const void *data, size_t len, enum object_kind kind, uint16_t max_version,
                         struct object_header *ret, struct bk_error *err)
{
    const uint8_t *p = data;
    const char *name = bk_text(object_kind_name(kind));
    if (len < OBJECT_HEADER || memcmp(p, magic, sizeof magic) != 0 || bk_get_u16(p + 4) != kind)
        return bk_fail(err, BK_E_CORRUPT, "this is no %s object", name);

    struct object_header h = {
        .kind = kind,
        .version = bk_get_u16(p + 6),
        .mandatory = bk_get_u32(p + 8),
        .optional = bk_get_u16(p + 12),
        .suite = p[14],
    };
    if (h.version == 0 || p[15] != 0)
        return bk_fail(err, BK_E_CORRUPT, "the header of this %s object is malformed", name);
    if (h.version > max_version) {
        bk_fail(err, BK_E_VERSION, "this %s object has format version %u, this program knows up to %u", name,
                h.version, max_version);
        return newer(err);
    }
    if (h.mandatory & ~(uint32_t)MANDATORY_KNOWN) {
        bk_fail(err, BK_E_VERSION, "this %s object needs features that this program does not know (0x%08x)",
                name, h.mandatory & ~(uint32_t)MANDATORY_KNOWN);
        return newer(err);
    }
    if (!suite_known(p[14])) {
        bk_fail(err, BK_E_VERSION, "this %s object uses a cipher suite that this program does not know (%u)",
                name, p[14]);
        return newer(err);
    }
    *ret = h;
    return 0;
}

void object_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int object_unhex(const char *hex, uint8_t *out, size_t len)
{
    if (strlen(hex) != 2 * len)
        return -1;
    for (size_t i = 0; i < len; i++)
        if (digit(hex[2 * i]) < 0 || digit(hex[2 * i + 1]) < 0)
            return -1;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return 0;
}
