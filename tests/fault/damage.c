/* Damage: every object of a repository flipped, cut, emptied, deleted and swapped with another of its kind,
 * one at a time. check tells which object it is; what it does not hit restores; what it hits is reported; no
 * wrong byte is restored without an error. */
#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/repo/catalog.h"
#include "bkd/repo/check.h"
#include "bkd/repo/keys.h"
#include "bkd/repo/session.h"
#include "tests/fault/life.h"

enum harm {
    FLIP_FIRST,
    FLIP_QUARTER,
    FLIP_HALF,
    FLIP_LATE,
    FLIP_LAST,
    CUT_ONE,
    CUT_HALF,
    EMPTY,
    DELETE,
    SWAP,
    HARMS
};
static const char *const harm_names[HARMS] = { "first byte flipped",
                                               "byte at 1/4 flipped",
                                               "byte at 1/2 flipped",
                                               "byte at 9/10 flipped",
                                               "last byte flipped",
                                               "last byte cut off",
                                               "cut in half",
                                               "emptied",
                                               "deleted",
                                               "swapped" };

struct kind {
    const char *prefix;
    bool opens_without;   /* the repository opens with one of them damaged */
    bool absence_is_fine; /* nothing refers to it: that one is gone cannot be seen */
    bool damage_is_fine;
    bool hits_nothing;                           /* all of it is said elsewhere too */
    unsigned cases, named, refused, unseen;      /* how check and open saw it */
    unsigned files, files_reported, runs_failed; /* how restores went */
};

static struct kind kinds[] = {
    { .prefix = "config", .opens_without = true },
    { .prefix = "keyring/", .opens_without = true },
    { .prefix = "keys/", .opens_without = true, .absence_is_fine = true },
    { .prefix = "copies/", .opens_without = true, .absence_is_fine = true },
    { .prefix = "sessions/", .opens_without = true, .absence_is_fine = true, .damage_is_fine = true },
    { .prefix = "snapshots/", .opens_without = true, .absence_is_fine = true },
    { .prefix = "notes/", .opens_without = true, .absence_is_fine = true },
    { .prefix = "data/", .opens_without = true },
    { .prefix = "meta/", .opens_without = true },
    { .prefix = "index/", .opens_without = true, .hits_nothing = true },
};

static struct sample sample;

/* What check said about one case. */
struct finding {
    const char *object;
    bool named;
    struct sample_problems hits;
};

static void on_damage(void *ctx, const struct check_damage *d)
{
    struct finding *f = ctx;
    assert_non_null(d->object);
    f->named |= strcmp(d->object, f->object) == 0;
    if (d->path && f->hits.n < BK_COUNT(f->hits.v))
        snprintf(f->hits.v[f->hits.n++].path, sizeof f->hits.v[0].path, "%.*s", (int)d->path_len,
                 (const char *)d->path);
}

/* A session that died and left its object. */
static void leave_session(struct repo *r, struct store *mem)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    OK(session_open(r, SESSION_WRITER, "test", &s, &err));
    char path[REPO_PATH];
    repo_id_path("sessions/", session_record(s)->id, SESSION_ID, path);
    struct bk_buf b = BK_BUF(0);
    OK(store_get_all(mem, path, 1 << 20, &b, &err));
    session_free(s);
    OK(store_put(mem, path, b.data, b.len, &err));
    bk_buf_clear(&b);
}

static void make_repository(struct store *mem)
{
    struct bk_error err = { 0 };
    struct life l = { 0 };
    life_run(&l, lend(mem), &sample);
    assert_int_equal(l.code, 0);
    struct repo *r = open_mem(mem);
    leave_session(r, mem);
    leave_session(r, mem);
    bk_auto(catalog_clear) struct catalog c = { 0 };
    OK(catalog_load(r, NULL, NULL, &c, &err));
    for (size_t i = 0; i < c.n; i++) {
        struct note_change change = { .hold = 1, .reason = "keep", .who = "test" };
        OK(catalog_annotate(r, &c.v[i], &change, &err));
    }
    uint8_t id[SLOT_ID];
    OK(keys_add(r, &other_key_file, NULL, "second", id, &err));
    repo_free(r);
}

/* The bytes that stand there after the harm; false when it cannot be done. */
static bool harm(struct bk_buf *b, enum harm h, const struct bk_buf *other)
{
    static const unsigned tenths[] = {
        [FLIP_FIRST] = 0, [FLIP_QUARTER] = 25, [FLIP_HALF] = 50, [FLIP_LATE] = 90
    };
    switch (h) {
    case FLIP_FIRST:
    case FLIP_QUARTER:
    case FLIP_HALF:
    case FLIP_LATE:
        b->data[b->len * tenths[h] / 100] ^= 0x20;
        return true;
    case FLIP_LAST:
        b->data[b->len - 1] ^= 1;
        return true;
    case CUT_ONE:
        b->len--;
        return true;
    case CUT_HALF:
        b->len /= 2;
        return true;
    case EMPTY:
        b->len = 0;
        return true;
    case DELETE:
        return true;
    case SWAP:
        if (!other->len)
            return false;
        b->len = 0;
        return bk_buf_append(b, other->data, other->len, NULL) == 0;
    case HARMS:
        break;
    }
    return false;
}

