#include "formats/index/segment.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    if (size < SEGMENT_PAGE + SEGMENT_TRAILER)
        return 0;
    uint64_t offset, len;
    const uint8_t *trailer = data + size - SEGMENT_TRAILER;
    if (segment_trailer_decode(trailer, size, &offset, &len, &err) < 0)
        return 0;
    if (offset + len > size)
        __builtin_trap();
    bk_auto(segment_clear) struct segment s = { 0 };
    (void)!segment_open(fuzz_keyring(), data, data + offset, (size_t)len, trailer, &s, &err);
    return 0;
}
