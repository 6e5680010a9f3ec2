/* What every command is given: the global options, the job and the display, and the ways to open things.
 *
 *     main: app_init -> command's run -> app_clear
 *
 * One app per process: it owns the signal handlers. */
#ifndef BKCTL_APP_H
#define BKCTL_APP_H

#include "bkctl/ui.h"
#include "bkd/job/job.h"
#include "bkd/job/world.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/repo.h"
#include "bkd/repo/session.h"

struct globals {
    const char *repo;
    const char *password_file, *password_command, *key_file, *identity, *token_file;
    bool json, quiet;
    int verbose;
    uint64_t memory;
    int threads;
    uint64_t limit_read, limit_write, limit_upload, limit_download;
    bool no_cache;
    const char *lang;
    bool help, version;
};

struct command;
struct app {
    struct globals g;
    const struct command *cmd;
    struct job job;
    struct ui ui;
    struct world world; /* the real one; what stores repair is shown */
    int exit_status; /* of a command that was run for the user: bkctl ends with it when all else went well */
};

int app_init(struct app *a, struct bk_error *err) BK_MUST_CHECK;
void app_clear(struct app *a);

/* The repository's URL. USAGE with a hint when none was named. */
int app_repo_url(const struct app *a, const char **ret, struct bk_error *err) BK_MUST_CHECK;
/* A store by URL, with the limits and the cache that the options say; `create` as for store_open. */
int app_open_url(struct app *a, const char *url, bool create, struct store **ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* Its store; ABSENT, with a hint to init, when no repository is there. No secret is asked for. */
int app_open_store(struct app *a, struct store **ret, struct bk_error *err) BK_MUST_CHECK;
/* The repository, unlocked with what the options, the environment or the user say. */
int app_open_repo(struct app *a, struct repo **ret, struct bk_error *err) BK_MUST_CHECK;
/* The same; meanwhile(ctx) is called once the user has nothing more to say, just before the long work. */
int app_open_repo_while(struct app *a, void (*meanwhile)(void *ctx), void *ctx, struct repo **ret,
                        struct bk_error *err) BK_MUST_CHECK;
/* The same, and the secret that was used; the caller clears it. */
struct secret;
int app_open_repo_with(struct app *a, struct secret *ret_secret, struct repo **ret,
                       struct bk_error *err) BK_MUST_CHECK;

/* Only the secret, for another process that opens the repository; ABSENT when none is there. */
int app_get_secret(struct app *a, struct secret *ret, struct bk_error *err) BK_MUST_CHECK;

/* Another repository than the one of the global options, with a secret of its own. */
struct secret_source;
int app_open_second(struct app *a, const char *url, const struct secret_source *src, struct repo **ret,
                    struct bk_error *err) BK_MUST_CHECK;

/* A repository opened for browsing: catalogue, index and a reader of one lane. */
struct view {
    struct repo *repo;
    struct session *session; /* NULL: not asked for, or it could not be put */
    struct catalog catalog;
    struct index *index;
    struct reader *reader;
};
int app_open_view(struct app *a, struct view *ret, struct bk_error *err) BK_MUST_CHECK;
/* The same, held: a collection waits for it. purpose: "mount" */
int app_hold_view(struct app *a, const char *purpose, struct view *ret, struct bk_error *err) BK_MUST_CHECK;
void view_clear(struct view *v);
BK_AUTO_CLEAR(struct view, view_clear)
/* Only the catalogue: for commands that read no content. Damaged snapshot objects are warned about. */
int app_load_catalog(struct app *a, struct repo *r, struct catalog *ret, struct bk_error *err) BK_MUST_CHECK;

/* "user@host", for notes. */
void app_who(char *out, size_t len);

#endif
