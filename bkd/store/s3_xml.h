/* The XML that S3 answers with, strictly: elements, text, the five named entities and character references.
 * No DTD, no processing beyond the declaration, bounded depth and text; everything else is CORRUPT.
 * Namespaces and attributes are read over. The answer comes from outside, so this is all of XML that we are
 * ready to meet. Any thread. */
#ifndef BKD_STORE_S3_XML_H
#define BKD_STORE_S3_XML_H

#include <stddef.h>

#include "formats/base/error.h"

enum { S3_XML_DEPTH = 12, S3_XML_TEXT = 2048, S3_XML_NAME = 64 };

/* An element has ended. path: its names from the root, parted by '/'. text: what stood in it, decoded, when
 * it had no elements inside; else NULL. Not 0 ends the parse and is returned by it. */
typedef int s3_xml_fn(void *ctx, const char *path, const char *text, struct bk_error *err);

int s3_xml_parse(const char *data, size_t len, s3_xml_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;

#endif
