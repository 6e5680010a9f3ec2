#include "formats/snapshot/snapshot.h"
#include "tests/fuzz/fuzz.h"

/* What decodes must encode, and decode again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bk_auto(snapshot_clear) struct snapshot s = { 0 };
    if (snapshot_decode(data, size, &s, &err) < 0)
        return 0;
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(64 << 20);
    bk_auto(snapshot_clear) struct snapshot again = { 0 };
    if (snapshot_encode(&s, &out, &err) < 0 || snapshot_decode(out.data, out.len, &again, &err) < 0)
        __builtin_trap();
    return 0;
}
