#include "formats/snapshot/snapshot.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bk_auto(note_clear) struct note n = { 0 };
    (void)!note_decode(data, size, &n, &err);
    return 0;
}
