/* restore_streams: disks and blobs of a snapshot, each to a file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/restore/disk.h"
#include "bkd/source/disks.h"

static bool is_content(const struct snapshot_stream *t)
{
    return t->kind == STREAM_DISK || t->kind == STREAM_BLOB;
}

static bool wanted(const struct restore_streams_opts *o, const struct snapshot_stream *t)
{
    for (size_t i = 0; i < o->n_names; i++)
        if (!strcmp(o->names[i], t->name))
            return is_content(t);
    return !o->n_names && (o->to ? t->kind == STREAM_DISK : is_content(t));
}

static int check_names(const struct snapshot *s, const struct restore_streams_opts *o, struct bk_error *err)
{
    size_t n = 0;
    for (size_t k = 0; k < o->n_names; k++) {
        bool there = false;
        for (size_t i = 0; i < s->n_streams && !there; i++)
            there = is_content(&s->streams[i]) && !strcmp(s->streams[i].name, o->names[k]);
        if (!there)
            return bk_fail(err, BK_E_ABSENT, "the snapshot has no stream '%s'", o->names[k]);
    }
    for (size_t i = 0; i < s->n_streams; i++)
        n += wanted(o, &s->streams[i]);
    if (!n && !o->to)
        return bk_fail(err, BK_E_ABSENT, "the snapshot holds neither disks nor streams");
    if (o->to && n != 1) {
        bk_fail(err, BK_E_USAGE, "one place was given, and it is not clear for which stream");
        return bk_hint(err, "name one of them, or restore all of them below a folder");
    }
    return 0;
}

/* The folders of the path behind its first `from` bytes, each a real one. */
static int make_folders(char *path, size_t from, struct bk_error *err)
{
    for (char *p = path + from; (p = strchr(p, '/')); p++) {
        struct stat st;
        *p = '\0';
        int sys = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
        if (!sys && (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
            sys = ENOTDIR;
        if (sys)
            bk_fail_errno(err, sys, "make the folder %s", path);
        *p = '/';
        if (sys)
            return err->code;
    }
    return 0;
}

/* The place below the folder, whose own folders are there afterwards. */
static int place_below(const struct restore_streams_opts *o, const struct snapshot_stream *t, char **ret,
                       struct bk_error *err)
{
    const char *format = o->format ? o->format : "raw";
    bool disk = t->kind == STREAM_DISK;
    if (!disks_name_fits(t->name) && strcmp(t->name, DISKS_RECORD))
        return bk_fail(err, BK_E_CORRUPT, "the name '%s' leads out of the folder", t->name);
    bk_auto(free) char *path = NULL;
    if (asprintf(&path, "%s/%s%s%s", o->target, t->name, disk ? "." : "",
                 !disk                   ? ""
                 : strcmp(format, "vpc") ? format
                                         : "vhd") < 0) {
        path = NULL;
        return bk_fail_errno(err, ENOMEM, "restore '%s'", t->name);
    }
    if (!o->dry_run) {
        if (mkdir(o->target, 0700) < 0 && errno != EEXIST)
            return bk_fail_errno(err, errno, "make the folder %s", o->target);
        int r = make_folders(path, strlen(o->target) + 1, err);
        if (r < 0)
            return r;
    }
    *ret = bk_steal(path);
    return 0;
}

static int one(struct repo *repo, struct job *j, const struct snapshot_stream *t,
               const struct restore_streams_opts *o, struct restore_report *ret, struct bk_error *err)
{
    bk_auto(free) char *below = NULL;
    int r = o->to ? 0 : place_below(o, t, &below, err);
    struct restore_disk_opts d = { .to = o->to ? o->to : below,
                                   .format =
                                       t->kind == STREAM_DISK && (o->format || o->to) ? o->format : "raw",
                                   .name = t->name,
                                   .overwrite = o->overwrite,
                                   .verify = o->verify,
                                   .dry_run = o->dry_run,
                                   .held = o->held,
                                   .on_problem = o->on_problem,
                                   .ctx = o->ctx };
    return r < 0 ? r : restore_disk(repo, j, &t->content, &d, ret, err);
}

int restore_streams(struct repo *repo, struct job *j, const struct snapshot *s,
                    const struct restore_streams_opts *o, struct restore_report *ret, struct bk_error *err)
{
    int r = check_names(s, o, err);
    for (size_t i = 0; i < s->n_streams && r == 0; i++)
        if (wanted(o, &s->streams[i]))
            r = one(repo, j, &s->streams[i], o, ret, err);
    return r;
}
