/* Walking the XML of libvirt, for who reads or changes it. It is hostile: no entities, no DTD, nothing is
 * fetched, the size has a ceiling. What is read out is a copy of the caller's. Pure; any thread. */
#ifndef BKD_SOURCE_VM_NODE_H
#define BKD_SOURCE_VM_NODE_H

#include <libxml/tree.h>
#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

static inline void vm_node_doc_free(xmlDoc *d)
{
    xmlFreeDoc(d);
}
BK_AUTO(xmlDoc *, vm_node_doc_free)

/* *ret is the caller's, also after an error. CORRUPT: not XML, or its root is another one; LIMIT. */
int vm_node_parse(const char *text, const char *root, xmlDoc **ret, xmlNode **ret_root,
                  struct bk_error *err) BK_MUST_CHECK;
int vm_node_corrupt(struct bk_error *err);

bool vm_node_is(const xmlNode *n, const char *name);
/* The next element of this name, from n on; NULL: none. */
xmlNode *vm_node_from(xmlNode *n, const char *name);
xmlNode *vm_node_child(const xmlNode *n, const char *name); /* n may be NULL */
/* The value of an attribute, the text of an element; NULL: it has none, or an empty one. */
char *vm_node_attr(const xmlNode *n, const char *name);
bool vm_node_attr_is(const xmlNode *n, const char *name, const char *value);
char *vm_node_text(const xmlNode *n);
/* s when it is an absolute path; else it is freed and NULL returned. */
char *vm_node_path(char *s);

#endif
