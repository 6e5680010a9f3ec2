#include "bkctl/app.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bkctl/command.h"
#include "bkctl/secret.h"
#include "bkctl/show.h"
#include "bkd/repo/copies.h"
#include "bkd/repo/index_recover.h"
#include "bkd/store/event.h"
#include "bkd/store/stack.h"

static struct job *signal_job;

/* The first signal stops in good order; SA_RESETHAND lets a second one kill at once, which is safe too. */
static void on_signal(int sig)
{
    (void)sig;
    job_cancel(signal_job);
}

static void on_store_event(void *ctx, const struct store_event *e)
{
    struct app *a = ctx;
    if (a->g.json) {
        json_t *o = show_record("store");
        json_object_set_new(o, "event", json_string(store_event_name(e->kind)));
        json_object_set_new(o, "object", json_string(e->object));
        json_object_set_new(o, "store", json_string(e->store));
        json_object_set_new(o, "why", json_string(e->why));
        ui_emit(&a->ui, o);
        return;
    }
    switch (e->kind) {
    case STORE_EVENT_REPAIRED:
        ui_warn(&a->ui, _("repaired %s in %s: %s"), e->object, e->store, e->why);
        break;
    case STORE_EVENT_UNREPAIRED:
        ui_warn(&a->ui, _("%s in %s is bad and stays so: %s"), e->object, e->store, e->why);
        break;
    case STORE_EVENT_NOT_WRITTEN:
        ui_warn(&a->ui, _("%s could not be written to %s: %s"), e->object, e->store, e->why);
        break;
    case STORE_EVENT_UNREACHABLE:
        ui_warn(&a->ui, _("%s does not answer: %s"), e->store, e->why);
        break;
    }
}

int app_init(struct app *a, struct bk_error *err)
{
    a->world = world_real;
    a->world.store_event = on_store_event;
    a->world.event_ctx = a;
    /* the stores look there, and no thread runs yet */
    if (a->g.token_file &&
        (unsetenv("BKCTL_TOKEN") < 0 || setenv("BKCTL_TOKEN_FILE", a->g.token_file, 1) < 0))
        return bk_fail_errno(err, errno, "take the token from %s", a->g.token_file);
    if (a->g.memory < JOB_MEMORY_MIN || a->g.memory > SIZE_MAX / 2)
        return bk_fail(err, BK_E_USAGE, "--memory is at least %zu MiB", JOB_MEMORY_MIN >> 20);
    a->job.n_threads = (unsigned)a->g.threads;
    a->job.memory_bytes = (size_t)a->g.memory;
    a->job.limit_read = a->g.limit_read;
    a->job.limit_write = a->g.limit_write;
    a->job.log = ui_log;
    a->job.log_ctx = &a->ui;
    int r = job_init(&a->job, err);
    if (r < 0)
        return r;
    signal_job = &a->job;
    struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    /* elsewhere a closed pipe is an error of write, which is reported */
    signal(SIGPIPE, a->cmd->listing ? SIG_DFL : SIG_IGN);
    return 0;
}

void app_clear(struct app *a)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    job_clear(&a->job);
}

int app_repo_url(const struct app *a, const char **ret, struct bk_error *err)
{
    if (!a->g.repo || !*a->g.repo) {
        bk_fail(err, BK_E_USAGE, "no repository was named");
        return bk_hint(err, "use --repo DIR or set BKCTL_REPO");
    }
    *ret = a->g.repo;
    return 0;
}

int app_open_url(struct app *a, const char *url, bool create, struct store **ret, struct bk_error *err)
{
    struct bk_error no_cache = { 0 };
    struct stack_opts o = { .create = create,
                            .no_cache = a->g.no_cache || a->cmd->uncached,
                            .limit_up = a->g.limit_upload,
                            .limit_down = a->g.limit_download };
    int r = store_open_stack(url, &o, &a->world, ret, &no_cache, err);
    if (r == 0 && no_cache.code)
        ui_warn(&a->ui, _("metadata is not kept on this machine: %s"), no_cache.text);
    return r;
}

static int open_store_at(struct app *a, const char *url, struct store **ret, struct bk_error *err)
{
    bk_auto(store_free) struct store *s = NULL;
    int r = app_open_url(a, url, false, &s, err);
    if (r == 0) {
        uint64_t size;
        r = store_stat(s, "config", &size, err);
        if (r == BK_E_ABSENT)
            r = store_stat(s, "copies/config", &size, err);
        if (r == BK_E_ABSENT)
            bk_fail(err, BK_E_ABSENT, "there is no repository at %s", url);
    }
    if (r == BK_E_ABSENT && !err->hint[0])
        return bk_hint(err, "make one with: bkctl init --repo %s", url);
    if (r < 0)
        return r;
    *ret = bk_steal(s);
    return 0;
}

int app_open_store(struct app *a, struct store **ret, struct bk_error *err)
{
    const char *url;
    int r = app_repo_url(a, &url, err);
    return r < 0 ? r : open_store_at(a, url, ret, err);
}

/* The suite decides which kind of key a PEM file holds; config tells it in clear. */
static int suite_of(struct store *s, enum suite_id *ret, struct bk_error *err)
{
    struct config c;
    uint8_t digest[SUITE_HASH];
    int r = copies_config(s, &c, digest, err);
    if (r == 0)
        *ret = c.suite;
    return r;
}

