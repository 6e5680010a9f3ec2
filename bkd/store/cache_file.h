/* One copy in the cache: the object's bytes, then their SHA-256 and a mark. Internal to bkd/store/cache*. */
#ifndef BKD_STORE_CACHE_FILE_H
#define BKD_STORE_CACHE_FILE_H

#include "bkd/store/store.h"

enum { CACHE_DIGEST = 32, CACHE_TRAILER = CACHE_DIGEST + 8, CACHE_FILE_NAME = STORE_NAME_MAX + 8 };

/* The file of an object: its name with '/' as '+'. */
void cache_file_name(const char *name, char out[static CACHE_FILE_NAME]);
/* A descriptor whose first *ret_size bytes are the object. check: read and compare the digest first. -1:
 * there is no (sound) copy; an unsound one is removed. */
int cache_file_open(int dir, const char *name, bool check, uint64_t *ret_size);
/* Its bytes, unchecked; false: there is no copy. */
bool cache_file_size(int dir, const char *name, uint64_t *ret);
/* Keep these bytes; what fails leaves no copy. Bytes written, 0 for none. */
uint64_t cache_file_keep(int dir, const char *name, const void *data, size_t len);
/* The hash in the name, if there is one, is that of the bytes? */
bool cache_file_fits(const char *name, const void *data, size_t len);
/* Removes the copies that were not used for longest, and leftovers of killed writers, until at most `bytes`
 * are there. Returns what is there. */
uint64_t cache_file_trim(int dir, uint64_t bytes);

#endif
