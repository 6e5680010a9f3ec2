#include "formats/object/verify.h"

#include <string.h>

#include "formats/crypto/slot.h"
#include "formats/object/config.h"
#include "formats/object/record.h"

enum { NO_KIND = 0 };

struct place {
    const char *prefix;
    unsigned kinds[2]; /* enum object_kind */
    bool content;
};

static const struct place places[] = {
    { "data/", { OBJECT_PACK, NO_KIND }, true },
    { "meta/", { OBJECT_PACK, NO_KIND }, true },
    { "index/", { OBJECT_INDEX, NO_KIND }, true },
    { "config", { OBJECT_CONFIG, NO_KIND }, false },
    { "keys/", { OBJECT_SLOT, NO_KIND }, false },
    { "keyring/", { OBJECT_KEYRING, NO_KIND }, false },
    { "sessions/", { OBJECT_SESSION, NO_KIND }, false },
    { "snapshots/", { OBJECT_SNAPSHOT, OBJECT_VOID }, false },
    { "notes/", { OBJECT_NOTE, NO_KIND }, false },
    { "generation/", { OBJECT_GENERATION, NO_KIND }, false },
    { "tombstones/", { OBJECT_TOMBSTONES, NO_KIND }, false },
    { "retention/", { OBJECT_RETENTION, NO_KIND }, false },
};

static const struct place *place_of(const char *name)
{
    for (size_t i = 0; i < BK_COUNT(places); i++) {
        size_t n = strlen(places[i].prefix);
        bool folder = places[i].prefix[n - 1] == '/';
        if (folder ? strncmp(name, places[i].prefix, n) == 0 && name[n] : strcmp(name, places[i].prefix) == 0)
            return &places[i];
    }
    return NULL;
}

bool object_is_content(const char *name)
{
    const struct place *p = place_of(name);
    return p && p->content;
}

static int verify_config(const void *data, size_t len, struct bk_error *err)
{
    struct config c;
    uint8_t digest[SUITE_HASH];
    return config_decode(data, len, &c, digest, err);
}

static int verify_slot(const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct slot s;
    char hex[2 * SLOT_ID + 1];
    int r = slot_decode(data, len, &s, err);
    if (r < 0)
        return r;
    object_hex(s.id, SLOT_ID, hex);
    if (strcmp(strchr(name, '/') + 1, hex) != 0)
        return bk_fail(err, BK_E_CORRUPT, "it holds the slot %s", hex);
    return 0;
}

/* The suite is the header's: damage there changes the hash as much as damage anywhere. */
static int verify_content(const char *name, const void *data, size_t len, struct bk_error *err)
{
    uint8_t want[SUITE_HASH], got[SUITE_HASH];
    unsigned suite = ((const uint8_t *)data)[14];
    if (object_unhex(strrchr(name, '/') + 1, want, sizeof want) < 0)
        return bk_fail(err, BK_E_UNSUPPORTED, "no object of a repository is called %s", name);
    if (!suite_known(suite))
        return bk_fail(err, BK_E_VERSION, "it uses a cipher suite that this program does not know (%u)",
                       suite);
    int r = suite_hash((enum suite_id)suite, data, len, got, err);
    if (r < 0)
        return r;
    if (memcmp(want, got, sizeof want) != 0)
        return bk_fail(err, BK_E_CORRUPT, "its bytes do not have the hash that it is called by");
    return 0;
}

int object_verify(const char *name, const void *data, size_t len, struct bk_error *err)
{
    static const char copies[] = "copies/"; /* of small objects, the same bytes under a second name */
    if (strncmp(name, copies, sizeof copies - 1) == 0 && !object_is_content(name + sizeof copies - 1))
        name += sizeof copies - 1;
    const struct place *p = place_of(name);
    struct object_header h;
    if (!p)
        return bk_fail(err, BK_E_UNSUPPORTED, "no object of a repository is called %s", name);
    unsigned kind = object_peek_kind(data, len);
    if (!kind || (kind != p->kinds[0] && kind != p->kinds[1]))
        return bk_fail(err, BK_E_CORRUPT, "this is no %s object", bk_text(object_kind_name(p->kinds[0])));
    if (p->content)
        return verify_content(name, data, len, err);
    if (kind == OBJECT_CONFIG)
        return verify_config(data, len, err);
    if (kind == OBJECT_SLOT)
        return verify_slot(name, data, len, err);
    return record_check(data, len, &h, err);
}
