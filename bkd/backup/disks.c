/* backup_disks: the story of a backup of disks. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "bkd/backup/disk_run.h"
#include "bkd/backup/old.h"

static const struct snapshot_stream *stream_named(const struct snapshot *s, enum stream_kind kind,
                                                  const char *name)
{
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].kind == kind && !strcmp(s->streams[i].name, name))
            return &s->streams[i];
    return NULL;
}

/* ---- what the source said last time ---- */

static int append_extents(struct run *run, const struct extents *x, struct bk_buf *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf chunk = BK_BUF(CHUNK_MAX);
    int r = 0;
    for (size_t i = 0; i < x->n && r == 0; i++) {
        const struct extent *e = &x->v[i];
        uint8_t *to;
        if (e->kind != EXTENT_DATA) {
            r = bk_buf_extend(ret, e->len, &to, err);
            if (r == 0)
                memset(to, 0, e->len);
            continue;
        }
        r = reader_chunk(run->reader, 0, CHUNK_DATA, &e->id, &chunk, err);
        if (r == 0 && (e->off > chunk.len || e->len > chunk.len - e->off))
            r = bk_fail(err, BK_E_CORRUPT, "an extent reaches past the end of its chunk");
        if (r == 0)
            r = bk_buf_append(ret, chunk.data + e->off, e->len, err);
    }
    return r;
}

/* What the source said in the newest snapshot of the name, in an increment in the one that is compared with.
 * A text that cannot be read is none: the source then reads everything. */
static int read_past(struct run *run, struct bk_buf *ret, struct bk_error *err)
{
    const struct catalog_item *last =
        run->parent ? run->parent : catalog_newest(&run->catalog, run->snap.name, 0);
    const struct snapshot_stream *t = last ? stream_named(&last->snap, STREAM_BLOB, DISKS_SOURCE) : NULL;
    bk_auto(leaves_close) struct leaves l = { 0 };
    bk_auto(extents_clear) struct extents x = { 0 };
    if (!t || t->content.size > DISKS_TEXT_MAX)
        return 0;
    struct bk_error why = { 0 };
    int r = leaves_open(run->reader, 0, &t->content, &l, &why);
    if (r == 0)
        r = leaves_extents(run->reader, 0, &l, 0, t->content.size, &x, &why);
    if (r == 0)
        r = append_extents(run, &x, ret, &why);
    if (r < 0 && !reader_is_damage(r)) {
        *err = why;
        return r;
    }
    if (r < 0) {
        job_log(run->job, JOB_WARN, "what the parent says of its source cannot be read: %s", why.text);
        ret->len = 0;
    }
    return 0;
}

