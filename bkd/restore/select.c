#include "bkd/restore/select.h"

#include "bkd/source/exclude.h"

int select_init(struct select *s, const char *const *includes, size_t n_includes, const char *const *excludes,
                size_t n_excludes, struct bk_error *err)
{
    *s = (struct select){ 0 };
    int r = n_includes ? exclude_new(includes, n_includes, &s->include, err) : 0;
    if (r == 0 && n_excludes)
        r = exclude_new(excludes, n_excludes, &s->exclude, err);
    if (r < 0)
        select_clear(s);
    return r;
}

void select_clear(struct select *s)
{
    exclude_free(s->include);
    exclude_free(s->exclude);
    *s = (struct select){ 0 };
}

bool select_is_all(const struct select *s)
{
    return !s->include && !s->exclude;
}

enum select_verdict select_entry(const struct select *s, bool inside, const char *dir, size_t dir_len,
                                 const char *name, size_t name_len, bool is_dir)
{
    if (s->exclude && exclude_match(s->exclude, dir, dir_len, name, name_len, is_dir))
        return SELECT_NO;
    /* What is in an included directory is included with it. */
    if (!s->include || inside || exclude_match(s->include, dir, dir_len, name, name_len, is_dir))
        return SELECT_YES;
    return is_dir ? SELECT_PASS : SELECT_NO;
}
