#include "bkd/source/vm_rewrite.h"

#include <errno.h>
#include <string.h>

#include "bkd/source/vm_node.h"

struct rewrite {
    const struct vm_rewrite *w;
    struct job *job;
    char *name; /* owned; of the domain, for the log */
};

static void drop(xmlNode *n)
{
    xmlUnlinkNode(n);
    xmlFreeNode(n);
}

static void drop_children(xmlNode *of, const char *name)
{
    for (xmlNode *n = vm_node_child(of, name), *next; n; n = next) {
        next = vm_node_from(n->next, name);
        drop(n);
    }
}

static void drop_attr(xmlNode *n, const char *name)
{
    if (n)
        xmlUnsetProp(n, (const xmlChar *)name);
}

static int nomem(struct bk_error *err)
{
    return bk_fail_errno(err, ENOMEM, "change a definition");
}

static int set_attr(xmlNode *n, const char *name, const char *value, struct bk_error *err)
{
    return n && xmlSetProp(n, (const xmlChar *)name, (const xmlChar *)value) ? 0 : nomem(err);
}

/* As text: libxml2 would take a '&' in content for an entity. */
static int set_text(xmlNode *n, const char *value, struct bk_error *err)
{
    xmlNode *t = xmlNewText((const xmlChar *)value);
    if (!t)
        return nomem(err);
    xmlNodeSetContent(n, NULL);
    if (xmlAddChild(n, t))
        return 0;
    xmlFreeNode(t);
    return nomem(err);
}

/* ---- what the whole machine is ---- */

static void forget_host(xmlNode *root)
{
    drop_attr(root, "id");
    for (xmlNode *n = vm_node_child(root, "seclabel"), *next; n; n = next) {
        next = vm_node_from(n->next, "seclabel");
        if (!vm_node_attr_is(n, "type", "static") && !vm_node_attr_is(n, "type", "none"))
            drop(n);
    }
    /* It tells the guest that it was put back in time. */
    xmlNode *genid = vm_node_child(root, "genid");
    if (genid)
        xmlNodeSetContent(genid, NULL);
}

/* What the firmware tells of the uuid must be the uuid. */
static int set_uuid(xmlNode *root, const char *uuid, struct bk_error *err)
{
    xmlNode *n = vm_node_child(root, "uuid");
    int r = n ? set_text(n, uuid, err) : vm_node_corrupt(err);
    for (xmlNode *s = vm_node_child(root, "sysinfo"); s && r == 0; s = vm_node_from(s->next, "sysinfo")) {
        xmlNode *e = vm_node_child(vm_node_child(s, "system"), "entry");
        for (; e && r == 0; e = vm_node_from(e->next, "entry"))
            if (vm_node_attr_is(e, "name", "uuid"))
                r = set_text(e, uuid, err);
    }
    return r;
}

static int set_os(const struct rewrite *k, xmlNode *os, struct bk_error *err)
{
    const struct vm_rewrite *w = k->w;
    xmlNode *kernel = vm_node_child(os, "kernel"), *initrd = vm_node_child(os, "initrd");
    xmlNode *nvram = vm_node_child(os, "nvram"), *file = vm_node_child(nvram, "source");
    int r = 0;
    if (w->kernel && kernel)
        r = set_text(kernel, w->kernel, err);
    if (w->initrd && initrd && r == 0)
        r = set_text(initrd, w->initrd, err);
    if (!nvram || (!w->nvram && !w->forget_nvram) || r < 0)
        return r;
    bool typed = file;
    drop_attr(nvram, "type");
    xmlNodeSetContent(nvram, NULL);
    if (!w->nvram)
        return 0;
    if (!typed)
        return set_text(nvram, w->nvram, err);
    r = set_attr(nvram, "type", "file", err);
    return r < 0 ? r
                 : set_attr(xmlNewChild(nvram, NULL, (const xmlChar *)"source", NULL), "file", w->nvram, err);
}

/* ---- its devices ---- */

static const struct vm_rewrite_disk *place_of(const struct vm_rewrite *w, const char *target)
{
    for (size_t i = 0; i < w->n_disks && target; i++)
        if (!strcmp(w->disks[i].target, target))
            return &w->disks[i];
    return NULL;
}

static int set_driver(xmlNode *disk, const char *format, struct bk_error *err)
{
    xmlNode *driver = vm_node_child(disk, "driver");
    if (!driver)
        driver = xmlNewChild(disk, NULL, (const xmlChar *)"driver", NULL);
    int r = set_attr(driver, "name", "qemu", err);
    if (r == 0)
        r = set_attr(driver, "type", format, err);
    if (r == 0 && strcmp(format, "qcow2")) {
        drop_attr(driver, "discard_no_unref");
        drop_children(driver, "metadata_cache");
    }
    return r;
}

