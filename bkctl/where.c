#include "bkctl/where.h"

#include <errno.h>
#include <string.h>

void where_clear(struct where *w)
{
    free(w->snap);
    free(w->path);
    *w = (struct where){ 0 };
}

int where_parse(const char *text, struct where *ret, struct bk_error *err)
{
    const char *at = strchr(text, '@');
    const char *colon = strchr(at ? at : text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (!len) {
        bk_fail(err, BK_E_USAGE, "'%s' names no snapshot", text);
        return bk_hint(err, "write SNAP or SNAP:PATH; SNAP is an id, 'latest' or NAME@latest");
    }
    bk_auto(where_clear) struct where w = { 0 };
    w.snap = strndup(text, len);
    w.path = colon ? strdup(colon + 1) : NULL;
    if (!w.snap || (colon && !w.path))
        return bk_fail_errno(err, ENOMEM, "read '%s'", text);
    *ret = w;
    w = (struct where){ 0 };
    return 0;
}
