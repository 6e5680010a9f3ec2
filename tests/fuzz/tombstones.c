#include "formats/object/tombstones.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

/* What decodes encodes to the same bytes. */
static void check(const struct bk_buf *b, const uint8_t *data, size_t size)
{
    if (b->len != size || memcmp(b->data, data, size) != 0)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bk_auto(tombstones_clear) struct tombstones t = { 0 };
    bk_auto(generation_clear) struct generation g = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 26);
    if (tombstones_decode(data, size, &t, &err) == 0) {
        if (tombstones_encode(&t, &b, &err) < 0)
            __builtin_trap();
        check(&b, data, size);
    }
    b.len = 0;
    if (generation_decode(data, size, &g, &err) == 0) {
        if (generation_encode(&g, &b, &err) < 0)
            __builtin_trap();
        check(&b, data, size);
    }
    return 0;
}
