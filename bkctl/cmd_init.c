/* init: make a repository and its first key slot. */
#include "bkctl/command.h"
#include "bkctl/retention.h"
#include "bkctl/secret.h"
#include "bkctl/show.h"
#include "bkctl/store_probe.h"

struct init_args {
    int suite;
    const char *public_key;
    const char *label;
    int kdf;
    const char *min_retention;
    const char *like, *like_password_file, *like_password_command, *like_key_file, *like_identity;
};

static const struct opt init_opts[] = {
    OPT_CHOICE(struct init_args, suite, 0, "suite", "aes256-gcm|sm4",
               N_("ciphers and hashes: AES-256-GCM with SHA-256, or SM4 with SM3"), .def = "aes256-gcm"),
    OPT_STR(struct init_args, public_key, 0, "public-key", N_("FILE"),
            N_("lock with a public key (PEM; X25519, or SM2 with suite sm4) instead of a passphrase"),
            .conflicts = "password-file password-command key-file identity"),
    OPT_STR(struct init_args, label, 0, "label", N_("TEXT"), N_("label of the first key slot")),
    OPT_CHOICE(struct init_args, kdf, 0, "kdf", "default|scrypt|argon2id",
               N_("how a passphrase becomes a key"), .def = "default"),
    OPT_STR(struct init_args, min_retention, 0, "min-retention", N_("DUR"),
            N_("every snapshot stays at least so long; can never be shortened")),
    OPT_STR(struct init_args, like, 0, "chunker-like", N_("DIR"),
            N_("cut chunks where that repository does: backups then share their data with copies from it")),
    OPT_STR(struct init_args, like_password_file, 0, "like-password-file", N_("FILE"),
            N_("read its passphrase from the first line of FILE"),
            .conflicts = "like-password-command like-key-file like-identity"),
    OPT_STR(struct init_args, like_password_command, 0, "like-password-command", N_("COMMAND"),
            N_("read its passphrase from what COMMAND prints"), .conflicts = "like-key-file like-identity"),
    OPT_STR(struct init_args, like_key_file, 0, "like-key-file", N_("FILE"),
            N_("unlock it with the bytes of a key file"), .conflicts = "like-identity"),
    OPT_STR(struct init_args, like_identity, 0, "like-identity", N_("FILE"),
            N_("unlock it with a private key (PEM)")),
    OPT_END,
};

static const char *kept_safe(const struct secret *s)
{
    return s->s.kind == SLOT_PASSPHRASE ? _("Keep the passphrase safe: without it the data is lost.")
                                        : _("Keep the key safe: without it the data is lost.");
}

/* Before a passphrase is asked for, and typed twice, in vain. */
static int check_place(const char *url, struct bk_error *err)
{
    bk_auto(store_free) struct store *s = NULL;
    uint64_t size;
    if (store_open(url, false, &world_real, &s, NULL) < 0 || store_stat(s, "config", &size, NULL) < 0)
        return 0; /* what is wrong with it is found when it is made */
    bk_fail(err, BK_E_EXISTS, "there is a repository at %s already", url);
    return bk_hint(err, "nothing was changed; choose another place, or use this repository as it is");
}

static int open_like(struct app *a, const struct init_args *x, struct repo **ret, struct bk_error *err)
{
    struct secret_source src = {
        .password_file = x->like_password_file,
        .password_command = x->like_password_command,
        .key_file = x->like_key_file,
        .pem_file = x->like_identity,
        .env = "BKCTL_LIKE_PASSWORD",
        .prompt = _("Passphrase of the repository to be like: "),
    };
    return x->like ? app_open_second(a, x->like, &src, ret, err) : 0;
}

static int init_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    (void)ops;
    const struct init_args *x = args;
    const char *url;
    int r = app_repo_url(a, &url, err);
    if (r < 0)
        return r;
    if (a->g.identity)
        return bk_fail(err, BK_E_USAGE, "a new repository is locked with a public key: use --public-key");
    uint64_t minimum_s = 0;
    r = x->min_retention ? retention_seconds(x->min_retention, &minimum_s, err) : 0;
    if (r == 0)
        r = check_place(url, err);
    bk_auto(repo_free) struct repo *like = NULL;
    if (r == 0)
        r = open_like(a, x, &like, err);
    if (r < 0)
        return r;
    struct secret_source src = {
        .password_file = a->g.password_file,
        .password_command = a->g.password_command,
        .key_file = a->g.key_file,
        .pem_file = x->public_key,
        .env = "BKCTL_PASSWORD",
        .prompt = _("Passphrase for the new repository: "),
        .twice = true,
        .suite = x->suite == 1 ? SUITE_SM4 : SUITE_AES256_GCM,
    };
    bk_auto(secret_clear) struct secret secret = { 0 };
    r = secret_get(&src, &secret, err);
    if (r < 0)
        return r;
    bk_auto(store_free) struct store *store = NULL;
    r = app_open_url(a, url, true, &store, err);
    if (r < 0)
        return r;
    if (store->remote) {
        struct probe_report report;
        r = store_probe(store, &(struct probe_opts){ .rounds = 2 }, &a->world, &report, err);
        if (r == 0)
            r = store_probe_verdict(&report, err);
        if (r < 0)
            return r;
    }
    struct slot_cost cost = { .kdf = (enum slot_kdf)x->kdf };
    struct repo_init_opts o = {
        .suite = src.suite,
        .secret = &secret.s,
        .cost = &cost,
        .label = x->label ? x->label : "",
        .chunker_like = like,
    };
    bk_auto(repo_free) struct repo *repo = NULL;
    r = repo_init_adopt_store(store, &o, &a->world, &repo, err);
    if (r < 0)
        return r;
    (void)bk_steal(store); /* the repository's now */
    char who[512];
    app_who(who, sizeof who);
    if (minimum_s && (r = lock_set(repo, minimum_s, who, err)) < 0)
        return bk_context(err, "the repository is made, but without its minimum retention");

    char id[2 * CONFIG_REPO_ID + 1];
    text_hex(repo_config(repo)->repo_id, CONFIG_REPO_ID, id);
    if (a->g.json) {
        json_t *j = show_record("result");
        json_object_set_new(j, "repository", json_string(id));
        text_json_bytes(j, "url", repo_store(repo)->url, strlen(repo_store(repo)->url));
        json_object_set_new(j, "suite", json_string(suite_name(repo_config(repo)->suite)));
        ui_emit(&a->ui, j);
    } else if (!a->g.quiet) {
        printf(_("repository %s made at %s (%s)\n"), id, url, suite_name(repo_config(repo)->suite));
        puts(kept_safe(&secret));
    }
    return 0;
}

const struct command cmd_init = {
    .name = "init",
    .summary = N_("Make a repository"),
    .about = N_("Makes the folder when it is not there. The passphrase, key file or public key given becomes "
                "the first key "
                "slot; bkctl key adds more."),
    .opts = init_opts,
    .args_size = sizeof(struct init_args),
    .examples =
        (const struct example[]){ { N_("a repository on a mounted disk"), "bkctl init --repo /mnt/backup" },
                                  { N_("with the SM ciphers"), "bkctl init --repo /mnt/backup --suite sm4" },
                                  { 0 } },
    .run = init_run,
};
