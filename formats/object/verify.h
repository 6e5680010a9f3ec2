/* What can be said about an object's bytes without any key.
 *
 * Content objects (data/, meta/, index/) are called by the hash of all their bytes, records carry a digest,
 * the config and key slots as well; so whoever keeps copies can tell a sound one from a damaged one. What is
 * not seen without keys: a whole, sound object that stands under another one's name of the same kind.
 * Pure functions; any thread. */
#ifndef FORMATS_OBJECT_VERIFY_H
#define FORMATS_OBJECT_VERIFY_H

#include <stdbool.h>

#include "formats/object/object.h"

/* Is the name the hash of the bytes? Whoever puts such an object puts the same bytes. */
bool object_is_content(const char *name);

/* data: all bytes of the object called `name`.
 *   errors  CORRUPT      they are damaged, or of another object
 *           VERSION      a newer program wrote them: this one cannot tell
 *           UNSUPPORTED  a name that no object of a repository has */
int object_verify(const char *name, const void *data, size_t len, struct bk_error *err) BK_MUST_CHECK;

#endif
