/* What a client sends to bkd serve, and its configuration. */
#include "bkd/serve/request.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "PUT", "HEAD", "DELETE" };
    struct bk_error err = { 0 };
    struct serve_request q;
    uint64_t a, b;
    bk_auto(serve_config_free) struct serve_config *c = NULL;
    bk_auto(free) char *text = calloc(1, size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    for (size_t i = 0; i < BK_COUNT(methods); i++)
        if (serve_request_parse(methods[i], text, &q, &err) == 0 && q.name[0]) {
            char session[STORE_NAME_MAX + 1];
            serve_request_session(q.name, session);
            (void)serve_request_may(SERVE_WRITER, q.op, q.name);
            if (!store_name_valid(q.name))
                __builtin_trap();
        }
    (void)serve_request_range(text, &a, &b);
    (void)serve_request_prefix(text);
    (void)!serve_config_parse(text, size, &c, &err);
    return 0;
}
