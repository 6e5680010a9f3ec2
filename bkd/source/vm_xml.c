#include "bkd/source/vm_xml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/source/vm_node.h"

/* A target becomes part of file names, of URIs and of JSON. */
static bool is_target(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 32 && !s[n];
}

static enum vm_disk_kind kind_of(const xmlNode *disk)
{
    return vm_node_attr_is(disk, "type", "file")      ? VM_DISK_FILE
           : vm_node_attr_is(disk, "type", "block")   ? VM_DISK_BLOCK
           : vm_node_attr_is(disk, "type", "network") ? VM_DISK_NETWORK
                                                      : VM_DISK_OTHER;
}

/* A disk that is an NBD export itself. */
static char *nbd_of(const xmlNode *source)
{
    char *uri = NULL;
    xmlNode *host = vm_node_child(source, "host");
    bk_auto(free) char *name = vm_node_attr(source, "name");
    bk_auto(free) char *server = vm_node_attr(host, "name");
    bk_auto(free) char *port = vm_node_attr(host, "port");
    bk_auto(free) char *socket = vm_node_attr(host, "socket");
    if (!vm_node_attr_is(source, "protocol", "nbd") || vm_node_attr_is(source, "tls", "yes"))
        return NULL;
    if (socket) {
        struct bk_error ignored = { 0 }; /* then it has none */
        return vm_xml_nbd_uri(socket, name ? name : "", &uri, &ignored) < 0 ? NULL : uri;
    }
    bool v6 = server && strchr(server, ':');
    if (!server || strpbrk(server, "/?#@[]%") || (name && strpbrk(name, "?#%")) ||
        asprintf(&uri, "nbd://%s%s%s:%s/%s", v6 ? "[" : "", server, v6 ? "]" : "", port ? port : "10809",
                 name ? name : "") < 0)
        return NULL;
    return uri;
}

static int add_passed(struct vm_xml *x, char *target, struct bk_error *err)
{
    char **v = x->n_passed < VM_XML_DISKS_MAX ? realloc(x->passed, (x->n_passed + 1) * sizeof *v) : NULL;
    if (!v) {
        free(target);
        return bk_fail_errno(err, ENOMEM, "read a domain");
    }
    x->passed = v;
    v[x->n_passed++] = target;
    return 0;
}

static int add_disk(struct vm_xml *x, const xmlNode *n, struct bk_error *err)
{
    bk_auto(free) char *device = vm_node_attr(n, "device");
    xmlNode *source = vm_node_child(n, "source"), *target = vm_node_child(n, "target");
    bk_auto(free) char *name = vm_node_attr(target, "dev");
    if ((device && strcmp(device, "disk") && strcmp(device, "lun")) || !source || !source->properties)
        return 0; /* a drive for media, or an empty one */
    if (!name || !is_target(name))
        return vm_node_corrupt(err);
    for (size_t i = 0; i < x->n_disks; i++)
        if (!strcmp(x->disks[i].target, name))
            return vm_node_corrupt(err);
    if ((device && !strcmp(device, "lun")) || vm_node_attr_is(n, "type", "vhostuser") ||
        vm_node_attr_is(n, "type", "nvme"))
        return add_passed(x, bk_steal(name), err);
    if (x->n_disks == VM_XML_DISKS_MAX)
        return bk_fail(err, BK_E_LIMIT, "the domain has more than %d disks", VM_XML_DISKS_MAX);
    struct vm_xml_disk *v = realloc(x->disks, (x->n_disks + 1) * sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "read a domain");
    x->disks = v;
    struct vm_xml_disk *d = &v[x->n_disks++];
    *d = (struct vm_xml_disk){ .target = bk_steal(name), .kind = kind_of(n) };
    d->source = vm_node_path(vm_node_attr(source, d->kind == VM_DISK_BLOCK ? "dev" : "file"));
    d->pool = vm_node_attr_is(n, "type", "volume") ? vm_node_attr(source, "pool") : NULL;
    d->volume = d->pool ? vm_node_attr(source, "volume") : NULL;
    d->format = vm_node_attr(vm_node_child(n, "driver"), "type");
    d->read_only = vm_node_child(n, "readonly");
    d->wrapped = vm_node_child(n, "encryption") || vm_node_child(source, "encryption") ||
                 vm_node_child(source, "slices");
    if (!d->format)
        d->format = strdup("raw");
    d->nbd = d->kind == VM_DISK_NETWORK ? nbd_of(source) : NULL;
    /* the server of a container hands out its bytes as they are */
    d->wrapped |= d->nbd && d->format && strcmp(d->format, "raw");
    return d->format ? 0 : bk_fail_errno(err, ENOMEM, "read a domain");
}

