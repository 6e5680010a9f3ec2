#include "bkd/backup/run.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include "bkd/backup/program.h"
#include "bkd/life/keep.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_merge.h"
#include "bkd/repo/index_recover.h"

static int64_t now_ns(const struct run *r)
{
    const struct world *w = repo_world(r->repo);
    return w->now_ns(w->ctx);
}

static int copy_text(char **ret, const char *text, struct bk_error *err)
{
    size_t len = strlen(text) < SNAPSHOT_TEXT_MAX ? strlen(text) : SNAPSHOT_TEXT_MAX;
    *ret = malloc(len + 1);
    if (!*ret)
        return bk_fail_errno(err, ENOMEM, "describe the snapshot");
    memcpy(*ret, text, len);
    (*ret)[len] = '\0';
    return 0;
}

static int name_host(struct run *r, struct bk_error *err)
{
    char host[256] = "";
    if (!r->common->host && gethostname(host, sizeof host - 1) < 0)
        return bk_fail_errno(err, errno, "ask for the name of this host");
    return copy_text(&r->snap.host, r->common->host ? r->common->host : host, err);
}

static int name_user(struct run *r, struct bk_error *err)
{
    char buf[4096], number[16];
    struct passwd pw, *found = NULL;
    snprintf(number, sizeof number, "%u", (unsigned)geteuid());
    if (getpwuid_r(geteuid(), &pw, buf, sizeof buf, &found))
        found = NULL;
    return copy_text(&r->snap.user, found ? found->pw_name : number, err);
}

static int describe(struct run *r, const char *what, struct bk_error *err)
{
    struct snapshot *s = &r->snap;
    int e = name_host(r, err);
    if (e == 0)
        e = name_user(r, err);
    if (e == 0)
        e = copy_text(&s->program, PROGRAM_NAME " " PROGRAM_VERSION, err);
    if (e < 0)
        return e;
    bk_auto(free) char *name = NULL;
    if (!r->common->name && asprintf(&name, "%s:%s", s->host, what) < 0) {
        name = NULL;
        return bk_fail_errno(err, ENOMEM, "name the snapshot");
    }
    e = copy_text(&s->name, r->common->name ? r->common->name : name, err);
    for (size_t i = 0; i < r->common->n_tags && e == 0; i++)
        e = snapshot_list_add(&s->tags, r->common->tags[i], err);
    s->start_ns = now_ns(r);
    return e;
}

/* What to compare with. Without a fitting one the run becomes a full. */
static void choose_parent(struct run *r, enum stream_kind compares)
{
    enum snapshot_level level = compares ? r->common->level : LEVEL_FULL;
    if (level == LEVEL_DIFFERENTIAL)
        r->parent = catalog_newest(&r->catalog, r->snap.name, LEVEL_FULL);
    else if (level == LEVEL_INCREMENTAL)
        r->parent = catalog_newest(&r->catalog, r->snap.name, 0);
    if (r->parent && !snapshot_stream_of(&r->parent->snap, compares))
        r->parent = NULL;
    r->snap.level = r->parent ? level : LEVEL_FULL;
    if (r->parent) {
        memcpy(r->snap.parent, r->parent->snap.id, SESSION_ID);
        memcpy(r->snap.base, r->parent->snap.base, SESSION_ID);
    } else if (r->session) {
        memcpy(r->snap.base, session_record(r->session)->id, SESSION_ID);
    }
}

static void report_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct run *r = ctx;
    job_log(r->job, JOB_WARN, "left out '%s': %s", object, why->text);
}

/* Packs that no segment names hold what need not be stored again: other sessions may have left some, and a
 * segment that is damaged or gone leaves all of its own. That costs a listing, and the index is whole after
 * it. */
static int adopt(struct run *r, struct bk_error *err)
{
    uint64_t adopted = 0;
    if (!r->session)
        return 0;
    int e = index_adopt_packs(r->index, r->job, &adopted, err);
    if (e == 0 && adopted)
        job_log(r->job, JOB_INFO,
                BK_COUNTED("%llu pack of earlier runs found again", "%llu packs of earlier runs found again",
                           adopted),
                (unsigned long long)adopted);
    /* A store that keeps what is damaged from being replaced must not keep us from backing up. */
    if (e == BK_E_PERM || e == BK_E_UNSUPPORTED) {
        job_log(r->job, JOB_WARN, "the index stays incomplete: %s", err->text);
        e = 0;
    }
    uint64_t fewer = 0;
    if (e == 0)
        e = index_merge(r->index, r->job, &fewer, err);
    if (e == 0 && fewer)
        job_log(r->job, JOB_DEBUG, "the index has %llu segments fewer", (unsigned long long)fewer);
    return e;
}

