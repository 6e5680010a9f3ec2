/* Shell patterns on one path component: '*' any run, '?' one byte, "[a-z]" and "[!a-z]" or "[^a-z]" sets, '\'
 * takes the next byte as it is. Bytes, not characters. Linear in pattern times text for any pattern. Pure;
 * any thread. */
#ifndef BKD_SOURCE_GLOB_H
#define BKD_SOURCE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len);
/* No meta byte at all: a plain comparison does. */
bool glob_is_plain(const char *pattern, size_t pattern_len);

#endif