static int secret_for(struct store *s, struct secret_source *src, struct secret *ret, struct bk_error *err)
{
    int r = src->pem_file ? suite_of(s, &src->suite, err) : 0;
    return r < 0 ? r : secret_get(src, ret, err);
}

/* Takes the store in any case. */
static int unlock(struct app *a, struct store *taken, struct secret_source *src, void (*meanwhile)(void *ctx),
                  void *ctx, struct secret *ret_secret, struct repo **ret, struct bk_error *err)
{
    bk_auto(store_free) struct store *s = taken;
    bk_auto(secret_clear) struct secret secret = { 0 };
    int r = secret_for(s, src, &secret, err);
    if (r < 0)
        return r;
    if (meanwhile)
        meanwhile(ctx);
    r = repo_open_adopt_store(s, &secret.s, &a->world, ret, err);
    if (r < 0)
        return r;
    (void)bk_steal(s); /* the repository's now */
    unsigned copies = repo_from_copies(*ret);
    if (copies)
        ui_warn(&a->ui,
                _("damaged or missing, and read from a copy: %s%s%s; put it right with: bkctl check --heal"),
                copies & REPO_CONFIG_COPY ? "config " : "", copies & REPO_SLOT_COPY ? "keys/ " : "",
                copies & REPO_KEYRING_COPY ? "keyring/ " : "");
    *ret_secret = secret;
    secret = (struct secret){ 0 };
    return 0;
}

static struct secret_source source_of(const struct app *a)
{
    return (struct secret_source){
        .password_file = a->g.password_file,
        .password_command = a->g.password_command,
        .key_file = a->g.key_file,
        .pem_file = a->g.identity,
        .env = "BKCTL_PASSWORD",
        .prompt = _("Passphrase of the repository: "),
    };
}

int app_get_secret(struct app *a, struct secret *ret, struct bk_error *err)
{
    bk_auto(store_free) struct store *s = NULL;
    struct secret_source src = source_of(a);
    int r = app_open_store(a, &s, err);
    return r < 0 ? r : secret_for(s, &src, ret, err);
}

static int open_repo(struct app *a, void (*meanwhile)(void *ctx), void *ctx, struct secret *ret_secret,
                     struct repo **ret, struct bk_error *err)
{
    struct store *s = NULL;
    int r = app_open_store(a, &s, err);
    struct secret_source src = source_of(a);
    return r < 0 ? r : unlock(a, s, &src, meanwhile, ctx, ret_secret, ret, err);
}

int app_open_second(struct app *a, const char *url, const struct secret_source *src, struct repo **ret,
                    struct bk_error *err)
{
    struct store *s = NULL;
    struct secret_source from = *src;
    bk_auto(secret_clear) struct secret secret = { 0 };
    int r = open_store_at(a, url, &s, err);
    return r < 0 ? r : unlock(a, s, &from, NULL, NULL, &secret, ret, err);
}

int app_open_repo_with(struct app *a, struct secret *ret_secret, struct repo **ret, struct bk_error *err)
{
    return open_repo(a, NULL, NULL, ret_secret, ret, err);
}

int app_open_repo_while(struct app *a, void (*meanwhile)(void *ctx), void *ctx, struct repo **ret,
                        struct bk_error *err)
{
    bk_auto(secret_clear) struct secret secret = { 0 };
    return open_repo(a, meanwhile, ctx, &secret, ret, err);
}

int app_open_repo(struct app *a, struct repo **ret, struct bk_error *err)
{
    bk_auto(secret_clear) struct secret secret = { 0 };
    return app_open_repo_with(a, &secret, ret, err);
}

static void on_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct app *a = ctx;
    ui_warn(&a->ui, _("%s is damaged and left out: %s"), object, why->text);
}

int app_load_catalog(struct app *a, struct repo *r, struct catalog *ret, struct bk_error *err)
{
    return catalog_load(r, on_damage, a, ret, err);
}

int app_open_view(struct app *a, struct view *ret, struct bk_error *err)
{
    return app_hold_view(a, NULL, ret, err);
}

int app_hold_view(struct app *a, const char *purpose, struct view *ret, struct bk_error *err)
{
    bk_auto(view_clear) struct view v = { 0 };
    int r = app_open_repo(a, &v.repo, err);
    if (r == 0 && purpose)
        r = session_hold(v.repo, &a->job, purpose, &v.session, err);
    if (r == 0)
        r = app_load_catalog(a, v.repo, &v.catalog, err);
    if (r == 0)
        r = index_open(v.repo, on_damage, a, &v.index, err);
    if (r == 0)
        index_set_job(v.index, &a->job);
    if (r == 0)
        r = reader_new(v.repo, v.index, 1, a->job.memory_bytes / 4, &v.reader, err);
    if (r < 0)
        return r;
    *ret = v;
    v = (struct view){ 0 };
    return 0;
}

void view_clear(struct view *v)
{
    reader_free(v->reader);
    index_free(v->index);
    catalog_clear(&v->catalog);
    session_free(v->session);
    repo_free(v->repo);
    *v = (struct view){ 0 };
}

void app_who(char *out, size_t len)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    struct passwd pw, *found = NULL;
    char mem[4096];
    if (getpwuid_r(geteuid(), &pw, mem, sizeof mem, &found) == 0 && found)
        snprintf(out, len, "%s@%s", pw.pw_name, host);
    else
        snprintf(out, len, "%u@%s", (unsigned)geteuid(), host);
}
