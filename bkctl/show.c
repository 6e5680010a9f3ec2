#include "bkctl/show.h"

#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bkctl/command.h"

enum { EXCEPTION_TEXT = 512 }; /* bytes */

json_t *show_record(const char *type)
{
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string(type));
    return o;
}

bool show_is_zero(const uint8_t *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (id[i])
            return false;
    return true;
}

const char *show_short_id(const uint8_t id[static SESSION_ID], char out[static SHOW_ID])
{
    text_hex(id, SESSION_ID, out);
    out[TEXT_ID_SHORT] = '\0';
    return out;
}

static void set_id(json_t *o, const char *key, const uint8_t *id)
{
    char hex[SHOW_ID];
    json_object_set_new(
        o, key, show_is_zero(id, SESSION_ID) ? json_null() : json_string(text_hex(id, SESSION_ID, hex)));
}

static void set_time(json_t *o, const char *key, int64_t ns)
{
    char t[TEXT_TIME];
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        s--;
        rest += 1000000000;
    }
    json_object_set_new(o, key, json_string(text_time_iso(s, (uint32_t)rest, t)));
}

static void set_text(json_t *o, const char *key, const char *s)
{
    text_json_bytes(o, key, s ? s : "", s ? strlen(s) : 0);
}

/* Strings that need not be UTF-8, so each is an object with "text" (and "text_raw"). */
static void set_list(json_t *o, const char *key, const struct snapshot_list *l)
{
    json_t *a = json_array();
    for (size_t i = 0; i < l->n; i++) {
        if (text_is_utf8(l->v[i], strlen(l->v[i]))) {
            json_array_append_new(a, json_string(l->v[i]));
        } else {
            json_t *e = json_object();
            set_text(e, "text", l->v[i]);
            json_array_append_new(a, e);
        }
    }
    json_object_set_new(o, key, a);
}

json_t *show_snapshot_json(const struct snapshot *s, const struct snapshot_list *tags,
                           const struct note *note)
{
    json_t *o = json_object();
    set_id(o, "id", s->id);
    set_text(o, "name", s->name);
    set_text(o, "host", s->host);
    set_text(o, "user", s->user);
    set_text(o, "program", s->program);
    json_object_set_new(o, "sequence", text_json_u64(s->sequence));
    json_object_set_new(o, "level", json_string(snapshot_level_name(s->level)));
    json_object_set_new(o, "state", json_string(snapshot_state_name(s->state)));
    set_time(o, "start", s->start_ns);
    set_time(o, "end", s->end_ns);
    set_id(o, "parent", s->parent);
    set_id(o, "base", s->base);
    json_t *origin = show_is_zero(s->origin_repo, SESSION_ID) ? json_null() : json_object();
    if (json_is_object(origin)) {
        set_id(origin, "repository", s->origin_repo);
        set_id(origin, "snapshot", s->origin);
    }
    json_object_set_new(o, "origin", origin);
    set_list(o, "paths", &s->paths);
    set_list(o, "excludes", &s->excludes);
    set_list(o, "tags", tags ? tags : &s->tags);
    json_object_set_new(o, "hold", json_boolean(note && note->hold));
    if (note && note->hold)
        set_text(o, "hold_reason", note->reason);
    json_object_set_new(o, "files", text_json_u64(s->n_files));
    json_object_set_new(o, "dirs", text_json_u64(s->n_dirs));
    json_object_set_new(o, "others", text_json_u64(s->n_others));
    json_object_set_new(o, "unchanged_files", text_json_u64(s->n_unchanged));
    json_object_set_new(o, "exceptions", text_json_u64(s->n_exceptions));
    json_object_set_new(o, "content_bytes", text_json_u64(s->content_bytes));
    json_object_set_new(o, "read_bytes", text_json_u64(s->read_bytes));
    json_object_set_new(o, "new_bytes", text_json_u64(s->new_bytes));
    json_object_set_new(o, "stored_bytes", text_json_u64(s->stored_bytes));
    json_t *streams = json_array();
    for (size_t i = 0; i < s->n_streams; i++) {
        json_t *t = json_object();
        json_object_set_new(t, "kind", json_string(snapshot_stream_kind_name(s->streams[i].kind)));
        set_text(t, "name", s->streams[i].name);
        if (s->streams[i].kind != STREAM_TREE)
            json_object_set_new(t, "size", text_json_u64(s->streams[i].content.size));
        json_array_append_new(streams, t);
    }
    json_object_set_new(o, "streams", streams);
    return o;
}

