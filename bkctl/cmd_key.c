/* key: the slots that unlock a repository. */
#include <string.h>

#include "bkctl/cmd_key.h"
#include "bkctl/secret.h"
#include "bkctl/show.h"
#include "bkd/repo/keys.h"

static const struct opt key_opts[] = {
    OPT_STR(struct key_args, new_password_file, 0, "new-password-file", N_("FILE"),
            N_("the new passphrase is FILE's first line"),
            .conflicts = "new-password-command new-key-file public-key"),
    OPT_STR(struct key_args, new_password_command, 0, "new-password-command", N_("COMMAND"),
            N_("the new passphrase is what COMMAND prints"), .conflicts = "new-key-file public-key"),
    OPT_STR(struct key_args, new_key_file, 0, "new-key-file", N_("FILE"),
            N_("the new key is FILE's bytes (32 to 65536)"), .conflicts = "public-key"),
    OPT_STR(struct key_args, public_key, 0, "public-key", N_("FILE"),
            N_("the new slot opens with this key's private half (PEM)")),
    OPT_STR(struct key_args, label, 0, "label", N_("TEXT"), N_("label of the new slot")),
    OPT_CHOICE(struct key_args, kdf, 0, "kdf", "default|scrypt|argon2id",
               N_("how a passphrase becomes a key"), .def = "default"),
    OPT_CHOICE(struct key_args, kind, 0, "kind", "x25519|sm2",
               N_("what `key generate` makes (sm2 for suite sm4)"), .def = "x25519"),
    OPT_END,
};

struct slots {
    struct app *a;
    struct table table;
    json_t *list;
    size_t n_damaged;
};

static int on_list(void *ctx, const char *object, const struct slot *s, const struct bk_error *damage)
{
    struct slots *l = ctx;
    if (!s) {
        l->n_damaged++;
        ui_warn(&l->a->ui, _("%s is damaged and left out: %s"), object, damage ? damage->text : "");
        return 0;
    }
    char id[2 * SLOT_ID + 1], when[TEXT_TIME], label[SLOT_LABEL_MAX + 1];
    text_hex(s->id, SLOT_ID, id);
    if (l->a->g.json) {
        json_t *o = json_object();
        json_object_set_new(o, "id", json_string(id));
        json_object_set_new(o, "kind", json_string(slot_kind_name(s->kind)));
        text_json_bytes(o, "label", s->label, strlen(s->label));
        json_object_set_new(o, "created", json_string(text_time_iso((int64_t)s->created_s, 0, when)));
        json_array_append_new(l->list, o);
        return 0;
    }
    table_cell(&l->table, "%s", id);
    table_cell(&l->table, "%s", _(slot_kind_name(s->kind)));
    table_cell(&l->table, "%s", text_time((int64_t)s->created_s, when));
    table_cell(&l->table, "%s", text_path(s->label, strlen(s->label), label, sizeof label));
    return 0;
}

static int list(struct app *a, struct bk_error *err)
{
    bk_auto(store_free) struct store *store = NULL;
    int r = app_open_store(a, &store, err);
    if (r < 0)
        return r;
    struct slots l = { .a = a, .list = a->g.json ? json_array() : NULL };
    table_init(&l.table, 4, 0);
    const char *const heads[] = { _("Id"), _("Kind"), _("Created"), _("Label") };
    for (size_t i = 0; i < BK_COUNT(heads); i++)
        table_cell(&l.table, "%s", heads[i]);
    r = keys_list(store, on_list, &l, err);
    if (r == 0 && a->g.json) {
        json_t *o = show_record("keys");
        json_object_set(o, "keys", l.list);
        ui_emit(&a->ui, o);
    } else if (r == 0) {
        r = table_print(&l.table, stdout, err);
    }
    table_clear(&l.table);
    json_decref(l.list);
    return r == 0 && l.n_damaged ? BK_E_CORRUPT : r;
}

static int tell(struct app *a, const char *text, const char *id)
{
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "key", json_string(id));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf("%s %s\n", text, id);
    }
    return 0;
}

static int add(struct repo *repo, const struct key_args *x, char ret_id[static 2 * SLOT_ID + 1],
               struct bk_error *err)
{
    struct secret_source src = {
        .password_file = x->new_password_file,
        .password_command = x->new_password_command,
        .key_file = x->new_key_file,
        .pem_file = x->public_key,
        .env = "BKCTL_NEW_PASSWORD",
        .prompt = _("The new passphrase: "),
        .twice = true,
        .suite = repo_config(repo)->suite,
    };
    bk_auto(secret_clear) struct secret secret = { 0 };
    struct slot_cost cost = { .kdf = (enum slot_kdf)x->kdf };
    uint8_t id[SLOT_ID];
    int r = secret_get(&src, &secret, err);
    if (r == 0)
        r = keys_add(repo, &secret.s, &cost, x->label ? x->label : "", id, err);
    if (r == 0)
        text_hex(id, SLOT_ID, ret_id);
    return r;
}