/* What its old source had besides (servers, credentials, a chain, encryption that the backup saw through) is
 * nothing to the new one. */
static int set_disk(const struct rewrite *k, xmlNode *disk, const struct vm_rewrite_disk *p,
                    struct bk_error *err)
{
    static const char *const old[] = { "source", "backingStore", "mirror", "encryption", "auth", "state" };
    xmlNode *source = vm_node_child(disk, "source");
    if (vm_node_child(disk, "encryption") || vm_node_child(source, "encryption"))
        job_log(k->job, JOB_WARN, N_("domain '%s': disk '%s' was encrypted, and is restored unencrypted"),
                k->name, p->target);
    for (size_t i = 0; i < BK_COUNT(old); i++)
        drop_children(disk, old[i]);
    int r = set_attr(disk, "type", p->device ? "block" : "file", err);
    if (r == 0)
        r = set_attr(xmlNewChild(disk, NULL, (const xmlChar *)"source", NULL), p->device ? "dev" : "file",
                     p->path, err);
    return r < 0 ? r : set_driver(disk, p->format, err);
}

/* A drive for media keeps what is in it when that is a file and there. */
static void look_at_medium(const struct rewrite *k, xmlNode *disk, const char *target)
{
    xmlNode *source = vm_node_child(disk, "source");
    bk_auto(free) char *path = vm_node_attr(source, "file");
    drop_children(disk, "backingStore");
    drop_attr(source, "index");
    if (!source || !source->properties || (path && (!k->w->has_medium || k->w->has_medium(path))))
        return;
    job_log(k->job, JOB_WARN, N_("domain '%s': what is in the drive '%s' is not here; it is empty"), k->name,
            target);
    drop_children(disk, "source");
}

static int put_disk(const struct rewrite *k, xmlNode *disk, struct bk_error *err)
{
    bk_auto(free) char *device = vm_node_attr(disk, "device");
    bk_auto(free) char *target = vm_node_attr(vm_node_child(disk, "target"), "dev");
    const struct vm_rewrite_disk *p = place_of(k->w, target);
    if (device && (!strcmp(device, "cdrom") || !strcmp(device, "floppy"))) {
        look_at_medium(k, disk, target ? target : "");
        return 0;
    }
    if (p)
        return set_disk(k, disk, p, err);
    job_log(k->job, JOB_WARN, N_("domain '%s': disk '%s' is not in the snapshot and is left out"), k->name,
            target ? target : "");
    drop(disk);
    return 0;
}

static int put_interface(const struct rewrite *k, xmlNode *n, struct bk_error *err)
{
    xmlNode *source = vm_node_child(n, "source"), *target = vm_node_child(n, "target");
    bool network = vm_node_attr_is(n, "type", "network");
    const char *attr = network ? "network" : "bridge";
    bk_auto(free) char *name = vm_node_attr(source, attr);
    bk_auto(free) char *tap = vm_node_attr(target, "dev");
    int r = 0;
    xmlNode *port = vm_node_child(vm_node_child(n, "virtualport"), "parameters");
    if (k->w->new_macs)
        drop_children(n, "mac");
    if (k->w->new_macs && port)
        drop_attr(port, "interfaceid");
    if (tap && !strncmp(tap, "vnet", 4))
        drop_attr(target, "dev");
    if (network) {
        drop_attr(source, "portid");
        drop_attr(source, "bridge");
    }
    for (size_t i = 0; i < k->w->n_networks && name && r == 0; i++) {
        struct vm_rename *x = &k->w->networks[i];
        if (strcmp(x->from, name))
            continue;
        r = set_attr(source, attr, x->to, err);
        x->used = true;
        break;
    }
    return r;
}

static void forget_alias(xmlNode *device)
{
    xmlNode *alias = vm_node_child(device, "alias");
    bk_auto(free) char *name = vm_node_attr(alias, "name");
    if (alias && (!name || strncmp(name, "ua-", 3))) /* those are the user's */
        drop(alias);
}

