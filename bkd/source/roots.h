/* The roots of a backup: given paths as a trie of absolute components.
 *
 * Directories above a root are recorded with their metadata but only with the children that lead to a root. A
 * root below another root says one thing more: it was named, so it is wanted whatever file system it lies on.
 * Immutable after construction; any thread. */
#ifndef BKD_SOURCE_ROOTS_H
#define BKD_SOURCE_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct roots_node {
    char *name;                   /* owned; "" for the top */
    bool whole;                   /* a given path or below one: everything below belongs to it */
    bool given;                   /* the path itself was named */
    struct roots_node **children; /* owned, sorted by name, bytes: what was named or leads there */
    size_t n;
};

/* USAGE without paths or with an empty one, ABSENT (or PERM, IO) for one that is not there: nothing has been
 * started then. */
int roots_new(const char *const *paths, size_t n, struct roots_node **ret,
              struct bk_error *err) BK_MUST_CHECK;
void roots_free(struct roots_node *n);
BK_AUTO(struct roots_node *, roots_free)

/* How many of the given paths are at or below n, which may be NULL. */
size_t roots_count(const struct roots_node *n);
const struct roots_node *roots_child(const struct roots_node *n, const char *name);

/* Absolute, without ".", ".." and double slashes, by the letters only; relative paths start at cwd. For the
 * caller to free. */
int roots_absolute(const char *cwd, const char *path, char **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
