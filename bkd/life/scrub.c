#include "bkd/life/scrub.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/job/folder.h"
#include "bkd/life/scrub_state.h"
#include "bkd/repo/copies.h"

enum { SAVE_EVERY_S = 60 };

struct scrub {
    struct store *store;
    const struct world *world;
    struct job *job;
    const struct scrub_opts *opts;
    struct scrub_report *rep;
    struct names list;
    struct scrub_item *v;    /* owned; by name */
    struct scrub_item **due; /* owned; what was read longest ago first */
    size_t n;
    int64_t start_s, saved_s;
    /* of the object at hand */
    unsigned copies, sound;
};

static int64_t now_s(const struct scrub *s)
{
    return s->world->now_ns(s->world->ctx) / 1000000000;
}

static int by_due(const void *a, const void *b)
{
    const struct scrub_item *x = *(struct scrub_item *const *)a, *y = *(struct scrub_item *const *)b;
    if (x->read_s != y->read_s)
        return x->read_s < y->read_s ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int gather(struct scrub *s, struct bk_error *err)
{
    int r = names_list(s->store, "", SIZE_MAX, &s->list, err);
    if (r < 0)
        return r;
    s->v = calloc(s->list.n + 1, sizeof *s->v);
    s->due = calloc(s->list.n + 1, sizeof(struct scrub_item *));
    if (!s->v || !s->due)
        return bk_fail_errno(err, ENOMEM, "scrub %zu objects", s->list.n);
    for (size_t i = 0; i < s->list.n; i++) {
        const struct names_item *it = &s->list.v[i];
        if (strncmp(it->name, "sessions/", strlen("sessions/")) == 0)
            continue; /* they come and go */
        s->v[s->n] = (struct scrub_item){ .name = it->name, .size = it->size };
        s->due[s->n] = &s->v[s->n];
        s->rep->bytes += it->size;
        s->n++;
    }
    s->rep->n_objects = s->n;
    r = s->opts->state ? scrub_state_load(s->opts->state, s->v, s->n, err) : 0;
    if (s->n)
        qsort(s->due, s->n, sizeof *s->due, by_due);
    return r;
}

static void see_copy(void *ctx, const struct store_copy *c)
{
    struct scrub *s = ctx;
    s->copies++;
    s->rep->read_bytes += c->bytes;
    s->job->read_bytes += c->bytes;
    switch (c->state) {
    case STORE_COPY_SOUND:
        s->sound++;
        return;
    case STORE_COPY_REPAIRED:
        s->rep->n_repaired++;
        s->sound++;
        break;
    case STORE_COPY_BAD:
        s->rep->n_bad++;
        break;
    case STORE_COPY_UNKNOWN:
        s->rep->n_unknown++;
        break;
    case STORE_COPY_UNREACHABLE:
        s->rep->n_unreachable++;
        break;
    }
    if (s->opts->copy)
        s->opts->copy(s->opts->ctx, c);
}

/* Where there is one copy: nothing heals it, and it is told. */
static int verify_only(struct scrub *s, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct bk_error why = { 0 };
    struct store_copy c = { .object = name, .store = s->store->url, .state = STORE_COPY_SOUND, .why = "" };
    int r = store_get_sound(s->store, name, &b, &why);
    if (r < 0 && r != BK_E_CORRUPT && r != BK_E_VERSION && r != BK_E_UNSUPPORTED) {
        if (err)
            *err = why;
        return r;
    }
    c.bytes = b.len;
    if (r < 0) {
        c.state = r == BK_E_CORRUPT ? STORE_COPY_BAD : STORE_COPY_UNKNOWN;
        c.why = why.text;
    }
    see_copy(s, &c);
    return 0;
}

/* One object, all copies. */
static int look(struct scrub *s, struct scrub_item *it, struct bk_error *err)
{
    struct store_heal how = { .copy = see_copy, .ctx = s, .fill = s->opts->fill };
    s->copies = s->sound = 0;
    job_set_path(s->job, it->name, strlen(it->name));
    int r = store_heal(s->store, it->name, &how, err);
    if (r == BK_E_UNSUPPORTED && s->copies == 0)
        r = verify_only(s, it->name, err);
    if (r == BK_E_ABSENT || r == BK_E_CORRUPT || r == BK_E_VERSION || r == BK_E_UNSUPPORTED)
        r = 0; /* gone since it was listed; or told, copy by copy */
    if (r < 0)
        return r;
    if (s->copies > s->rep->n_copies)
        s->rep->n_copies = s->copies;
    s->job->done_bytes += it->size;
    s->job->done_items++;
    it->read_s = now_s(s);
    if (s->copies > 0 && s->sound == s->copies) {
        it->verified_s = it->read_s;
        s->rep->n_verified++;
    }
    return 0;
}

static int save(struct scrub *s, struct bk_error *err)
{
    s->saved_s = now_s(s);
    return s->opts->state ? scrub_state_save(s->opts->state, s->v, s->n, err) : 0;
}

static bool enough(const struct scrub *s)
{
    const struct scrub_opts *o = s->opts;
    return (o->max_bytes && s->rep->read_bytes >= o->max_bytes) ||
           (o->max_seconds && now_s(s) - s->start_s >= (int64_t)o->max_seconds);
}

static int go_round(struct scrub *s, struct bk_error *err)
{
    size_t i = 0;
    int r = 0;
    s->job->total_bytes = s->rep->bytes;
    s->job->total_items = s->n;
    for (; r == 0 && i < s->n && !enough(s); i++) {
        r = job_check(s->job, err);
        if (r == 0)
            r = look(s, s->due[i], err);
        if (r == 0 && now_s(s) - s->saved_s >= SAVE_EVERY_S)
            r = save(s, err);
    }
    s->rep->all = r == 0 && i == s->n;
    struct bk_error why = { 0 };
    int e = save(s, &why);
    if (e < 0 && r == 0) {
        if (err)
            *err = why;
        r = e;
    }
    return r;
}

static void summarise(struct scrub *s)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        if (!s->v[i].verified_s)
            continue;
        s->rep->n_fresh++;
        s->rep->fresh_bytes += s->v[i].size;
        oldest = s->v[i].verified_s < oldest ? s->v[i].verified_s : oldest;
    }
    s->rep->oldest_s = s->rep->n_fresh ? now_s(s) - oldest : -1;
}