static int open_repo(struct run *r, enum stream_kind compares, struct bk_error *err)
{
    int e = catalog_load(r->repo, report_damage, r, &r->catalog, err);
    if (e < 0)
        return e;
    choose_parent(r, compares);
    e = index_open(r->repo, report_damage, r, &r->index, err);
    if (e == 0 && r->session)
        e = index_guard(r->index, session_collection(r->session), err);
    if (e == 0)
        e = adopt(r, err);
    if (e < 0)
        return e;
    index_set_job(r->index, r->job);
    size_t cache =
        r->job->memory_bytes / 8 < ((size_t)64 << 20) ? r->job->memory_bytes / 8 : (size_t)64 << 20;
    if (r->parent ||
        compares == STREAM_DISK) /* a source of disks is told what it said before, also for a full */
        e = reader_new(r->repo, r->index, r->job->n_threads, cache, &r->reader, err);
    return e;
}

/* What the parent has and nobody can read must not be taken for stored. */
static void distrust(void *ctx, const pack_name *pack)
{
    struct run *r = ctx;
    struct bk_error err = { 0 };
    if (writer_distrust(r->writer, pack, &err) < 0)
        job_log(r->job, JOB_WARN, "what a damaged pack held is not stored again: %s", err.text);
}

int run_open(struct run *r, struct repo *repo, struct job *j, const struct backup_common *c, const char *what,
             enum stream_kind compares, struct bk_error *err)
{
    *r = (struct run){ .repo = repo, .job = j, .common = c };
    troubles_init(&r->troubles, c, j);
    int e = describe(r, what, err);
    if (e == 0 && !c->dry_run)
        e = session_open(repo, SESSION_WRITER, "backup", &r->session, err);
    if (e == 0 && r->session) {
        enum collection_state state = session_collection(r->session)->state;
        r->verify = state == COLLECTION_UNDECIDED || state == COLLECTION_UNKNOWN;
    }
    if (e == 0)
        e = open_repo(r, compares, err);
    if (e == 0 && !c->dry_run)
        e = writer_new(repo, r->index, j,
                       &(struct writer_opts){ .n_lanes = j->n_threads,
                                              .level = c->zstd_level,
                                              .memory_bytes = j->memory_bytes / 2 },
                       &r->writer, err);
    if (e == 0 && r->reader && r->writer)
        reader_on_damage(r->reader, distrust, r);
    r->sink = (struct sink){ .w = r->writer, .repo = repo, .index = r->index };
    return e;
}

int run_add_stream(struct run *r, enum stream_kind kind, const char *name, const struct tree_dir *tree,
                   const struct content *content, struct bk_error *err)
{
    struct snapshot *s = &r->snap;
    struct snapshot_stream *v = reallocarray(s->streams, s->n_streams + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "describe the snapshot");
    s->streams = v;
    v[s->n_streams] = (struct snapshot_stream){ .kind = kind };
    int e = copy_text(&v[s->n_streams].name, name, err);
    if (e < 0)
        return e;
    if (tree)
        v[s->n_streams].tree = *tree;
    if (content)
        v[s->n_streams].content = *content;
    s->n_streams++;
    return 0;
}

static int store_troubles(struct run *r, struct bk_error *err)
{
    r->snap.state = r->troubles.total ? STATE_EXCEPTIONS : STATE_COMPLETE;
    r->snap.n_exceptions = r->troubles.total;
    if (!r->troubles.total)
        return 0;
    struct ingest g;
    struct content c = { 0 };
    int e = ingest_open(&g, &r->sink, r->job, NULL, 0, err);
    if (e == 0)
        e = troubles_store(&r->troubles, &g, &c, err);
    ingest_close(&g);
    return e < 0 ? e : run_add_stream(r, STREAM_EXCEPTIONS, "exceptions", NULL, &c, err);
}

int run_commit(struct run *r, struct backup_result *ret, struct bk_error *err)
{
    int e = store_troubles(r, err);
    if (e == 0)
        e = job_check(r->job, err);
    struct keep keep = { 0 };
    if (e == 0 && r->writer)
        e = writer_finish(r->writer, err);
    if (e == 0 && r->session)
        e = keep_needed(r->index, session_collection(r->session), r->job, !r->common->forgetful, &keep, err);
    if (e < 0)
        return e;
    r->snap.new_bytes = atomic_load(&r->sink.dry_new_bytes);
    if (r->writer) {
        struct writer_totals t;
        writer_totals(r->writer, &t);
        r->snap.new_bytes = t.new_bytes;
        r->snap.stored_bytes = t.stored_bytes;
    }
    r->snap.end_ns = now_ns(r);
    if (r->session) {
        e = session_commit(r->session, &r->snap, err);
        if (e < 0)
            return e;
        keep_snapshot(r->repo, r->job, &keep, r->snap.id);
    }
    r->committed = true;
    ret->snap = r->snap;
    r->snap = (struct snapshot){ 0 };
    return 0;
}

void run_close(struct run *r)
{
    if (r->writer && !r->committed) {
        struct bk_error ignored = {
            0
        }; /* the run has failed already; this only saves work for the next one */
        if (writer_abandon(r->writer, &ignored) < 0)
            job_log(r->job, JOB_DEBUG, "stop: %s", ignored.text);
    }
    writer_free(r->writer);
    reader_free(r->reader);
    index_free(r->index);
    session_free(r->session);
    catalog_clear(&r->catalog);
    snapshot_clear(&r->snap);
    troubles_clear(&r->troubles);
}

void backup_result_clear(struct backup_result *r)
{
    snapshot_clear(&r->snap);
}