/* Which slot does the secret that opened the repository belong to? */
struct match {
    const struct slot_secret *secret;
    char label[SLOT_LABEL_MAX + 1];
    char id[2 * SLOT_ID + 1];
};

static int on_match(void *ctx, const char *object, const struct slot *s, const struct bk_error *damage)
{
    (void)object, (void)damage;
    struct match *m = ctx;
    uint8_t kek[SUITE_KEY];
    if (s && !m->id[0] && s->kind == m->secret->kind && slot_open(s, m->secret, kek, NULL) == 0) {
        suite_wipe(kek, sizeof kek);
        text_hex(s->id, SLOT_ID, m->id);
        memcpy(m->label, s->label, sizeof m->label);
    }
    return 0;
}

/* The new slot is there before the old one goes: there is no moment without a way in. */
static int change(struct app *a, const struct key_args *x, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(secret_clear) struct secret old = { 0 };
    int r = app_open_repo_with(a, &old, &repo, err);
    if (r < 0)
        return r;
    struct match m = { .secret = &old.s };
    r = keys_list(repo_store(repo), on_match, &m, err);
    if (r == 0 && !m.id[0])
        r = bk_fail(err, BK_E_FAILED, "the slot that was opened is gone");
    char id[2 * SLOT_ID + 1];
    struct key_args with_label = *x;
    if (!x->label)
        with_label.label = m.label;
    if (r == 0)
        r = add(repo, &with_label, id, err);
    if (r == 0)
        r = keys_remove(repo, m.id, err);
    return r < 0 ? r : tell(a, _("changed; the key is now"), id);
}

static int add_or_remove(struct app *a, const struct key_args *x, const char *remove_id, struct bk_error *err)
{
    bk_auto(repo_free) struct repo *repo = NULL;
    char id[2 * SLOT_ID + 1];
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = remove_id ? keys_remove(repo, remove_id, err) : add(repo, x, id, err);
    if (r < 0)
        return r;
    return tell(a, remove_id ? _("removed key") : _("added key"), remove_id ? remove_id : id);
}

static int key_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    const char *verb = ops->v[0];
    bool remove = !strcmp(verb, "remove"), generate = !strcmp(verb, "generate");
    bool compromise = !strcmp(verb, "compromise");
    if ((remove || generate || compromise) != (ops->n == 2))
        return ops->n == 2 ? bk_fail(err, BK_E_USAGE, "unexpected argument '%s'", ops->v[1])
                           : bk_fail(err, BK_E_USAGE,
                                     generate ? N_("key generate needs a file name to start from")
                                     : remove ? N_("key remove needs the id of a key")
                                              : N_("key compromise needs the id of a key, or epoch:N"));
    if (!strcmp(verb, "list"))
        return list(a, err);
    if (!strcmp(verb, "add"))
        return add_or_remove(a, args, NULL, err);
    if (remove)
        return add_or_remove(a, args, ops->v[1], err);
    if (!strcmp(verb, "change"))
        return change(a, args, err);
    if (generate)
        return key_generate(a, args, ops->v[1], err);
    if (!strcmp(verb, "rotate-data"))
        return key_rotate_data(a, err);
    if (compromise)
        return key_compromise(a, ops->v[1], err);
    bk_fail(err, BK_E_USAGE, "unknown action '%s'", verb);
    return bk_hint(err, "choose one of: %s", cmd_key.verbs);
}

const struct command cmd_key = {
    .name = "key",
    .summary = N_("List, add, remove, change, rotate or generate keys"),
    .operands = N_("list|add|remove ID|change|rotate-data|compromise ID|generate FILE"),
    .verbs = "list|add|remove|change|rotate-data|compromise|generate",
    .about = N_(
        "Every key slot unlocks the whole repository; data is never written again for a change of keys.\n\n"
        "list shows the slots; no secret is asked for. add makes a new one: a passphrase (asked for, or from "
        "BKCTL_NEW_PASSWORD), a key file or a public key. remove takes one away, but never the last. change "
        "puts a new "
        "secret in place of the one you unlock with: the new one works before the old one stops. rotate-data "
        "makes a new "
        "data key for what is written from now on. compromise tells what somebody could read who has the "
        "secret of "
        "slot ID, or the data key epoch:N, since when, and what to do. generate writes a key pair: FILE.key, "
        "to keep, and "
        "FILE.pub."),
    .opts = key_opts,
    .args_size = sizeof(struct key_args),
    .min_operands = 1,
    .max_operands = 2,
    .examples =
        (const struct example[]){
            { N_("another passphrase"), "bkctl key add --label 'the other admin'" },
            { N_("a key pair"), "bkctl key generate ~/backup" },
            { N_("let it unlock the repository"), "bkctl key add --public-key ~/backup.pub" },
            { 0 } },
    .run = key_run,
};