int scrub_run(struct store *store, const struct world *w, struct job *j, const struct scrub_opts *o,
              struct scrub_report *ret, struct bk_error *err)
{
    struct scrub s = { .store = store, .world = w, .job = j, .opts = o, .rep = ret };
    *ret = (struct scrub_report){ .oldest_s = -1 };
    s.start_s = s.saved_s = now_s(&s);
    int r = o->state ? folder_make_above(o->state, 0700, err) : 0;
    if (r == 0)
        r = gather(&s, err);
    if (r == 0)
        r = go_round(&s, err);
    summarise(&s);
    names_clear(&s.list);
    free(s.v);
    free(s.due);
    return r < 0 ? bk_context(err, "scrub %s", store->url) : 0;
}

int scrub_state_path(struct store *s, char *out, size_t cap, struct bk_error *err)
{
    struct config c;
    uint8_t digest[SUITE_HASH];
    char home[PATH_MAX], hex[2 * SUITE_HASH + 1];
    int r = copies_config(s, &c, digest, err);
    if (r < 0)
        return bk_context(err, "read the config of %s", s->url);
    if (!folder_home("XDG_STATE_HOME", ".local/state", home, sizeof home))
        return bk_fail(err, BK_E_ABSENT, "neither XDG_STATE_HOME nor HOME is set");
    object_hex(digest, SUITE_HASH / 2, hex);
    if ((size_t)snprintf(out, cap, "%s/%s/scrub", home, hex) >= cap)
        return bk_fail(err, BK_E_LIMIT, "the path below %s is too long", home);
    return 0;
}

double scrub_annual_loss(unsigned n_copies, double rate, double window_years)
{
    double loss = (n_copies ? n_copies : 1) * rate;
    for (unsigned k = 1; k < n_copies; k++)
        loss *= rate * window_years;
    return loss < 1 ? loss : 1;
}

double scrub_window_for(unsigned n_copies, double rate, double target)
{
    if (n_copies < 2 || rate <= 0)
        return 0;
    return pow(target / (n_copies * rate), 1.0 / (n_copies - 1)) / rate;
}
