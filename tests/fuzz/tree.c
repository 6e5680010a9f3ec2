#include "formats/tree/tree.h"
#include "tests/fuzz/fuzz.h"

static void walk_xattrs(const struct tree_entry *e)
{
    struct bk_error err = { 0 };
    struct bk_reader r = bk_reader_of(e->xattrs, e->xattrs_len);
    const char *name;
    const uint8_t *value;
    size_t len;
    while (e->xattrs && tree_xattr_next(&r, &name, &value, &len, &err) == 1)
        (void)strlen(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    struct tree_page p;
    struct tree_entry e = { 0 };
    if (tree_page_open(data, size, &p, &err) == 0)
        while (tree_page_next(&p, &e, &err) == 1) {
            if (!tree_name_valid(e.name, e.name_len))
                __builtin_trap();
            walk_xattrs(&e);
        }
    for (unsigned depth = 2; depth <= 4; depth++) {
        struct tree_child *v = NULL;
        size_t n = 0;
        if (tree_index_decode(data, size, depth, &v, &n, &err) == 0)
            free(v);
    }
    struct bk_reader r = bk_reader_of(data, size);
    struct tree_exception x;
    while (tree_exception_next(&r, &x, &err) == 1)
        (void)tree_trouble_text(x.trouble);
    return 0;
}