static void set_tree_time(json_t *o, const char *key, const struct tree_time *t)
{
    char s[TEXT_TIME];
    json_object_set_new(o, key, json_string(text_time_iso(t->s, t->ns, s)));
}

json_t *show_entry_json(const char *type, const void *path, size_t path_len, const struct tree_entry *e)
{
    json_t *o = show_record(type);
    text_json_bytes(o, "path", path, path_len);
    json_object_set_new(o, "kind", json_string(text_type(e->type)));
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", e->mode & 07777);
    json_object_set_new(o, "mode", json_string(mode));
    json_object_set_new(o, "uid", json_integer(e->uid));
    json_object_set_new(o, "gid", json_integer(e->gid));
    json_object_set_new(o, "links", text_json_u64(e->nlink));
    json_object_set_new(o, "size", text_json_u64(e->type == TREE_FILE ? e->content.size : 0));
    set_tree_time(o, "mtime", &e->mtime);
    if (e->flags & TREE_HAS_BTIME)
        set_tree_time(o, "btime", &e->btime);
    if (e->type == TREE_SYMLINK)
        text_json_bytes(o, "target", e->link, e->link_len);
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK) {
        json_object_set_new(o, "major", json_integer(e->rdev_major));
        json_object_set_new(o, "minor", json_integer(e->rdev_minor));
    }
    return o;
}

void show_entry_long(FILE *f, const void *path, size_t path_len, const struct tree_entry *e)
{
    char mode[TEXT_MODE], when[TEXT_TIME], size[TEXT_SIZE];
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK)
        snprintf(size, sizeof size, "%u, %u", e->rdev_major, e->rdev_minor);
    else
        snprintf(size, sizeof size, "%" PRIu64, e->type == TREE_FILE ? e->content.size : 0);
    fprintf(f, "%s %6u %6u %14s %s ", text_mode(e, mode), e->uid, e->gid, size, text_time(e->mtime.s, when));
    text_path_put(f, path, path_len);
    if (e->type == TREE_SYMLINK) {
        fputs(" -> ", f);
        text_path_put(f, e->link, e->link_len);
    }
    fputc('\n', f);
}

const char *show_level(enum snapshot_level l)
{
    return l == LEVEL_FULL           ? _("full")
           : l == LEVEL_DIFFERENTIAL ? _("differential")
           : l == LEVEL_INCREMENTAL  ? _("incremental")
                                     : _("unknown");
}

const char *show_state(enum snapshot_state s)
{
    return s == STATE_COMPLETE     ? _("complete")
           : s == STATE_EXCEPTIONS ? _("with exceptions")
           : s == STATE_INCOMPLETE ? _("incomplete")
                                   : _("unknown");
}

/* The detail is a message id of the program that made the snapshot, or what another library said. */
static const char *detail_text(const struct tree_exception *x, char *buf, size_t len)
{
    char raw[256];
    snprintf(raw, sizeof raw, "%.*s", (int)(x->detail_len < sizeof raw ? x->detail_len : sizeof raw - 1),
             (const char *)x->detail);
    const char *text = bk_text(raw);
    return text_path(text, strlen(text), buf, len);
}

static void exception_text(const struct tree_exception *x, char text[static EXCEPTION_TEXT])
{
    char detail[256];
    int n = snprintf(text, EXCEPTION_TEXT, "%s", _(tree_trouble_text(x->trouble)));
    if (x->detail_len && n > 0 && n < EXCEPTION_TEXT)
        n += snprintf(text + n, EXCEPTION_TEXT - (size_t)n, _(": %s"), detail_text(x, detail, sizeof detail));
    if (x->sys && n > 0 && n < EXCEPTION_TEXT)
        snprintf(text + n, EXCEPTION_TEXT - (size_t)n, _(": %s"),
                 bk_errno_text((int)x->sys, detail, sizeof detail));
}

