#include <string.h>

#include "bkd/source/vm_xml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bk_error err = { 0 };
    bk_auto(vm_xml_clear) struct vm_xml x = { 0 };
    bk_auto(free) char *text = strndup((const char *)data, size), *socket = NULL;
    (void)!vm_xml_read(text, &x, &err);
    (void)!vm_xml_job_socket(text, &socket, &err);
    return 0;
}
