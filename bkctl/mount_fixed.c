#include "bkctl/mount_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkctl/show.h"

enum { HANDLE_NAME = 256 };

/* A snapshot's name as one file name. */
static void file_name(const char *name, char out[static HANDLE_NAME])
{
    size_t at = 0;
    for (; *name && at + 4 < HANDLE_NAME; name++) {
        if (*name == '/' || *name == '%')
            at += (size_t)snprintf(out + at, HANDLE_NAME - at, "%%%02X", (unsigned char)*name);
        else
            out[at++] = *name;
    }
    out[at] = '\0';
    if (!tree_name_valid(out, at))
        snprintf(out, HANDLE_NAME, "%%");
}

static struct mnode *fixed_child(struct mount *m, struct mnode *parent, const char *name)
{
    struct mnode *n = mtable_child(m->nodes, parent, name);
    return n ? n : mtable_add(m->nodes, parent, MNODE_FIXED, name, true);
}

static struct mnode *set_link(struct mount *m, struct mnode *parent, const char *name, const char *target)
{
    struct mnode *n = mtable_child(m->nodes, parent, name);
    if (!n)
        n = mtable_add(m->nodes, parent, MNODE_LINK, name, true);
    if (!n)
        return NULL;
    free(n->target);
    n->target = strdup(target);
    return n->target ? n : NULL;
}

/* Snapshots come oldest first, so the links that are set last point at the newest. */
static int add_snapshot(struct mount *m, struct mnode *by_name, struct mnode *ids, const struct snapshot *s)
{
    char name[HANDLE_NAME], when[TEXT_TIME], title[TEXT_TIME + 16], id[SHOW_ID], target[2 * HANDLE_NAME + 64];
    file_name(s->name, name);
    text_time(s->start_ns / 1000000000, when);
    when[strcspn(when, " ")] = 'T'; /* no blank in a file name */
    snprintf(title, sizeof title, "%s", when);
    struct mnode *series = fixed_child(m, by_name, name);
    if (!series)
        return -1;
    for (unsigned i = 2; mtable_child(m->nodes, series, title); i++) /* two in one second */
        snprintf(title, sizeof title, "%s.%u", when, i);
    struct mnode *top = mtable_add(m->nodes, series, MNODE_SNAP, title, true);
    if (!top)
        return -1;
    top->snap = s;
    snprintf(target, sizeof target, "../snapshots/%s/%s", name, title);
    if (!set_link(m, ids, text_hex(s->id, SESSION_ID, id), target))
        return -1;
    if (s->state == STATE_INCOMPLETE)
        return 0;
    if (!set_link(m, series, "latest", title) || !set_link(m, mtable_root(m->nodes), "latest", target + 3))
        return -1;
    return 0;
}

int mount_build(struct mount *m, struct bk_error *err)
{
    int r = mtable_new(&m->nodes, err);
    if (r < 0)
        return r;
    struct mnode *by_name = fixed_child(m, mtable_root(m->nodes), "snapshots");
    struct mnode *ids = fixed_child(m, mtable_root(m->nodes), "ids");
    for (size_t i = 0; i < m->view.catalog.n; i++)
        if (!by_name || !ids || add_snapshot(m, by_name, ids, &m->view.catalog.v[i].snap) < 0)
            return bk_fail_errno(err, ENOMEM, "mount");
    return 0;
}
