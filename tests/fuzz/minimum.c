#include "formats/snapshot/minimum.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bk_auto(minimum_clear) struct minimum m = { 0 };
    (void)!minimum_decode(data, size, &m, &err);
    return 0;
}
