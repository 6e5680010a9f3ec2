#include "formats/snapshot/minimum.h"

#include "formats/snapshot/tlv.h"

#define AT(member) .at = offsetof(struct minimum, member)
static const struct tlv_field fields[] = {
    { 1, TLV_U32, true, AT(number) },
    { 3, TLV_U64, true, AT(seconds) },
    { 4, TLV_S64, true, AT(when_ns) },
    { 6, TLV_TEXT, false, AT(who), .max = SNAPSHOT_TEXT_MAX },
};
#undef AT

void minimum_clear(struct minimum *m)
{
    free(m->who);
    *m = (struct minimum){ 0 };
}

static int check(const struct minimum *m, int code, struct bk_error *err)
{
    if (!m->number || !m->seconds || m->seconds > MINIMUM_SECONDS_MAX)
        return bk_fail(err, code, "a minimum retention is out of range");
    return 0;
}

int minimum_encode(const struct minimum *m, struct bk_buf *out, struct bk_error *err)
{
    int r = check(m, BK_E_USAGE, err);
    return r < 0 ? r : tlv_encode(fields, BK_COUNT(fields), N_("a minimum retention"), m, out, err);
}

int minimum_decode(const void *data, size_t len, struct minimum *ret, struct bk_error *err)
{
    bk_auto(minimum_clear) struct minimum m = { 0 };
    int r = tlv_decode(fields, BK_COUNT(fields), N_("a minimum retention"), data, len, &m, err);
    if (r == 0)
        r = check(&m, BK_E_CORRUPT, err);
    if (r < 0)
        return r;
    *ret = m;
    m = (struct minimum){ 0 };
    return 0;
}
