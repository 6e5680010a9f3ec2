#include "bkctl/copy_status.h"

#include <string.h>

#include "bkctl/command.h"
#include "bkctl/show.h"

/* The snapshots of one name, as they come. */
struct series {
    const char *name;
    const struct snapshot *newest, *newest_copied;
    uint64_t n, copied, behind; /* behind: newer than the newest that is copied */
};

static bool is_sound_copy(const struct copy *c, const struct catalog_item *i)
{
    const struct snapshot *t = copy_there(c, i);
    return t && !copy_is_damaged(t, &i->snap);
}

static struct series *series_of(struct series *v, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (!strcmp(v[i].name, name))
            return &v[i];
    v[*n] = (struct series){ .name = name };
    return &v[(*n)++];
}

static size_t gather(const struct copy *c, const bool *chosen, struct series *v)
{
    size_t n = 0;
    for (size_t i = 0; i < copy_source(c)->n; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        if (!chosen[i])
            continue;
        struct series *s = series_of(v, &n, it->snap.name);
        s->n++;
        s->behind++;
        s->newest = &it->snap;
        if (is_sound_copy(c, it)) {
            s->copied++;
            s->behind = 0;
            s->newest_copied = &it->snap;
        }
    }
    return n;
}

static int64_t seconds_behind(const struct series *s)
{
    if (!s->newest_copied)
        return -1;
    int64_t ns;
    if (__builtin_sub_overflow(s->newest->start_ns, s->newest_copied->start_ns, &ns) || ns < 0)
        return 0;
    return ns / 1000000000;
}

static void set_start(json_t *o, const char *key, const struct snapshot *s)
{
    char t[TEXT_TIME];
    json_object_set_new(o, key, s ? json_string(text_time_iso(s->start_ns / 1000000000, 0, t)) : json_null());
}

static void emit(struct app *a, const struct copy *c, const bool *chosen, const struct series *v, size_t n)
{
    char id[SHOW_ID];
    for (size_t i = 0; i < copy_source(c)->n; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        const struct snapshot *t = copy_there(c, it);
        if (!chosen[i])
            continue;
        json_t *o = show_record("copy");
        json_object_set_new(o, "snapshot", json_string(text_hex(it->snap.id, SESSION_ID, id)));
        text_json_bytes(o, "name", it->snap.name, strlen(it->snap.name));
        set_start(o, "start", &it->snap);
        json_object_set_new(o, "copy", t ? json_string(text_hex(t->id, SESSION_ID, id)) : json_null());
        json_object_set_new(o, "damaged", json_boolean(t && copy_is_damaged(t, &it->snap)));
        ui_emit(&a->ui, o);
    }
    json_t *list = json_array(), *o = show_record("status");
    for (size_t i = 0; i < n; i++) {
        json_t *e = json_object();
        text_json_bytes(e, "name", v[i].name, strlen(v[i].name));
        json_object_set_new(e, "snapshots", text_json_u64(v[i].n));
        json_object_set_new(e, "copied", text_json_u64(v[i].copied));
        json_object_set_new(e, "behind", text_json_u64(v[i].behind));
        set_start(e, "newest", v[i].newest);
        set_start(e, "newest_copied", v[i].newest_copied);
        int64_t s = seconds_behind(&v[i]);
        json_object_set_new(e, "behind_seconds", s < 0 ? json_null() : text_json_u64((uint64_t)s));
        json_array_append_new(list, e);
    }
    json_object_set_new(o, "names", list);
    ui_emit(&a->ui, o);
}

static int print_snapshots(const struct copy *c, const bool *chosen, struct bk_error *err)
{
    bk_auto(table_clear) struct table t;
    table_init(&t, 4, 0);
    const char *const heads[] = { _("Id"), _("Time"), _("Copy"), _("Name") };
    for (size_t i = 0; i < BK_COUNT(heads); i++)
        table_cell(&t, "%s", heads[i]);
    for (size_t i = 0; i < copy_source(c)->n; i++) {
        const struct catalog_item *it = &copy_source(c)->v[i];
        const struct snapshot *there = copy_there(c, it);
        char id[SHOW_ID], copy[SHOW_ID], when[TEXT_TIME], name[512];
        if (!chosen[i])
            continue;
        table_cell(&t, "%s", show_short_id(it->snap.id, id));
        table_cell(&t, "%s", text_time(it->snap.start_ns / 1000000000, when));
        if (there)
            table_cell(&t, "%s%s", show_short_id(there->id, copy),
                       copy_is_damaged(there, &it->snap) ? _(", damaged") : "");
        else
            table_cell(&t, "%s", _("none"));
        table_cell(&t, "%s", text_path(it->snap.name, strlen(it->snap.name), name, sizeof name));
    }
    return table_print(&t, stdout, err);
}

static void print_series(const struct series *s, const char *url)
{
    char name[512], ago[TEXT_SIZE], many[TEXT_COUNT];
    text_path(s->name, strlen(s->name), name, sizeof name);
    TEXT_COUNTED(many, "%llu snapshot", "%llu snapshots", s->behind);
    if (!s->newest_copied)
        printf(_("%s: no copy in %s; %s there are\n"), name, url, many);
    else if (!s->behind)
        printf(_("%s: up to date in %s (%llu of %llu copied)\n"), name, url, (unsigned long long)s->copied,
               (unsigned long long)s->n);
    else
        printf(_("%s: %s is behind by %s, %s (%llu of %llu copied)\n"), name, url, many,
               text_seconds((double)seconds_behind(s), ago), (unsigned long long)s->copied,
               (unsigned long long)s->n);
}

int copy_status(struct app *a, const struct copy *c, const bool *chosen, const char *url,
                struct bk_error *err)
{
    bk_auto(free) struct series *v = calloc(copy_source(c)->n + 1, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "list the copies");
    size_t n = gather(c, chosen, v);
    if (a->g.json) {
        emit(a, c, chosen, v, n);
        return 0;
    }
    if (!n) {
        puts(_("no snapshots"));
        return 0;
    }
    int r = print_snapshots(c, chosen, err);
    for (size_t i = 0; i < n && r == 0; i++)
        print_series(&v[i], url);
    return r;
}
