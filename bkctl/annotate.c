#include "bkctl/annotate.h"

#include <string.h>

int annotate_verb(const struct operands *ops, const char *yes, const char *no, const char *verbs,
                  struct bk_error *err)
{
    if (!strcmp(ops->v[0], yes))
        return 1;
    if (!strcmp(ops->v[0], no))
        return 0;
    bk_fail(err, BK_E_USAGE, "unknown action '%s'", ops->v[0]);
    return bk_hint(err, "choose one of: %s", verbs);
}

int annotate_snapshot(struct app *a, const struct operands *ops, struct note_change *change,
                      uint8_t ret_id[static SESSION_ID], struct bk_error *err)
{
    bk_auto(repo_free) struct repo *repo = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    const struct catalog_item *item = NULL;
    int r = app_open_repo(a, &repo, err);
    if (r == 0)
        r = app_load_catalog(a, repo, &c, err);
    if (r == 0)
        r = catalog_resolve(&c, ops->v[1], &item, err);
    if (r < 0)
        return r;
    char who[512];
    app_who(who, sizeof who);
    change->who = who;
    r = catalog_annotate(repo, item, change, err);
    change->who = NULL;
    if (r == 0)
        memcpy(ret_id, item->snap.id, SESSION_ID);
    return r;
}
