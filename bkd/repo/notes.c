#include "bkd/repo/notes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int notes_parse(const char *name, uint8_t ret_id[static SESSION_ID], uint32_t *ret_number)
{
    enum { PREFIX = 6, DOT = PREFIX + 2 * SESSION_ID };
    if (strlen(name) != DOT + 1 + 8 || strncmp(name, "notes/", PREFIX) != 0 || name[DOT] != '.')
        return 0;
    char hex[2 * SESSION_ID + 1];
    uint8_t id[SESSION_ID], number[4];
    memcpy(hex, name + PREFIX, 2 * SESSION_ID);
    hex[2 * SESSION_ID] = '\0';
    if (object_unhex(hex, id, SESSION_ID) < 0 || object_unhex(name + DOT + 1, number, 4) < 0)
        return 0;
    memcpy(ret_id, id, SESSION_ID);
    *ret_number =
        (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 | number[3];
    return *ret_number != 0;
}

void notes_path(const uint8_t id[static SESSION_ID], uint32_t number, char out[static REPO_PATH])
{
    char hex[2 * SESSION_ID + 1];
    object_hex(id, SESSION_ID, hex);
    snprintf(out, REPO_PATH, "notes/%s.%08x", hex, number);
}

static int read_note(struct repo *r, const char *name, struct note *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    uint8_t id[SESSION_ID];
    uint32_t number;
    if (!notes_parse(name, id, &number))
        return bk_fail(err, BK_E_CORRUPT, "%s is no name of a note", name);
    int rc = repo_get_record(r, OBJECT_NOTE, name, &payload, err);
    if (rc < 0)
        return rc;
    bk_auto(note_clear) struct note n = { 0 };
    rc = note_decode(payload.data, payload.len, &n, err);
    if (rc < 0)
        return bk_context(err, "%s", name);
    if (n.number != number || memcmp(n.snapshot, id, SESSION_ID) != 0)
        return bk_fail(err, BK_E_CORRUPT, "%s holds the note of another snapshot", name);
    *ret = n;
    n = (struct note){ 0 };
    return 0;
}

/* Nothing readable is left: the tags of the commit, held. */
static int stand_in(struct catalog_item *i, struct bk_error *err)
{
    struct note *n = &i->note;
    memcpy(n->snapshot, i->snap.id, SESSION_ID);
    n->who = strdup("");
    n->reason = strdup("");
    if (!n->who || !n->reason)
        return bk_fail_errno(err, ENOMEM, "load the notes of a snapshot");
    for (size_t t = 0; t < i->snap.tags.n; t++) {
        int r = snapshot_list_add(&n->tags, i->snap.tags.v[t], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int notes_load(struct repo *r, const struct names_item *names, size_t n, catalog_damage_fn *damaged,
               void *ctx, struct catalog_item *i, struct bk_error *err)
{
    uint8_t id[SESSION_ID];
    uint32_t highest = 0, number;
    bool lost = false;
    for (size_t k = n; k-- > 0;) {
        struct bk_error why = { 0 };
        if (!notes_parse(names[k].name, id, &number))
            continue;
        if (!highest)
            highest = number;
        int rc = read_note(r, names[k].name, &i->note, &why);
        if (rc == 0)
            break;
        if (bk_code_aborts(rc)) {
            if (err)
                *err = why;
            return rc;
        }
        lost = true;
        if (damaged)
            damaged(ctx, names[k].name, &why);
    }
    if (!highest)
        return 0;
    if (!i->note.number) {
        int rc = stand_in(i, err);
        if (rc < 0)
            return rc;
    }
    i->note.number = highest;
    if (lost)
        i->note.hold = true;
    return 0;
}
