#include "formats/content/content.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct bk_reader r = bk_reader_of(data, size);
    struct content c = { 0 };
    (void)!content_decode(&r, &c, &err);
    bk_auto(extents_clear) struct extents e = { 0 };
    (void)!content_leaf_decode(data, size, &e, &err);
    for (unsigned depth = 2; depth <= 4; depth++) {
        struct content_child *v = NULL;
        size_t n = 0;
        if (content_inner_decode(data, size, depth, &v, &n, &err) == 0)
            free(v);
    }
    return 0;
}
