#include "formats/base/wire.h"
#include "formats/pack/pack.h"
#include "tests/fuzz/fuzz.h"

/* Header, trailer and directory of one object: the trailer is the input's end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct pack_header h;
    (void)!pack_header_decode(data, size, &h, &err);
    if (size < PACK_HEADER + PACK_TRAILER)
        return 0;
    struct pack_trailer t = { 0 };
    uint8_t trailer[PACK_TRAILER];
    memcpy(trailer, data + size - PACK_TRAILER, sizeof trailer);
    (void)!pack_trailer_decode(trailer, data, size, &t, &err);
    /* A directory whose counts come from the input as well. */
    t.dir_offset = bk_get_u32(data);
    t.n_frames = data[4];
    t.n_chunks = data[5];
    bk_auto(pack_directory_clear) struct pack_directory d = { 0 };
    (void)!pack_directory_decode(data + 8, size - 8, &t, &d, &err);
    return 0;
}
