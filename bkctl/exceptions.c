#include "bkctl/exceptions.h"

#include "bkctl/command.h"
#include "bkctl/show.h"
#include "bkd/restore/browse.h"

enum {
    RECORD = TREE_PATH_MAX + TREE_DETAIL_MAX + 8192, /* more than one exception takes */
    BUFFER = 4 * RECORD,
};

struct listing {
    struct app *a;
    struct view *v;
    const struct content *content;
    uint64_t at;     /* bytes of the content read */
    uint64_t n;      /* listed */
    uint8_t *buf;    /* BUFFER bytes */
    size_t len, pos; /* in buf; before pos all is listed */
};

static int refill(struct listing *l, struct bk_error *err)
{
    size_t got;
    memmove(l->buf, l->buf + l->pos, l->len - l->pos);
    l->len -= l->pos;
    l->pos = 0;
    int r = browse_read(l->v->reader, 0, l->content, l->at, l->buf + l->len, BUFFER - l->len, &got, err);
    if (r < 0)
        return r;
    l->at += got;
    l->len += got;
    return 0;
}

static void show(struct listing *l, const struct tree_exception *x)
{
    l->n++;
    if (l->a->g.json)
        show_exception(l->a, x);
    else
        show_exception_line(stdout, x);
}

static int list_all(struct listing *l, struct bk_error *err)
{
    for (;;) {
        int r = job_check(&l->a->job, err);
        if (r == 0 && l->len - l->pos < RECORD && l->at < l->content->size)
            r = refill(l, err);
        if (r < 0)
            return r;
        struct bk_reader in = bk_reader_of(l->buf + l->pos, l->len - l->pos);
        struct tree_exception x;
        r = tree_exception_next(&in, &x, err);
        if (r <= 0)
            return r;
        show(l, &x);
        l->pos = (size_t)(in.p - l->buf);
    }
}

int exceptions_list(struct app *a, struct view *v, const struct snapshot *s, struct bk_error *err)
{
    const struct snapshot_stream *st = snapshot_stream_of(s, STREAM_EXCEPTIONS);
    bk_auto(free) uint8_t *buf = malloc(BUFFER);
    if (!buf)
        return bk_fail(err, BK_E_NOMEM, "list the exceptions");
    struct listing l = { .a = a, .v = v, .buf = buf, .content = st ? &st->content : NULL };
    int r = st ? list_all(&l, err) : 0;
    if (r < 0)
        return bk_context(err, "list the exceptions");
    if (l.n < s->n_exceptions)
        ui_log(&a->ui, JOB_WARN, _("only the first exceptions were recorded"));
    return 0;
}