static void read_tpm(struct vm_xml *x, const xmlNode *tpm)
{
    xmlNode *backend = vm_node_child(tpm, "backend"), *source = vm_node_child(backend, "source");
    if (!vm_node_attr_is(backend, "type", "emulator"))
        return;
    x->tpm = true;
    if (!x->tpm_dir && vm_node_attr_is(source, "type", "dir"))
        x->tpm_dir = vm_node_path(vm_node_attr(source, "path"));
}

static void read_channel(struct vm_xml *x, const xmlNode *channel)
{
    xmlNode *target = vm_node_child(channel, "target");
    if (!vm_node_attr_is(target, "name", "org.qemu.guest_agent.0"))
        return;
    x->agent = true;
    x->agent_connected = vm_node_attr_is(target, "state", "connected");
}

/* "+64055:+109"; a name instead of numbers is one that only libvirt's host may know. */
static void read_owner(struct vm_xml *x, const xmlNode *root)
{
    for (xmlNode *n = vm_node_child(root, "seclabel"); n; n = vm_node_from(n->next, "seclabel")) {
        bk_auto(free) char *label =
            vm_node_attr_is(n, "model", "dac") ? vm_node_text(vm_node_child(n, "label")) : NULL;
        unsigned uid, gid;
        char end;
        if (!label || sscanf(label, "+%9u:+%9u%c", &uid, &gid, &end) != 2)
            continue;
        x->has_owner = true;
        x->uid = uid;
        x->gid = gid;
    }
}

static int read_devices(struct vm_xml *x, const xmlNode *devices, struct bk_error *err)
{
    int r = 0;
    for (xmlNode *n = devices ? devices->children : NULL; n && r == 0; n = n->next) {
        if (vm_node_is(n, "disk"))
            r = add_disk(x, n, err);
        else if (vm_node_is(n, "tpm"))
            read_tpm(x, n);
        else if (vm_node_is(n, "channel"))
            read_channel(x, n);
    }
    return r;
}

int vm_xml_read(const char *text, struct vm_xml *ret, struct bk_error *err)
{
    *ret = (struct vm_xml){ 0 };
    bk_auto(vm_node_doc_free) xmlDoc *doc = NULL;
    xmlNode *root = NULL;
    int r = vm_node_parse(text, "domain", &doc, &root, err);
    if (r < 0)
        return r;
    ret->name = vm_node_text(vm_node_child(root, "name"));
    ret->uuid = vm_node_text(vm_node_child(root, "uuid"));
    if (!ret->name || strlen(ret->name) > VM_NAME_MAX || strchr(ret->name, '/') || !ret->uuid ||
        strlen(ret->uuid) != 36)
        return vm_node_corrupt(err);
    xmlNode *os = vm_node_child(root, "os");
    xmlNode *nvram = vm_node_child(os, "nvram"), *file = vm_node_child(nvram, "source");
    ret->nvram = vm_node_path(file ? vm_node_attr(file, "file") : vm_node_text(nvram));
    ret->kernel = vm_node_path(vm_node_text(vm_node_child(os, "kernel")));
    ret->initrd = vm_node_path(vm_node_text(vm_node_child(os, "initrd")));
    read_owner(ret, root);
    return read_devices(ret, vm_node_child(root, "devices"), err);
}

void vm_xml_clear(struct vm_xml *x)
{
    for (size_t i = 0; i < x->n_disks; i++) {
        struct vm_xml_disk *d = &x->disks[i];
        free(d->target);
        free(d->source);
        free(d->nbd);
        free(d->pool);
        free(d->volume);
        free(d->format);
    }
    for (size_t i = 0; i < x->n_passed; i++)
        free(x->passed[i]);
    free(x->disks);
    free(x->passed);
    free(x->name);
    free(x->uuid);
    free(x->nvram);
    free(x->kernel);
    free(x->initrd);
    free(x->tpm_dir);
    *x = (struct vm_xml){ 0 };
}

int vm_xml_job_socket(const char *text, char **ret, struct bk_error *err)
{
    bk_auto(vm_node_doc_free) xmlDoc *doc = NULL;
    xmlNode *root = NULL;
    int r = vm_node_parse(text, "domainbackup", &doc, &root, err);
    if (r == 0)
        *ret = vm_node_path(vm_node_attr(vm_node_child(root, "server"), "socket"));
    return r;
}
