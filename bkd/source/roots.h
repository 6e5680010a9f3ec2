/* The roots of a backup: given paths as a trie of absolute components.
 *
 * Directories above a root are recorded with their metadata but only with the children that lead to a root. A
 * root below another root adds nothing. Immutable after construction; any thread. */
#ifndef BKD_SOURCE_ROOTS_H
#define BKD_SOURCE_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct roots_node {
    char *name; /* owned; "" for the top */
    bool whole; /* a given path: everything below belongs to it; then it has no children here */
    struct roots_node **children; /* owned, sorted by name, bytes */
    size_t n;
};

/* USAGE without paths or with an empty one, ABSENT (or PERM, IO) for one that is not there: nothing has been
 * started then. */
int roots_new(const char *const *paths, size_t n, struct roots_node **ret,
              struct bk_error *err) BK_MUST_CHECK;
void roots_free(struct roots_node *n);
BK_AUTO(struct roots_node *, roots_free)

const struct roots_node *roots_child(const struct roots_node *n, const char *name);

/* Absolute, without ".", ".." and double slashes, by the letters only; relative paths start at cwd. For the
 * caller to free. */
int roots_absolute(const char *cwd, const char *path, char **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