void show_exception(void *ctx, const struct tree_exception *x)
{
    struct app *a = ctx;
    char text[EXCEPTION_TEXT];
    exception_text(x, text);
    static const char *const codes[] = { "",        "unreadable", "vanished", "changed",
                                         "partial", "metadata",   "skipped" };
    size_t t = (size_t)x->trouble;
    ui_problem(&a->ui, "exception", x->path, x->path_len, t < BK_COUNT(codes) ? codes[t] : "", text);
}

void show_exception_line(FILE *f, const struct tree_exception *x)
{
    char text[EXCEPTION_TEXT];
    exception_text(x, text);
    text_path_put(f, x->path, x->path_len);
    fprintf(f, _(": %s\n"), text);
}

static void print_backup(const struct snapshot *s, bool dry_run)
{
    char id[SHOW_ID], b1[TEXT_SIZE], b2[TEXT_SIZE], b3[TEXT_SIZE], b4[TEXT_SIZE], t[TEXT_SIZE], name[512];
    text_path(s->name ? s->name : "", s->name ? strlen(s->name) : 0, name, sizeof name);
    if (dry_run)
        printf(_("dry run of %s (%s): nothing was stored\n"), name, show_level(s->level));
    else
        printf(_("snapshot %s of %s (%s)\n"), show_short_id(s->id, id), name, show_level(s->level));
    char files[TEXT_COUNT], dirs[TEXT_COUNT], others[TEXT_COUNT], same[TEXT_COUNT];
    unsigned long long n_disks = 0;
    for (size_t i = 0; i < s->n_streams; i++)
        n_disks += s->streams[i].kind == STREAM_DISK;
    if (n_disks)
        printf(ngettext("  %llu disk, %s\n", "  %llu disks, %s\n", n_disks), n_disks,
               text_bytes(s->content_bytes, b1));
    else
        printf(_("  %s, %s, %s, %s; %s\n"), TEXT_FILES(files, s->n_files), TEXT_DIRS(dirs, s->n_dirs),
               TEXT_OTHERS(others, s->n_others), text_bytes(s->content_bytes, b1),
               TEXT_COUNTED(same, "%llu file unchanged", "%llu files unchanged", s->n_unchanged));
    printf(_("  read %s, new %s, stored %s in %s\n"), text_bytes(s->read_bytes, b2),
           text_bytes(s->new_bytes, b3), text_bytes(s->stored_bytes, b4),
           text_seconds((double)(s->end_ns - s->start_ns) / 1e9, t));
}

void show_snapshot(const struct snapshot *s)
{
    print_backup(s, false);
    if (!show_is_zero(s->origin_repo, SESSION_ID)) {
        char repo[SHOW_ID], id[SHOW_ID];
        printf(_("  a copy of %s of repository %s\n"), text_hex(s->origin, SESSION_ID, id),
               text_hex(s->origin_repo, SESSION_ID, repo));
    }
    if (s->n_exceptions)
        printf(ngettext("  %llu exception\n", "  %llu exceptions\n", (unsigned long)s->n_exceptions),
               (unsigned long long)s->n_exceptions);
}

int show_backup_result(struct app *a, const struct snapshot *s, bool dry_run)
{
    if (a->g.json) {
        json_t *o = show_record("result");
        json_object_set_new(o, "dry_run", json_boolean(dry_run));
        json_object_set_new(o, "seconds", json_real(ui_seconds(&a->ui)));
        json_object_set_new(o, "snapshot", show_snapshot_json(s, NULL, NULL));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        print_backup(s, dry_run);
        if (s->n_exceptions)
            printf(ngettext("  %llu exception: see the warnings\n", "  %llu exceptions: see the warnings\n",
                            (unsigned long)s->n_exceptions),
                   (unsigned long long)s->n_exceptions);
    }
    return s->state == STATE_EXCEPTIONS || s->n_exceptions ? BK_E_EXCEPTIONS : 0;
}