static void restore_all(struct kind *k, struct repo *r, const struct finding *f, const char *what)
{
    struct bk_error err = { 0 };
    bk_auto(catalog_clear) struct catalog c = { 0 };
    OK(catalog_load(r, NULL, NULL, &c, &err));
    for (size_t i = 0; i < c.n; i++) {
        const struct snapshot *s = &c.v[i].snap;
        static struct sample_problems problems;
        struct job j;
        life_job(&j);
        int rc = sample_restore(&sample, life_state(s), r, &j, s, &problems, &err);
        job_clear(&j);
        unsigned files = (unsigned)sample.states[life_state(s)].n;
        k->files += files;
        if (rc < 0) {
            k->runs_failed++;
            k->files_reported += files;
            if (strcmp(k->prefix, "meta/") != 0)
                fail_msg("%s: the restore gave up: %s", what, err.text);
            continue;
        }
        if (k->hits_nothing && problems.n)
            fail_msg("%s: restore reports %s", what, problems.v[0].path);
        for (size_t p = 0; p < problems.n; p++)
            if (!sample_reported(&f->hits, problems.v[p].path))
                fail_msg("%s: restore misses %s, check did not tell", what, problems.v[p].path);
        for (unsigned n = 0; n < files; n++) {
            char path[256];
            snprintf(path, sizeof path, "%s/%s", sample.shown, sample.states[life_state(s)].v[n].path);
            k->files_reported += sample_reported(&problems, path);
        }
    }
}

/* The store holds the harm. */
static void judge(struct kind *k, struct store *mem, const char *name, enum harm h)
{
    char what[256];
    snprintf(what, sizeof what, "%s, %s", name, harm_names[h]);
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    k->cases++;
    int rc = try_open(lend(mem), &life_secret, &r, &err);
    if (rc == BK_E_AUTH) /* the slot that is hit was ours */
        rc = try_open(lend(mem), &other_key_file, &r, &err);
    if (rc < 0) {
        if (k->opens_without)
            fail_msg("%s: %s", what, err.text);
        k->refused++;
        return;
    }
    static struct finding f;
    f = (struct finding){ .object = name };
    struct check_report report = { 0 };
    struct check_opts o = { .read_data = true };
    struct job j;
    life_job(&j);
    rc = check_run(r, &j, &o, on_damage, &f, &report, &err);
    job_clear(&j);
    if (rc < 0)
        fail_msg("%s: check gave up: %s", what, err.text);
    bool fine = k->damage_is_fine || (k->absence_is_fine && h == DELETE);
    /* nobody knows the name of a segment that is gone, but the chunks that are in none are told */
    f.named |= strcmp(k->prefix, "index/") == 0 && h == DELETE && report.n_damages > 0;
    if (!f.named && !fine)
        fail_msg("%s: check did not tell (%u findings)", what, (unsigned)report.n_damages);
    if (k->hits_nothing && report.n_files_hit)
        fail_msg("%s: check says that %u files are hit", what, (unsigned)report.n_files_hit);
    k->named += f.named;
    k->unseen += !f.named;
    restore_all(k, r, &f, what);
    repo_free(r);
}

/* A restore that misses index segments puts new ones: the next case begins without them. */
static void take_back_index(struct store *mem, const struct names *before)
{
    struct bk_error err = { 0 };
    bk_auto(names_clear) struct names now = { 0 };
    OK(names_list(mem, "index/", 1 << 20, &now, &err));
    for (size_t i = 0; i < now.n; i++)
        if (!names_find(before, now.v[i].name))
            OK(store_remove(mem, now.v[i].name, &err));
}

static void damage_object(struct kind *k, struct store *mem, const char *name, const char *other_name)
{
    struct bk_error err = { 0 };
    struct bk_buf whole = BK_BUF(0), other = BK_BUF(0);
    bk_auto(names_clear) struct names index = { 0 };
    OK(names_list(mem, "index/", 1 << 20, &index, &err));
    OK(store_get_all(mem, name, 1 << 26, &whole, &err));
    if (other_name)
        OK(store_get_all(mem, other_name, 1 << 26, &other, &err));
    for (enum harm h = 0; h < HARMS; h++) {
        struct bk_buf b = BK_BUF(1 << 26);
        OK(bk_buf_append(&b, whole.data, whole.len, &err));
        if (harm(&b, h, &other)) {
            OK(store_remove(mem, name, &err));
            if (h != DELETE)
                OK(store_put(mem, name, b.data, b.len, &err));
            judge(k, mem, name, h);
            take_back_index(mem, &index);
            OK(store_remove(mem, name, &err));
            OK(store_put(mem, name, whole.data, whole.len, &err));
        }
        bk_buf_clear(&b);
    }
    bk_buf_clear(&whole);
    bk_buf_clear(&other);
}

static void every_damage_is_told_and_spares_the_rest(void **state)
{
    (void)state;
    struct store *mem = new_mem();
    make_repository(mem);
    for (size_t i = 0; i < BK_COUNT(kinds); i++) {
        struct kind *k = &kinds[i];
        struct bk_error err = { 0 };
        struct names list = { 0 };
        OK(names_list(mem, k->prefix, 1 << 20, &list, &err));
        assert_true(list.n > 0);
        for (size_t n = 0; n < list.n; n++)
            damage_object(k, mem, list.v[n].name, list.n > 1 ? list.v[(n + 1) % list.n].name : NULL);
        names_clear(&list);
        printf("# %s: %u cases: %u named by check, %u refused on opening, %u cannot be seen and do no harm; "
               "of %u files restored %u reported, "
               "others identical\n",
               k->prefix, k->cases, k->named, k->refused, k->unseen, k->files, k->files_reported);
        fflush(stdout);
    }
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_damage_is_told_and_spares_the_rest) };
    sample_make(&sample);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    sample_remove(&sample);
    return r;
}
