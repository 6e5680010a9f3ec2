/* backup_stream: what a command writes becomes a blob. */
#include <errno.h>

#include "bkd/job/child.h"
#include "bkd/backup/run.h"

static int read_all(struct run *run, struct child *c, struct ingest *g, struct content *ret,
                    struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces p = { 0 };
    bk_auto(free) uint8_t *buf = malloc(INGEST_READ);
    if (!buf)
        return bk_fail_errno(err, ENOMEM, "read a stream");
    for (;;) {
        size_t n = 0;
        int r = child_read(c, run->job, buf, INGEST_READ, &n, err);
        if (r == 0 && !n)
            break;
        if (r == 0)
            r = ingest_feed(g, buf, n, &p, err);
        if (r < 0)
            return r;
    }
    int r = ingest_flush(g, &p, err);
    return r < 0 ? r : pieces_join(&p, g->sink, g->lane, ret, err);
}

int backup_stream(struct repo *repo, struct job *j, const struct backup_common *c, const char *stream,
                  const char *const *argv, struct backup_result *ret, struct bk_error *err)
{
    if (!stream || !*stream)
        return bk_fail(err, BK_E_USAGE, "a stream needs a name");
    bk_auto(run_close) struct run run;
    int r = run_open(&run, repo, j, c, stream, 0, err);
    if (r < 0)
        return r;
    bk_auto(child_free) struct child *child = NULL;
    struct job_rate rate;
    job_rate_init(&rate, j->limit_read);
    struct ingest g;
    struct content content = { 0 };
    r = ingest_open(&g, &run.sink, j, j->limit_read ? &rate : NULL, 0, err);
    if (r == 0)
        r = child_start(argv, &child, err);
    if (r == 0)
        r = read_all(&run, child, &g, &content, err);
    if (r == 0)
        r = child_finish(child, j, err);
    run.snap.read_bytes = g.read_bytes;
    ingest_close(&g);
    if (r < 0)
        return bk_context(err, "stream '%s'", stream);
    run.snap.content_bytes = content.size;
    r = run_add_stream(&run, STREAM_BLOB, stream, NULL, &content, err);
    return r < 0 ? r : run_commit(&run, ret, err);
}
