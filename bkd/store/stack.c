#include "bkd/store/stack.h"

#include <stdio.h>

#include "bkd/job/folder.h"
#include "bkd/store/cache.h"
#include "bkd/store/silence.h"
#include "bkd/store/throttle.h"
#include "formats/object/config.h"

enum { CONFIG_CEILING = 1 << 16, PLACE = 4096 };

bool store_cache_home(char *out, size_t cap)
{
    return folder_home("XDG_CACHE_HOME", ".cache", out, cap);
}

/* The cache belongs to the repository, whatever URL it is reached by. */
static int cache_place(struct store *s, char out[static PLACE], struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct config c;
    uint8_t digest[SUITE_HASH];
    int r = store_get_all(s, "config", CONFIG_CEILING, &b, err);
    if (r == 0)
        r = config_decode(b.data, b.len, &c, digest, err);
    if (r < 0)
        return r;
    char home[PLACE - 2 * CONFIG_REPO_ID - 2], id[2 * CONFIG_REPO_ID + 1];
    if (!store_cache_home(home, sizeof home))
        return bk_fail(err, BK_E_ABSENT, "neither XDG_CACHE_HOME nor HOME is set");
    for (size_t i = 0; i < CONFIG_REPO_ID; i++)
        snprintf(id + 2 * i, 3, "%02x", c.repo_id[i]);
    snprintf(out, PLACE, "%s/%s", home, id);
    return 0;
}

static int add_cache(struct store **s, struct bk_error *err)
{
    char place[PLACE];
    int r = cache_place(*s, place, err);
    if (r == 0)
        r = store_cache_new(*s, place, CACHE_BYTES_DEFAULT, s, err);
    return r;
}

int store_open_stack(const char *url, const struct stack_opts *o, const struct world *w, struct store **ret,
                     struct bk_error *ret_no_cache, struct bk_error *err)
{
    bk_auto(store_free) struct store *s = NULL;
    int r = store_open(url, o->create, w, &s, err);
    if (r < 0)
        return r;
    if (s->remote && (r = store_silence_new(s, &s, err)) < 0)
        return r;
    if (o->limit_up || o->limit_down) {
        struct throttle_opts t = { .up = o->limit_up, .down = o->limit_down };
        r = store_throttle_new(s, &t, &s, err);
        if (r < 0)
            return r;
    }
    struct bk_error why = { 0 };
    if (s->remote && !o->no_cache && !o->create && add_cache(&s, &why) < 0 && ret_no_cache &&
        why.code != BK_E_CORRUPT && why.code != BK_E_ABSENT)
        *ret_no_cache = why;
    *ret = bk_steal(s);
    return 0;
}
