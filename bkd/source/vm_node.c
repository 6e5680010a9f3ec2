#include "bkd/source/vm_node.h"

#include <libxml/parser.h>
#include <string.h>

#include "bkd/source/vm_xml.h"

int vm_node_corrupt(struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "libvirt's XML is not what it should be");
}

bool vm_node_is(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && !n->ns && !strcmp((const char *)n->name, name);
}

xmlNode *vm_node_from(xmlNode *n, const char *name)
{
    while (n && !vm_node_is(n, name))
        n = n->next;
    return n;
}

xmlNode *vm_node_child(const xmlNode *n, const char *name)
{
    return n ? vm_node_from(n->children, name) : NULL;
}

/* A copy of ours of what libxml2 made; empty counts as nothing. */
static char *taken(xmlChar *s)
{
    char *copy = s && *s ? strdup((const char *)s) : NULL;
    xmlFree(s);
    return copy;
}

char *vm_node_attr(const xmlNode *n, const char *name)
{
    return n ? taken(xmlGetNoNsProp(n, (const xmlChar *)name)) : NULL;
}

bool vm_node_attr_is(const xmlNode *n, const char *name, const char *value)
{
    bk_auto(free) char *s = vm_node_attr(n, name);
    return s && !strcmp(s, value);
}

char *vm_node_text(const xmlNode *n)
{
    return n ? taken(xmlNodeGetContent(n)) : NULL;
}

char *vm_node_path(char *s)
{
    if (s && s[0] == '/')
        return s;
    free(s);
    return NULL;
}

/* libvirt takes the first of these and we might take another. */
static bool is_twice(const xmlNode *root, const char *name)
{
    const xmlNode *n = vm_node_child(root, name);
    return n && vm_node_from(n->next, name);
}

int vm_node_parse(const char *text, const char *root, xmlDoc **ret, xmlNode **ret_root, struct bk_error *err)
{
    size_t len = strlen(text);
    if (len > VM_XML_MAX)
        return bk_fail(err, BK_E_LIMIT, "libvirt's XML has %zu bytes", len);
    xmlDoc *d = xmlReadMemory(text, (int)len, "libvirt.xml", NULL,
                              XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    if (!d)
        return vm_node_corrupt(err);
    *ret = d;
    *ret_root = xmlDocGetRootElement(d);
    if (d->intSubset || d->extSubset || !*ret_root || !vm_node_is(*ret_root, root))
        return vm_node_corrupt(err);
    static const char *const once[] = { "name", "uuid", "os", "devices" };
    for (size_t i = 0; i < BK_COUNT(once); i++)
        if (is_twice(*ret_root, once[i]))
            return vm_node_corrupt(err);
    return 0;
}
