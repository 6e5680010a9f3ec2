/* nbdkit-bkctl-plugin: what nbdkit asks, answered from a repository. Started by `bkctl nbd` only, which tells
 * it all over a socket pair: `channel=FD` is the only parameter. docs/design/nbd.md */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <libintl.h>
#include <locale.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bkctl/nbdkit/served.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
enum { BLOCK_MIN = 1, BLOCK_PREFERRED = 64 << 10, BLOCK_MAX = 8 << 20 };
/* Each has threads and their largest requests in memory. The descriptors, 3 or so for each, also bound those
 * that connect and then say nothing; the store has to have some left. */
enum { CLIENTS_MAX = 64, CLIENT_FDS_MAX = 512 };
/* Told as data when the map cannot be read there; reading tells what of it is lost. */
#define UNKNOWN_BYTES ((uint64_t)64 << 20)

static int channel = -1;
static struct parent parent = { .fd = -1, .stop = { -1, -1 } };
static struct served served;
static atomic_uint n_clients;

/* ---- start and end ---- */

static int plugin_config(const char *key, const char *value)
{
    if (strcmp(key, "channel") != 0) {
        nbdkit_error("unknown parameter %s", key);
        return -1;
    }
    return nbdkit_parse_int("channel", value, &channel);
}

static int plugin_config_complete(void)
{
    if (channel < 0) {
        nbdkit_error("this plugin is started by: bkctl nbd");
        return -1;
    }
    return 0;
}

/* As bkctl does: the language may stand in LANGUAGE alone, which counts in any locale but "C". */
static void speak_as_bkctl(void)
{
    const char *locale = setlocale(LC_ALL, ""), *dir = getenv("BKCTL_LOCALEDIR");
    if (!locale || !strcmp(locale, "C"))
        setlocale(LC_ALL, "C.UTF-8");
    setlocale(LC_NUMERIC, "C");
    bindtextdomain("bkctl", dir && *dir ? dir : LOCALEDIR);
    bind_textdomain_codeset("bkctl", "UTF-8");
}

static int plugin_get_ready(void)
{
    struct bk_error err = { 0 };
    int r = parent_hear(channel, &parent, &err);
    speak_as_bkctl();
    if (r == 0)
        return 0;
    parent_fail(&parent, &err);
    parent_remove_socket(&parent); /* for bkctl may be gone */
    return -1;
}

static int announce(struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    int r = 0;
    for (size_t i = 0; r == 0 && i < served.n_exports; i++) {
        const struct export_ *e = &served.exports[i];
        r = nbd_numbered_encode(NBD_EXPORT, image_size(e->image), e->name, &m, err);
        if (r == 0)
            r = parent_say(&parent, &m, err);
    }
    if (r == 0)
        r = nbd_texts_encode(NBD_READY, NULL, NULL, &m, err);
    return r < 0 ? r : parent_say(&parent, &m, err);
}

/* Threads may be started from here on. */
static int plugin_after_fork(void)
{
    struct bk_error err = { 0 };
    int r = served_open(&parent, &served, &err);
    if (r == 0)
        r = announce(&err);
    if (r == 0)
        return 0;
    parent_fail(&parent, &err);
    served_close(&served); /* nbdkit exits without unload, and the session is to be taken back */
    return -1;
}

static void plugin_unload(void)
{
    served_close(&served);
    parent_leave(&parent);
}

/* ---- exports ---- */

static int plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    (void)readonly, (void)is_tls;
    for (size_t i = 0; i < served.n_exports; i++)
        if (nbdkit_add_export(exports, served.exports[i].name, NULL) < 0)
            return -1;
    return 0;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
    (void)readonly, (void)is_tls;
    return served.n_exports == 1 ? served.exports[0].name : "";
}

/* Whoever is too much is hung up on before anything is read from it. */
static int plugin_preconnect(int readonly)
{
    (void)readonly;
    int lowest = dup(parent.fd);
    if (lowest >= 0)
        close(lowest);
    if (lowest >= 0 && lowest < CLIENT_FDS_MAX && atomic_load(&n_clients) < CLIENTS_MAX)
        return 0;
    nbdkit_error("there are too many clients: %d may be connected", CLIENTS_MAX);
    return -1;
}

