#include "bkctl/restore_machine.h"

#include <errno.h>
#include <string.h>

#include "bkctl/text.h"
#if HAVE_VM
#include "bkd/restore/machine.h"
#endif

int restore_machine_check(const struct restore_machine_args *x, const struct operands *ops, bool other,
                          struct bk_error *err)
{
    if (!x->define && (x->connect || x->domain || x->name || x->disk_dir || x->networks.n || x->new_uuid ||
                       x->new_mac || x->start))
        return bk_fail(
            err, BK_E_USAGE,
            "--connect, --domain, --name, --new-uuid, --new-mac, --network, --disk-dir and --start "
            "need --define");
    if (x->define && ops->n > 1)
        return bk_fail(err, BK_E_USAGE, "--define restores whole machines: no PATH is named");
    if (x->define && other)
        return bk_fail(err, BK_E_USAGE,
                       "an option was given that is for files, and --define is for machines");
    return 0;
}

#if HAVE_VM
static int rename_networks(const struct opt_list *l, struct vm_rename *v, char **copies, struct bk_error *err)
{
    for (size_t i = 0; i < l->n; i++) {
        char *copy = copies[i] = strdup(l->v[i]), *equals = copy ? strchr(copy, '=') : NULL;
        if (!copy)
            return bk_fail_errno(err, ENOMEM, "read the names of networks");
        if (!equals || equals == copy || !equals[1])
            return bk_fail(err, BK_E_USAGE, "--network takes OLD=NEW, not '%s'", l->v[i]);
        *equals = '\0';
        v[i] = (struct vm_rename){ .from = copy, .to = equals + 1 };
    }
    return 0;
}

static json_t *part_json(const struct machine_part *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "target", json_string(p->target));
    text_json_bytes(o, "path", p->path, strlen(p->path));
    json_object_set_new(o, "format", p->format ? json_string(p->format) : json_null());
    json_object_set_new(o, "bytes", text_json_u64(p->stream->content.size));
    json_object_set_new(o, "kept", json_boolean(p->kept));
    return o;
}

static json_t *machines_json(const struct machines *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->n; i++) {
        const struct machine *v = &m->v[i];
        json_t *o = json_object(), *parts = json_array();
        json_object_set_new(o, "domain", json_string(v->xml.name));
        json_object_set_new(o, "name", json_string(v->name));
        json_object_set_new(o, "uuid", json_string(v->uuid));
        json_object_set_new(o, "new_uuid", json_boolean(v->new_uuid));
        json_object_set_new(o, "new_macs", json_boolean(v->new_macs));
        json_object_set_new(o, "defined", json_boolean(v->defined));
        json_object_set_new(o, "started", json_boolean(v->started));
        for (size_t k = 0; k < v->n_parts; k++)
            json_array_append_new(parts, part_json(&v->parts[k]));
        json_object_set_new(o, "files", parts);
        json_array_append_new(list, o);
    }
    return list;
}

static int run(struct app *a, struct repo *repo, const struct snapshot *s,
               const struct restore_machine_args *x, const struct restore_machine_how *how,
               struct vm_rename *networks, struct restore_report *report, json_t **ret_machines,
               struct bk_error *err)
{
    bk_auto(machines_clear) struct machines m = { 0 };
    struct machine_opts o = { .uri = x->connect,
                              .domain = x->domain,
                              .name = x->name,
                              .disk_dir = x->disk_dir,
                              .format = how->format,
                              .new_uuid = x->new_uuid,
                              .new_macs = x->new_mac,
                              .networks = networks,
                              .n_networks = x->networks.n,
                              .start = x->start,
                              .overwrite = how->overwrite,
                              .verify = how->verify,
                              .dry_run = how->dry_run,
                              .on_problem = how->on_problem,
                              .ctx = a };
    int r = machines_restore(repo, &a->job, s, &o, &m, report, err);
    if (r == 0)
        *ret_machines = machines_json(&m);
    return r;
}

int restore_machine_run(struct app *a, struct repo *repo, const struct snapshot *s,
                        const struct restore_machine_args *x, const struct restore_machine_how *how,
                        struct restore_report *report, json_t **ret_machines, struct bk_error *err)
{
    size_t n = x->networks.n;
    bk_auto(free) struct vm_rename *networks = calloc(n + 1, sizeof *networks);
    bk_auto(free) char **copies = calloc(n + 1, sizeof *copies);
    if (!networks || !copies)
        return bk_fail_errno(err, ENOMEM, "restore machines");
    int r = rename_networks(&x->networks, networks, copies, err);
    if (r == 0)
        r = run(a, repo, s, x, how, networks, report, ret_machines, err);
    for (size_t i = 0; i < n; i++)
        free(copies[i]);
    return r;
}
#else
int restore_machine_run(struct app *a, struct repo *repo, const struct snapshot *s,
                        const struct restore_machine_args *x, const struct restore_machine_how *how,
                        struct restore_report *report, json_t **ret_machines, struct bk_error *err)
{
    (void)a;
    (void)repo;
    (void)s;
    (void)x;
    (void)how;
    (void)report;
    (void)ret_machines;
    return bk_fail(err, BK_E_UNSUPPORTED, "this build cannot speak to libvirt");
}
#endif

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

static void print_one(const json_t *m)
{
    const char *name = text_of(m, "name"), *uuid = text_of(m, "uuid");
    size_t i;
    json_t *f;
    if (json_is_true(json_object_get(m, "started")))
        printf(_("domain %s (%s) is defined and started\n"), name, uuid);
    else if (json_is_true(json_object_get(m, "defined")))
        printf(_("domain %s (%s) is defined\n"), name, uuid);
    else
        printf(_("domain %s (%s) would be defined\n"), name, uuid);
    json_array_foreach(json_object_get(m, "files"), i, f)
    {
        char b[TEXT_SIZE];
        json_int_t bytes = json_integer_value(json_object_get(f, "bytes"));
        const char *format = json_string_value(json_object_get(f, "format"));
        printf("  %-8s %s", text_of(f, "target"), text_of(f, "path"));
        printf(" (%s%s%s)\n", format ? format : "", format ? ", " : "", text_bytes((uint64_t)bytes, b));
    }
}

void restore_machine_print(const json_t *machines)
{
    size_t i;
    json_t *m;
    json_array_foreach(machines, i, m) print_one(m);
}
