#include "formats/object/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct config c;
    uint8_t digest[SUITE_HASH];
    bk_auto(bk_buf_clear) struct bk_buf fixed = BK_BUF(1 << 20);
    (void)!config_decode(data, size, &c, digest, &err);
    if (suite_hash(SUITE_AES256_GCM, data, size, digest, &err) == 0 &&
        bk_buf_append(&fixed, data, size, &err) == 0 &&
        bk_buf_append(&fixed, digest, sizeof digest, &err) == 0)
        (void)!config_decode(fixed.data, fixed.len, &c, digest, &err);
    return 0;
}