static void *plugin_open(int readonly)
{
    (void)readonly;
    const char *name = nbdkit_export_name();
    const struct export_ *e = name ? served_find(&served, name) : NULL;
    if (!e) {
        nbdkit_error(name && !*name ? "several disks are served here: name one" : "there is no export '%s'",
                     name ? name : "");
        nbdkit_set_error(ENOENT);
        return NULL;
    }
    atomic_fetch_add(&n_clients, 1);
    return e->image; /* all clients read the same: nothing is kept for each */
}

static void plugin_close(void *handle)
{
    (void)handle;
    atomic_fetch_sub(&n_clients, 1);
}

static int64_t plugin_get_size(void *handle)
{
    return (int64_t)image_size(handle);
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = BLOCK_MIN;
    *preferred = BLOCK_PREFERRED;
    *maximum = BLOCK_MAX;
    return 0;
}

static int yes(void *handle)
{
    (void)handle;
    return 1;
}

static int plugin_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_NATIVE;
}

/* ---- reading ---- */

/* The log has the reason already. */
static int refuse(const struct bk_error *why)
{
    nbdkit_debug("%s", why->text);
    nbdkit_set_error(why->code == BK_E_NOMEM ? ENOMEM : EIO);
    return -1;
}

static int plugin_pread(void *handle, void *out, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    struct bk_error err = { 0 };
    return image_read(handle, offset, out, count, &err) < 0 ? refuse(&err) : 0;
}

/* An answer says as much as it likes: who asks for a disk, extent after extent, is not to have the rest of it
 * looked up each time. */
enum { MAP_EXTENTS = 4096 };

struct map {
    struct nbdkit_extents *extents;
    uint64_t at; /* up to where it is told */
    unsigned n;
    bool one; /* neighbours of a kind, and no more */
    bool enough;
    enum extent_kind kind; /* the last one's */
};

static int add_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    static const uint32_t kinds[] = { [EXTENT_DATA] = 0,
                                      [EXTENT_HOLE] = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO,
                                      [EXTENT_ZERO] = NBDKIT_EXTENT_ZERO };
    struct map *m = ctx;
    m->enough = m->n && (m->n == MAP_EXTENTS || (m->one && x->kind != m->kind));
    if (m->enough)
        return bk_fail(err, BK_E_LIMIT, "enough is told");
    m->n++;
    m->kind = x->kind;
    if (nbdkit_add_extent(m->extents, offset, x->len, kinds[x->kind]) < 0)
        return bk_fail_errno(err, errno ? errno : ENOMEM, "tell the extents");
    m->at = offset + x->len;
    return 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                          struct nbdkit_extents *extents)
{
    struct bk_error err = { 0 };
    struct map m = { .extents = extents, .at = offset, .one = flags & NBDKIT_FLAG_REQ_ONE };
    if (image_extents(handle, offset, count, add_extent, &m, &err) >= 0 || m.enough)
        return 0;
    if (bk_code_aborts(err.code))
        return refuse(&err);
    if (m.at > offset) /* asked again, it starts where the damage is */
        return 0;
    uint64_t left = image_size(handle) - offset;
    struct extent unknown = { .kind = EXTENT_DATA, .len = left < UNKNOWN_BYTES ? left : UNKNOWN_BYTES };
    return add_extent(&m, offset, &unknown, &err) < 0 ? refuse(&err) : 0;
}

static int plugin_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    image_ahead(handle, offset, count);
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "bkctl",
    .longname = "snapshots of bkctl",
    .version = BKCTL_VERSION,
    .description = "Serves disks, streams and files of a snapshot. Started by: bkctl nbd",
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .get_ready = plugin_get_ready,
    .after_fork = plugin_after_fork,
    .unload = plugin_unload,
    .list_exports = plugin_list_exports,
    .default_export = plugin_default_export,
    .preconnect = plugin_preconnect,
    .open = plugin_open,
    .close = plugin_close,
    .get_size = plugin_get_size,
    .block_size = plugin_block_size,
    .can_multi_conn = yes,
    .can_extents = yes,
    .can_cache = plugin_can_cache,
    .pread = plugin_pread,
    .extents = plugin_extents,
    .cache = plugin_cache,
};

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void); /* what the macro defines */
NBDKIT_REGISTER_PLUGIN(plugin)
