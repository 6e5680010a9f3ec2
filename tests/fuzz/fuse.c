#include "formats/base/wire.h"
#include "formats/index/fuse.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct fuse f = { 0 };
    if (size < FUSE_PARAMS + 8)
        return 0;
    const uint8_t *fingerprints = data + FUSE_PARAMS;
    if (fuse_decode(data, size - FUSE_PARAMS, &f, &err) < 0)
        return 0;
    f.fingerprints = fingerprints;
    for (size_t i = 0; i + 8 <= size; i += 8)
        (void)fuse_has(&f, bk_get_u64(data + i));
    return 0;
}
