#include "bkd/source/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void roots_free(struct roots_node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++)
        roots_free(n->children[i]);
    free(n->children);
    free(n->name);
    free(n);
}

/* Append the components of `path` to the normal absolute path in out. */
static void append_normal(char *out, size_t *len, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (*len && out[--*len] != '/')
                ;
        } else if (n && !(n == 1 && path[0] == '.')) {
            out[(*len)++] = '/';
            memcpy(out + *len, path, n);
            *len += n;
        }
        path += n;
        path += *path == '/';
    }
}

int roots_absolute(const char *cwd, const char *path, char **ret, struct bk_error *err)
{
    if (!*path)
        return bk_fail(err, BK_E_USAGE, "an empty path");
    char *out = malloc(strlen(cwd) + strlen(path) + 4);
    if (!out)
        return bk_fail_errno(err, ENOMEM, "path '%s'", path);
    size_t len = 0;
    if (*path != '/')
        append_normal(out, &len, cwd);
    append_normal(out, &len, path);
    if (!len)
        out[len++] = '/';
    out[len] = '\0';
    *ret = out;
    return 0;
}

static struct roots_node *node_new(const char *name, size_t len)
{
    struct roots_node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->name = strndup(name, len);
    if (!n->name) {
        free(n);
        return NULL;
    }
    return n;
}

static struct roots_node *child_for(struct roots_node *n, const char *name, size_t len)
{
    size_t at = 0;
    for (; at < n->n; at++) {
        const char *have = n->children[at]->name;
        int c = strncmp(have, name, len);
        if (!c && !have[len])
            return n->children[at];
        if (c > 0 || (!c && have[len]))
            break;
    }
    struct roots_node **v = reallocarray(n->children, n->n + 1, sizeof(struct roots_node *));
    if (!v)
        return NULL;
    n->children = v;
    struct roots_node *c = node_new(name, len);
    if (!c)
        return NULL;
    memmove(v + at + 1, v + at, (n->n - at) * sizeof *v);
    v[at] = c;
    n->n++;
    return c;
}

static void make_whole(struct roots_node *n)
{
    n->whole = true;
    for (size_t i = 0; i < n->n; i++)
        make_whole(n->children[i]);
}

static int insert(struct roots_node *top, const char *path, struct bk_error *err)
{
    struct roots_node *n = top;
    for (const char *p = path;;) {
        p += strspn(p, "/");
        size_t len = strcspn(p, "/");
        if (!len)
            break;
        if (len > 255)
            return bk_fail_errno(err, ENAMETOOLONG, "path '%s'", path);
        struct roots_node *c = child_for(n, p, len);
        if (!c)
            return bk_fail_errno(err, ENOMEM, "path '%s'", path);
        c->whole |= n->whole;
        n = c;
        p += len;
    }
    n->given = true;
    make_whole(n);
    return 0;
}

static int add_path(struct roots_node *top, const char *cwd, const char *path, struct bk_error *err)
{
    bk_auto(free) char *abs = NULL;
    int r = roots_absolute(cwd, path, &abs, err);
    if (r < 0)
        return r;
    struct stat st;
    if (fstatat(AT_FDCWD, abs, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return bk_fail_errno(err, errno, "path '%s'", path);
    return insert(top, abs, err);
}

int roots_new(const char *const *paths, size_t n, struct roots_node **ret, struct bk_error *err)
{
    if (!n)
        return bk_fail(err, BK_E_USAGE, "no path to back up was given");
    bk_auto(free) char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return bk_fail_errno(err, errno, "ask for the working directory");
    bk_auto(roots_free) struct roots_node *top = node_new("", 0);
    if (!top)
        return bk_fail_errno(err, ENOMEM, "paths to back up");
    for (size_t i = 0; i < n; i++) {
        int r = add_path(top, cwd, paths[i], err);
        if (r < 0)
            return r;
    }
    *ret = bk_steal(top);
    return 0;
}

size_t roots_count(const struct roots_node *n)
{
    size_t sum = n && n->given;
    for (size_t i = 0; n && i < n->n; i++)
        sum += roots_count(n->children[i]);
    return sum;
}

const struct roots_node *roots_child(const struct roots_node *n, const char *name)
{
    size_t lo = 0, hi = n->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(n->children[mid]->name, name);
        if (!c)
            return n->children[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
