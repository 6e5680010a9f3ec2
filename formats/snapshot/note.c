#include "formats/snapshot/tlv.h"

#define AT(member) .at = offsetof(struct note, member)
static const struct tlv_field fields[] = {
    { 1, TLV_ID, true, AT(snapshot) },
    { 2, TLV_U32, true, AT(number) },
    { 4, TLV_S64, true, AT(when_ns) },
    { 6, TLV_TEXT, false, AT(who), .max = SNAPSHOT_TEXT_MAX },
    { 8, TLV_LIST, false, AT(tags), .max = SNAPSHOT_TEXT_MAX },
    /* odd: whoever does not know of holds must not delete */
    { 3, TLV_BOOL, false, AT(hold) },
    { 10, TLV_TEXT, false, AT(reason), .max = SNAPSHOT_TEXT_MAX },
};
#undef AT

void note_clear(struct note *n)
{
    free(n->who);
    free(n->reason);
    snapshot_list_clear(&n->tags);
    *n = (struct note){ 0 };
}

int note_encode(const struct note *n, struct bk_buf *out, struct bk_error *err)
{
    if (n->number == 0)
        return bk_fail(err, BK_E_USAGE, "a note has the number 0");
    return tlv_encode(fields, BK_COUNT(fields), N_("a note"), n, out, err);
}

int note_decode(const void *data, size_t len, struct note *ret, struct bk_error *err)
{
    bk_auto(note_clear) struct note n = { 0 };
    int r = tlv_decode(fields, BK_COUNT(fields), N_("a note"), data, len, &n, err);
    if (r < 0)
        return r;
    if (n.number == 0)
        return bk_fail(err, BK_E_CORRUPT, "a note has the number 0");
    *ret = n;
    n = (struct note){ 0 };
    return 0;
}
