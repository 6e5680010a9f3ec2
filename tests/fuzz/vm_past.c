#include "bkd/source/vm_past.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bool odd;
    bk_auto(vm_past_free) struct vm_past *p = NULL;
    struct vm_past_domain d;
    struct vm_past_disk k;
    if (vm_past_read(&(struct disks_past){ .source = data, .source_len = size }, &p, &odd, &err) < 0)
        return 0;
    (void)vm_past_series(p);
    (void)vm_past_domain(p, "a25ccb01-4bc8-40f1-b553-8bbddef592aa", &d);
    (void)vm_past_disk(&d, "vda", &k);
    return 0;
}