/* Of the repository and the name, so that neither another repository nor another name gives the same. */
static int name_series(struct run *run, char out[static DISKS_SERIES + 1], struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf text = BK_BUF(SIZE_MAX);
    uint8_t hash[EVP_MAX_MD_SIZE];
    int r = bk_buf_append(&text, repo_config(run->repo)->repo_id, CONFIG_REPO_ID, err);
    if (r == 0)
        r = bk_buf_append(&text, run->snap.name, strlen(run->snap.name), err);
    if (r < 0)
        return r;
    if (EVP_Digest(text.data, text.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return bk_fail(err, BK_E_FAILED, "name the series of snapshots");
    for (size_t i = 0; i < DISKS_SERIES / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    return 0;
}

/* ---- one disk ---- */

static void note(json_t *list, const struct disks_item *d, bool changes_only, const char *reason,
                 const struct disk_report *first, const struct disk_report *last)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(d->name));
    json_object_set_new(o, "bytes", json_integer((json_int_t)d->disk->size));
    json_object_set_new(o, "read", json_string(changes_only ? "changes" : "all"));
    if (reason)
        json_object_set_new(o, "reason", json_string(reason));
    json_object_set_new(o, "read_bytes", json_integer((json_int_t)(first->read_bytes + last->read_bytes)));
    json_object_set_new(o, "audited_blocks", json_integer((json_int_t)first->n_audited));
    json_object_set_new(o, "audit_mismatches", json_integer((json_int_t)first->n_lies));
    json_array_append_new(list, o);
}

/* May what is clean be taken from the parent? The reason if not, or NULL. */
static int may_keep(struct run *run, const struct disks_item *d, const struct content **ret,
                    const char **ret_reason, struct bk_error *err)
{
    const struct snapshot_stream *t =
        run->parent ? stream_named(&run->parent->snap, STREAM_DISK, d->name) : NULL;
    *ret = NULL;
    *ret_reason = run->parent ? d->reason : NULL;
    if (!run->parent || !d->disk->tracked || d->reason)
        return 0;
    if (!t || t->content.size != d->disk->size) {
        *ret_reason = t ? N_("its size changed") : N_("the parent snapshot does not have it");
        return 0;
    }
    int holds = run->verify ? old_content_holds(run->reader, 0, &t->content, err) : 1;
    if (holds < 0)
        return holds;
    if (!holds)
        *ret_reason = N_("a collection may take what the parent uses");
    else
        *ret = &t->content;
    return 0;
}

static int one_disk(struct run *run, const struct disks_item *d, unsigned audit_ppm, json_t *list,
                    struct bk_error *err)
{
    const struct content *old;
    const char *reason;
    struct content content = { 0 };
    struct disk_report first = { 0 }, again = { 0 };
    bool lied = false;
    job_set_path(run->job, d->name, strlen(d->name));
    int r = may_keep(run, d, &old, &reason, err);
    if (r < 0)
        return r;
    struct bk_error why = { 0 };
    r = disk_run(run, d->disk, old, audit_ppm, &content, &first, &lied, &why);
    if (old && ((r == 0 && lied) || (r < 0 && first.parent_failed))) {
        reason = lied ? N_("its change tracking lies") : N_("the parent snapshot is damaged");
        job_log(run->job, JOB_WARN, "all of disk '%s' is read: %s", d->name, bk_text(reason));
        old = NULL;
        why = (struct bk_error){ 0 };
        r = disk_run(run, d->disk, NULL, 0, &content, &again, &lied, &why);
    }
    if (r < 0) {
        *err = why;
        return bk_context(err, "disk '%s'", d->name);
    }
    note(list, d, old, reason, &first, &again);
    run->snap.read_bytes += first.read_bytes + again.read_bytes;
    run->snap.content_bytes += content.size;
    return run_add_stream(run, STREAM_DISK, d->name, NULL, &content, err);
}

/* ---- texts ---- */

static int add_text(struct run *run, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct ingest g;
    bk_auto(pieces_clear) struct pieces p = { 0 };
    struct content c = { 0 };
    int r = ingest_open(&g, &run->sink, run->job, NULL, 0, err);
    if (r == 0)
        r = ingest_feed(&g, data, len, &p, err);
    if (r == 0)
        r = ingest_flush(&g, &p, err);
    if (r == 0)
        r = pieces_join(&p, &run->sink, 0, &c, err);
    ingest_close(&g);
    return r < 0 ? r : run_add_stream(run, STREAM_BLOB, name, NULL, &c, err);
}

static int add_record(struct run *run, json_t *list, struct bk_error *err)
{
    bk_auto(free) char *text = NULL;
    json_t *o = json_object();
    if (o && json_object_set_new(o, "version", json_integer(1)) == 0 &&
        json_object_set(o, "disks", list) == 0)
        text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        return bk_fail_errno(err, ENOMEM, "describe the disks");
    return add_text(run, DISKS_RECORD, text, strlen(text), err);
}

static int read_disks(struct run *run, const struct backup_disks *b, struct bk_error *err)
{
    struct disks *s = b->source;
    json_t *list = json_array();
    int r = list ? 0 : bk_fail_errno(err, ENOMEM, "describe the disks");
    for (size_t i = 0; i < s->n && r == 0; i++)
        r = one_disk(run, &s->v[i], b->audit_ppm, list, err);
    for (size_t i = 0; i < s->n_texts && r == 0; i++)
        r = add_text(run, s->texts[i].name, s->texts[i].data, s->texts[i].len, err);
    if (r == 0)
        r = add_record(run, list, err);
    json_decref(list);
    return r;
}

/* ---- the story ---- */

/* The operands, and as a name all of them with commas. */
static int describe(const struct backup_disks *b, struct snapshot_list *ret, struct bk_buf *name,
                    struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < b->n_operands && r == 0; i++) {
        r = snapshot_list_add(ret, b->operands[i], err);
        if (r == 0 && i)
            r = bk_buf_append(name, ",", 1, err);
        if (r == 0)
            r = bk_buf_append(name, b->operands[i], strlen(b->operands[i]), err);
    }
    return r < 0 ? r : bk_buf_u8(name, 0, err);
}

int backup_disks(struct repo *repo, struct job *j, const struct backup_common *c,
                 const struct backup_disks *b, struct backup_result *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf name = BK_BUF(SIZE_MAX), past = BK_BUF(DISKS_TEXT_MAX);
    bk_auto(snapshot_clear) struct snapshot asked = { 0 }; /* only its paths are used */
    int r = describe(b, &asked.paths, &name, err);
    if (r < 0)
        return r;
    bk_auto(run_close) struct run run;
    r = run_open(&run, repo, j, c, (const char *)name.data, STREAM_DISK, err);
    if (r < 0)
        return r;
    run.snap.paths = asked.paths;
    asked.paths = (struct snapshot_list){ 0 };
    struct disks_past then = { .compared = run.parent };
    r = read_past(&run, &past, err);
    if (r == 0)
        r = name_series(&run, then.series, err);
    then.source = past.len ? past.data : NULL;
    then.source_len = past.len;
    if (r == 0)
        r = disks_begin(b->source, j, &then, err);
    if (r < 0)
        return r;
    r = read_disks(&run, b, err);
    if (r == 0)
        r = disks_check(b->source, j, err);
    if (r == 0)
        r = run_commit(&run, ret, err);
    struct bk_error late = { 0 };
    if (disks_end(b->source, j, r == 0 && !c->dry_run, &late) < 0)
        job_log(j, JOB_WARN, "the source is not as it was: %s", late.text);
    return r;
}
