#include "formats/object/session.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct session_record s;
    (void)!session_record_decode(data, size, &s, &err);
    return 0;
}
