#include "formats/object/record.h"
#include "tests/fuzz/fuzz.h"

/* Also with the digest made right, so that the fuzzer gets past it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct object_header h;
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(bk_buf_clear) struct bk_buf fixed = BK_BUF(RECORD_MAX);
    for (unsigned kind = OBJECT_CONFIG; kind <= OBJECT_TOMBSTONES; kind++)
        (void)!record_open(fuzz_keyring(), (enum object_kind)kind, "x", data, size, &payload, &err);
    (void)!record_check(data, size, &h, &err);
    uint8_t digest[SUITE_HASH];
    if (suite_hash(SUITE_AES256_GCM, data, size, digest, &err) == 0 &&
        bk_buf_append(&fixed, data, size, &err) == 0 &&
        bk_buf_append(&fixed, digest, sizeof digest, &err) == 0) {
        (void)!record_open(fuzz_keyring(), OBJECT_SNAPSHOT, "x", fixed.data, fixed.len, &payload, &err);
        (void)!record_check(fixed.data, fixed.len, &h, &err);
    }
    return 0;
}
