#include "formats/pack/pack.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t pos = 0, offset, before;
    struct frame_header h;
    do {
        before = pos;
        if (!pack_scan(data, size, &pos, &offset, &h))
            return 0;
        if (offset < before || pos <= offset || pos > size)
            __builtin_trap();
    } while (pos < size);
    return 0;
}