static int put_devices(const struct rewrite *k, xmlNode *devices, struct bk_error *err)
{
    int r = 0;
    for (xmlNode *n = devices ? devices->children : NULL, *next; n && r == 0; n = next) {
        next = n->next;
        if (n->type != XML_ELEMENT_NODE)
            continue;
        forget_alias(n);
        if (vm_node_is(n, "disk"))
            r = put_disk(k, n, err);
        else if (vm_node_is(n, "interface"))
            r = put_interface(k, n, err);
        else if (vm_node_is(n, "tpm") && (k->w->forget_tpm_place || k->w->name))
            drop_children(vm_node_child(n, "backend"), "source");
        else if (vm_node_is(n, "hostdev") || vm_node_is(n, "filesystem"))
            job_log(k->job, JOB_WARN,
                    N_("domain '%s': it has a <%s>: look whether it is meant for this host before it starts"),
                    k->name, (const char *)n->name);
    }
    return r;
}

static void warn_of_commands(const struct rewrite *k, const xmlNode *root)
{
    static const char element[] = "commandline";
    const xmlNode *n = root->children; /* in a namespace of QEMU's or Xen's */
    while (n && (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, element)))
        n = n->next;
    if (n)
        job_log(k->job, JOB_WARN,
                N_("domain '%s': it has a <%s>: look whether it is meant for this host before it starts"),
                k->name, element);
}

/* ---- the story ---- */

static int check_text(const char *s, struct bk_error *err)
{
    for (const char *p = s; p && *p; p++)
        if ((unsigned char)*p < ' ')
            return bk_fail(err, BK_E_USAGE, "a name or path has a control character in it");
    return s && !xmlCheckUTF8((const unsigned char *)s) ? bk_fail(err, BK_E_USAGE, "'%s' is not UTF-8", s)
                                                        : 0;
}

static int check(const struct vm_rewrite *w, struct bk_error *err)
{
    const char *v[] = { w->name, w->uuid, w->nvram, w->kernel, w->initrd };
    int r = 0;
    for (size_t i = 0; i < BK_COUNT(v) && r == 0; i++)
        r = check_text(v[i], err);
    for (size_t i = 0; i < w->n_disks && r == 0; i++)
        r = check_text(w->disks[i].path, err);
    for (size_t i = 0; i < w->n_networks && r == 0; i++)
        r = check_text(w->networks[i].to, err);
    return r;
}

static int dump(xmlDoc *doc, char **ret, struct bk_error *err)
{
    xmlChar *text = NULL;
    int len = 0;
    xmlDocDumpMemory(doc, &text, &len);
    char *copy = text ? strdup((const char *)text) : NULL;
    xmlFree(text);
    if (!copy)
        return nomem(err);
    *ret = copy;
    return 0;
}

static void rewrite_clear(struct rewrite *k)
{
    free(k->name);
}
BK_AUTO_CLEAR(struct rewrite, rewrite_clear)

int vm_rewrite(const char *text, const struct vm_rewrite *w, struct job *j, char **ret, struct bk_error *err)
{
    bk_auto(vm_node_doc_free) xmlDoc *doc = NULL;
    bk_auto(rewrite_clear) struct rewrite k = { .w = w, .job = j };
    xmlNode *root = NULL;
    int r = check(w, err);
    if (r == 0)
        r = vm_node_parse(text, "domain", &doc, &root, err);
    if (r < 0)
        return r;
    xmlNode *name = vm_node_child(root, "name");
    if (!(k.name = w->name ? strdup(w->name) : vm_node_text(name)))
        return vm_node_corrupt(err);
    forget_host(root);
    warn_of_commands(&k, root);
    if (w->name)
        r = name ? set_text(name, w->name, err) : vm_node_corrupt(err);
    if (r == 0 && w->uuid)
        r = set_uuid(root, w->uuid, err);
    if (r == 0)
        r = set_os(&k, vm_node_child(root, "os"), err);
    if (r == 0)
        r = put_devices(&k, vm_node_child(root, "devices"), err);
    return r < 0 ? r : dump(doc, ret, err);
}

int vm_rewrite_networks(const char *text, vm_rewrite_network_fn *fn, void *ctx, struct bk_error *err)
{
    bk_auto(vm_node_doc_free) xmlDoc *doc = NULL;
    xmlNode *root = NULL;
    int r = vm_node_parse(text, "domain", &doc, &root, err);
    xmlNode *n = r < 0 ? NULL : vm_node_child(vm_node_child(root, "devices"), "interface");
    for (; n && r == 0; n = vm_node_from(n->next, "interface")) {
        bk_auto(free) char *name = vm_node_attr(vm_node_child(n, "source"), "network");
        if (name && vm_node_attr_is(n, "type", "network"))
            r = fn(ctx, name, err);
    }
    return r;
}
