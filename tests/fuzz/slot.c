#include "formats/crypto/slot.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct slot s;
    bk_auto(bk_buf_clear) struct bk_buf fixed = BK_BUF(1 << 20);
    (void)!slot_decode(data, size, &s, &err);
    uint8_t digest[SUITE_HASH];
    if (suite_hash(SUITE_AES256_GCM, data, size, digest, &err) == 0 &&
        bk_buf_append(&fixed, data, size, &err) == 0 &&
        bk_buf_append(&fixed, digest, sizeof digest, &err) == 0)
        (void)!slot_decode(fixed.data, fixed.len, &s, &err);
    return 0;
}
