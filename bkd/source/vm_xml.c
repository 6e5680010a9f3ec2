#include "bkd/source/vm_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

static void vm_doc_free(xmlDoc *d)
{
    xmlFreeDoc(d);
}
BK_AUTO(xmlDoc *, vm_doc_free)

static int corrupt(struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "libvirt's XML is not what it should be");
}

static bool is(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name);
}

/* The next element of this name, from n on. */
static xmlNode *from(xmlNode *n, const char *name)
{
    while (n && !is(n, name))
        n = n->next;
    return n;
}

static xmlNode *child(const xmlNode *n, const char *name)
{
    return n ? from(n->children, name) : NULL;
}

/* A copy of ours of what libxml2 made; empty counts as nothing. */
static char *taken(xmlChar *s)
{
    char *copy = s && *s ? strdup((const char *)s) : NULL;
    xmlFree(s);
    return copy;
}

static char *attr(const xmlNode *n, const char *name)
{
    return n ? taken(xmlGetNoNsProp(n, (const xmlChar *)name)) : NULL;
}

static bool attr_is(const xmlNode *n, const char *name, const char *value)
{
    bk_auto(free) char *s = attr(n, name);
    return s && !strcmp(s, value);
}

static char *content(const xmlNode *n)
{
    return n ? taken(xmlNodeGetContent(n)) : NULL;
}

/* Absolute, so that it is never taken for something else. */
static char *path_of(char *s)
{
    if (s && s[0] == '/')
        return s;
    free(s);
    return NULL;
}

static int parse(const char *text, const char *root, xmlDoc **ret, xmlNode **ret_root, struct bk_error *err)
{
    size_t len = strlen(text);
    if (len > VM_XML_MAX)
        return bk_fail(err, BK_E_LIMIT, "libvirt's XML has %zu bytes", len);
    xmlDoc *d = xmlReadMemory(text, (int)len, "libvirt.xml", NULL,
                              XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    if (!d)
        return corrupt(err);
    *ret = d; /* the caller frees it, also after an error */
    *ret_root = xmlDocGetRootElement(d);
    return d->intSubset || d->extSubset || !*ret_root || !is(*ret_root, root) ? corrupt(err) : 0;
}

/* A target becomes part of file names, of URIs and of JSON. */
static bool is_target(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 32 && !s[n];
}

static enum vm_disk_kind kind_of(const xmlNode *disk)
{
    return attr_is(disk, "type", "file")      ? VM_DISK_FILE
           : attr_is(disk, "type", "block")   ? VM_DISK_BLOCK
           : attr_is(disk, "type", "network") ? VM_DISK_NETWORK
                                              : VM_DISK_OTHER;
}

/* A disk that is an NBD export itself. */
static char *nbd_of(const xmlNode *source)
{
    char *uri = NULL;
    xmlNode *host = child(source, "host");
    bk_auto(free) char *name = attr(source, "name");
    bk_auto(free) char *server = attr(host, "name");
    bk_auto(free) char *port = attr(host, "port");
    bk_auto(free) char *socket = attr(host, "socket");
    if (!attr_is(source, "protocol", "nbd") || attr_is(source, "tls", "yes"))
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
    bk_auto(free) char *device = attr(n, "device");
    xmlNode *source = child(n, "source"), *target = child(n, "target");
    bk_auto(free) char *name = attr(target, "dev");
    if ((device && strcmp(device, "disk") && strcmp(device, "lun")) || !source || !source->properties)
        return 0; /* a drive for media, or an empty one */
    if (!name || !is_target(name))
        return corrupt(err);
    for (size_t i = 0; i < x->n_disks; i++)
        if (!strcmp(x->disks[i].target, name))
            return corrupt(err);
    if ((device && !strcmp(device, "lun")) || attr_is(n, "type", "vhostuser") || attr_is(n, "type", "nvme"))
        return add_passed(x, bk_steal(name), err);
    if (x->n_disks == VM_XML_DISKS_MAX)
        return bk_fail(err, BK_E_LIMIT, "the domain has more than %d disks", VM_XML_DISKS_MAX);
    struct vm_xml_disk *v = realloc(x->disks, (x->n_disks + 1) * sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "read a domain");
    x->disks = v;
    struct vm_xml_disk *d = &v[x->n_disks++];
    *d = (struct vm_xml_disk){ .target = bk_steal(name), .kind = kind_of(n) };
    d->source = path_of(attr(source, d->kind == VM_DISK_BLOCK ? "dev" : "file"));
    d->nbd = d->kind == VM_DISK_NETWORK ? nbd_of(source) : NULL;
    d->format = attr(child(n, "driver"), "type");
    d->read_only = child(n, "readonly");
    if (!d->format)
        d->format = strdup("raw");
    return d->format ? 0 : bk_fail_errno(err, ENOMEM, "read a domain");
}

static void read_tpm(struct vm_xml *x, const xmlNode *tpm)
{
    xmlNode *backend = child(tpm, "backend"), *source = child(backend, "source");
    if (!attr_is(backend, "type", "emulator"))
        return;
    x->tpm = true;
    if (!x->tpm_dir && attr_is(source, "type", "dir"))
        x->tpm_dir = path_of(attr(source, "path"));
}

static void read_channel(struct vm_xml *x, const xmlNode *channel)
{
    xmlNode *target = child(channel, "target");
    if (!attr_is(target, "name", "org.qemu.guest_agent.0"))
        return;
    x->agent = true;
    x->agent_connected = attr_is(target, "state", "connected");
}

/* "+64055:+109"; a name instead of numbers is one that only libvirt's host may know. */
static void read_owner(struct vm_xml *x, const xmlNode *root)
{
    for (xmlNode *n = child(root, "seclabel"); n; n = from(n->next, "seclabel")) {
        bk_auto(free) char *label = attr_is(n, "model", "dac") ? content(child(n, "label")) : NULL;
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
        if (is(n, "disk"))
            r = add_disk(x, n, err);
        else if (is(n, "tpm"))
            read_tpm(x, n);
        else if (is(n, "channel"))
            read_channel(x, n);
    }
    return r;
}

int vm_xml_read(const char *text, struct vm_xml *ret, struct bk_error *err)
{
    *ret = (struct vm_xml){ 0 };
    bk_auto(vm_doc_free) xmlDoc *doc = NULL;
    xmlNode *root = NULL;
    int r = parse(text, "domain", &doc, &root, err);
    if (r < 0)
        return r;
    ret->name = content(child(root, "name"));
    ret->uuid = content(child(root, "uuid"));
    if (!ret->name || strlen(ret->name) > VM_NAME_MAX || strchr(ret->name, '/') || !ret->uuid ||
        strlen(ret->uuid) != 36)
        return corrupt(err);
    xmlNode *os = child(root, "os");
    xmlNode *nvram = child(os, "nvram"), *file = child(nvram, "source");
    ret->nvram = path_of(file ? attr(file, "file") : content(nvram));
    ret->kernel = path_of(content(child(os, "kernel")));
    ret->initrd = path_of(content(child(os, "initrd")));
    read_owner(ret, root);
    return read_devices(ret, child(root, "devices"), err);
}

void vm_xml_clear(struct vm_xml *x)
{
    for (size_t i = 0; i < x->n_disks; i++) {
        struct vm_xml_disk *d = &x->disks[i];
        free(d->target);
        free(d->source);
        free(d->nbd);
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
    bk_auto(vm_doc_free) xmlDoc *doc = NULL;
    xmlNode *root = NULL;
    int r = parse(text, "domainbackup", &doc, &root, err);
    if (r == 0)
        *ret = path_of(attr(child(root, "server"), "socket"));
    return r;
}
