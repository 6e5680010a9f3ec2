#include "bkd/repo/index_recover.h"

#include "bkd/repo/index_adopt.h"
#include "bkd/repo/index_inside.h"

void index_recovery_init(struct index_recovery *v)
{
    pthread_mutex_init(&v->lock, NULL);
}

void index_recovery_clear(struct index_recovery *v)
{
    pthread_mutex_destroy(&v->lock);
}

void index_set_job(struct index *x, struct job *j)
{
    index_recovery(x)->job = j;
}

void index_recovery_puts(struct index *x)
{
    index_recovery(x)->puts = true;
}

/* A page is looked at when it is needed. To know which segments count, all are needed. */
static int verify(struct index *x, struct job *j, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    struct index_segment *s;
    for (size_t i = 0; (s = index_segment_at(x, i)) != NULL; i++)
        for (uint32_t p = 0; p < s->seg.n_pages && !atomic_load(&s->damaged); p++) {
            struct bk_error why = { 0 };
            int r = index_segment_page(s, p, data, &why);
            if (r < 0 && !bk_code_aborts(r))
                job_log(j, JOB_WARN, "index segment '%s': %s: its packs are read instead", s->object,
                        why.text);
            else if (r < 0)
                return bk_fail(err, r, "%s", why.text);
            if (p % 1024 == 0 && (r = job_check(j, err)) < 0)
                return r;
        }
    return 0;
}

static int adopt(struct index *x, struct job *j, enum index_ask ask, uint64_t *ret_packs,
                 struct bk_error *err)
{
    struct index_recovery *v = index_recovery(x);
    struct bk_error why = { 0 };
    int r = index_adopt(x, j, ask, v->puts ? index_put_segment : index_keep_segment, ret_packs, &why);
    if (v->puts && (r == BK_E_PERM || r == BK_E_UNSUPPORTED || r == BK_E_COPIES || r == BK_E_NOSPACE)) {
        why = (struct bk_error){ 0 };
        r = index_adopt(x, j, ask, index_keep_segment, ret_packs, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

/* Under the recovery's lock. */
static int recover(struct index *x, struct job *j, enum index_ask ask, uint64_t *ret_packs,
                   struct bk_error *err)
{
    struct index_recovery *v = index_recovery(x);
    uint64_t n = 0;
    int r = atomic_load(&v->asked) == INDEX_ASK_NONE ? verify(x, j, err) : 0;
    for (int next = atomic_load(&v->asked) + 1; r == 0 && next <= (int)ask; next++) {
        uint64_t more = 0;
        r = adopt(x, j, (enum index_ask)next, &more, err);
        if (r == 0)
            atomic_store(&v->asked, next);
        n += more;
    }
    if (r < 0)
        return bk_context(err, "recover the index");
    if (n)
        job_log(j, JOB_INFO, "the index was incomplete: %llu packs found again", (unsigned long long)n);
    *ret_packs = n;
    return 0;
}

int index_recover(struct index *x, struct job *j, enum index_ask ask, uint64_t *ret_packs,
                  struct bk_error *err)
{
    struct index_recovery *v = index_recovery(x);
    pthread_mutex_lock(&v->lock);
    int r = recover(x, j, ask, ret_packs, err);
    pthread_mutex_unlock(&v->lock);
    return r;
}

static int recover_silently(struct index *x, enum index_ask ask, uint64_t *ret_packs, struct bk_error *err)
{
    struct job j = { .n_threads = 1 };
    int r = job_init(&j, err);
    if (r < 0)
        return r;
    r = recover(x, &j, ask, ret_packs, err);
    job_clear(&j);
    return r;
}

/* Unless it was done while we waited. What fails for good must not be tried again for every chunk; only who
 * is out of memory or told to stop leaves it to the next. */
static int recover_once(struct index *x, enum index_ask ask, struct bk_error *err)
{
    struct index_recovery *v = index_recovery(x);
    struct bk_error why = { 0 };
    uint64_t n;
    int r = 0;
    pthread_mutex_lock(&v->lock);
    if (atomic_load(&v->asked) < (int)ask)
        r = v->job ? recover(x, v->job, ask, &n, &why) : recover_silently(x, ask, &n, &why);
    if (r < 0 && !bk_code_aborts(r)) {
        if (v->job)
            job_log(v->job, JOB_WARN, "%s", why.text);
        atomic_store(&v->asked, ask);
        r = 0;
    }
    pthread_mutex_unlock(&v->lock);
    if (r < 0 && err)
        *err = why;
    return r;
}

static int find(struct index *x, const chunk_id *id, const pack_name *not_in, struct chunk_loc *ret,
                struct bk_error *err)
{
    return not_in ? index_find_elsewhere(x, id, not_in, ret, err) : index_find(x, id, ret, err);
}

/* not_in NULL: anywhere. */
static int locate(struct index *x, const chunk_id *id, const pack_name *not_in, struct chunk_loc *ret,
                  struct bk_error *err)
{
    struct index_recovery *v = index_recovery(x);
    struct bk_error why = { 0 };
    int most = v->backs_up ? INDEX_ASK_UNNAMED : INDEX_ASK_ALL;
    /* asked before the look-up: it may come to an end between the two */
    int asked = atomic_load(&v->asked);
    int r = find(x, id, not_in, ret, &why);
    while (r != 1 && asked < most && !bk_code_aborts(r)) {
        asked++;
        int e = recover_once(x, (enum index_ask)asked, err);
        if (e < 0)
            return e;
        why = (struct bk_error){ 0 };
        r = find(x, id, not_in, ret, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

int index_locate(struct index *x, const chunk_id *id, struct chunk_loc *ret, struct bk_error *err)
{
    return locate(x, id, NULL, ret, err);
}

int index_locate_elsewhere(struct index *x, const chunk_id *id, const pack_name *gone, struct chunk_loc *ret,
                           struct bk_error *err)
{
    return locate(x, id, gone, ret, err);
}
