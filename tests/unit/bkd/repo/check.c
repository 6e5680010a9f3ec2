#include "repo_fixture.h"

#include "bkd/repo/catalog.h"
#include "bkd/repo/check.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/session.h"
#include "bkd/repo/writer.h"

enum { CHUNK = 60000, N_SNAPSHOTS = 2, PATHS = 16 };

/* Noise that a seed names: nothing of it is compressed or deduplicated away. */
static void noise(uint64_t seed, uint8_t *out, size_t len)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15 + 1;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 32);
    }
}

/* A small repository: /a with few extents, /big with a page of them, /d/x and /d/y, /empty; two snapshots
 * that share all but /a. */
struct maker {
    struct writer *w;
    struct tree_writer tree;
    struct bk_buf page;
};

static chunk_id put(struct maker *m, enum chunk_kind kind, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    chunk_id id;
    OK(writer_put(m->w, 0, kind, data, len, &id, &err));
    return id;
}

static struct extent put_noise(struct maker *m, uint64_t seed)
{
    static uint8_t data[CHUNK];
    noise(seed, data, CHUNK);
    return (struct extent){ .len = CHUNK, .kind = EXTENT_DATA, .id = put(m, CHUNK_DATA, data, CHUNK) };
}

static struct content small(struct maker *m, uint64_t seed, unsigned n)
{
    struct content c = { .n_inline = (uint8_t)(n + 1), .size = (uint64_t)n * CHUNK + 4096 };
    c.inline_[0] = (struct extent){ .len = 4096, .kind = EXTENT_HOLE };
    for (unsigned i = 0; i < n; i++)
        c.inline_[i + 1] = put_noise(m, seed + i);
    return c;
}

static struct content big(struct maker *m, uint64_t seed, unsigned n)
{
    struct bk_error err = { 0 };
    struct extents e = { 0 };
    struct bk_buf b = BK_BUF(CHUNK_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct extent x = put_noise(m, seed + i);
        OK(extents_add(&e, &x, &err));
    }
    OK(content_leaf_encode(&e, &b, &err));
    struct content c = { .size = e.len, .depth = 1, .root = put(m, CHUNK_META, b.data, b.len) };
    bk_buf_clear(&b);
    extents_clear(&e);
    return c;
}

static void add_entry(struct maker *m, const char *name, const struct content *content,
                      const struct tree_dir *dir)
{
    struct bk_error err = { 0 };
    struct tree_entry e = { .name = (const uint8_t *)name, .name_len = strlen(name), .nlink = 1 };
    e.type = dir ? TREE_DIR : TREE_FILE;
    if (dir)
        e.dir = *dir;
    else
        e.content = *content;
    OK(tree_page_add(&m->tree, &e, &err));
}

static void page_begin(struct maker *m)
{
    struct bk_error err = { 0 };
    m->page.len = 0;
    OK(tree_page_begin(&m->tree, &m->page, &err));
}

static struct tree_dir page_end(struct maker *m)
{
    return (struct tree_dir){ .depth = 1, .id = put(m, CHUNK_META, m->page.data, m->page.len) };
}

static struct tree_dir make_tree(struct maker *m, uint64_t seed)
{
    struct content empty = { 0 }, x = small(m, 100, 1), y = small(m, 200, 2), a = small(m, seed, 3),
                   b = big(m, 300, 12);
    page_begin(m);
    add_entry(m, "x", &x, NULL);
    add_entry(m, "y", &y, NULL);
    struct tree_dir d = page_end(m);
    page_begin(m);
    add_entry(m, "a", &a, NULL);
    add_entry(m, "big", &b, NULL);
    add_entry(m, "d", NULL, &d);
    add_entry(m, "empty", &empty, NULL);
    return page_end(m);
}

static void commit(struct repo *r, struct session *s, const struct tree_dir *tree, const struct content *blob)
{
    struct bk_error err = { 0 };
    struct snapshot snap = { .level = LEVEL_FULL, .state = STATE_COMPLETE, .n_streams = 2 };
    snap.name = strdup("n");
    snap.host = strdup("h");
    snap.user = strdup("u");
    snap.program = strdup("t");
    snap.streams = calloc(2, sizeof *snap.streams);
    snap.streams[0] = (struct snapshot_stream){ .kind = STREAM_TREE, .name = strdup(""), .tree = *tree };
    snap.streams[1] =
        (struct snapshot_stream){ .kind = STREAM_BLOB, .name = strdup("blob"), .content = *blob };
    OK(session_commit(s, &snap, &err));
    snapshot_clear(&snap);
    struct catalog c = { 0 };
    const char *tag = "t";
    OK(catalog_load(r, NULL, NULL, &c, &err));
    struct note_change change = { .add_tags = &tag, .n_add = 1, .hold = -1, .who = "w" };
    OK(catalog_annotate(r, &c.v[c.n - 1], &change, &err));
    catalog_clear(&c);
}

static void back_up(struct store *mem, uint64_t seed)
{
    struct bk_error err = { 0 };
    struct job job = { 0 };
    struct repo *r = open_mem(mem);
    struct index *x = NULL;
    struct session *s = NULL;
    struct maker m = { .page = BK_BUF(CHUNK_MAX) };
    struct writer_opts o = { .n_lanes = 1, .level = 1, .memory_bytes = JOB_MEMORY_DEFAULT };
    OK(job_init(&job, &err));
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err));
    OK(index_open(r, NULL, NULL, &x, &err));
    OK(writer_new(r, x, &job, &o, &m.w, &err));
    struct tree_dir tree = make_tree(&m, seed);
    struct content blob = small(&m, 400, 1);
    OK(writer_finish(m.w, &err));
    commit(r, s, &tree, &blob);
    writer_free(m.w);
    index_free(x);
    session_free(s);
    repo_free(r);
    bk_buf_clear(&m.page);
    job_clear(&job);
}

static struct store *make(enum suite_id suite)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct config c;
    config_defaults(&c);
    c.frame_bytes = CONFIG_FRAME_MIN;
    c.pack_bytes = CONFIG_PACK_MIN;
    OK(try_init(lend(mem), suite, &c, &err));
    for (unsigned i = 0; i < N_SNAPSHOTS; i++)
        back_up(mem, 1000 * (i + 1));
    return mem;
}

/* A set of "snapshot path" lines: what is hit. */
struct hits {
    char v[64][96];
    unsigned n;
};

static void hits_add(struct hits *h, const char *snapshot, const char *path, size_t len)
{
    char line[96];
    snprintf(line, sizeof line, "%s %.*s", snapshot, (int)len, path);
    for (unsigned i = 0; i < h->n; i++)
        if (strcmp(h->v[i], line) == 0)
            return;
    assert_true(h->n < BK_COUNT(h->v));
    memcpy(h->v[h->n++], line, sizeof line);
}

static bool hits_cover(const struct hits *h, const char *line)
{
    for (unsigned i = 0; i < h->n; i++) {
        size_t n = strlen(h->v[i]);
        bool root = h->v[i][n - 1] == '/';
        if (strncmp(h->v[i], line, n) == 0 && (root || line[n] == '\0' || line[n] == '/'))
            return true;
    }
    return false;
}

/* The naive truth: read everything, chunk by chunk. */
struct truth {
    struct reader *r;
    const char *snapshot;
    struct hits bad;
    uint64_t bad_bytes; /* of files that are named but not whole */
};

static bool readable(struct truth *t, enum chunk_kind kind, const chunk_id *id, struct bk_buf *b)
{
    struct bk_error err = { 0 };
    return reader_chunk(t->r, 0, kind, id, b, &err) == 0;
}

static void read_content(struct truth *t, const char *path, const struct content *c)
{
    struct bk_error err = { 0 };
    struct bk_buf b = BK_BUF(CHUNK_MAX);
    struct extents e = { 0 };
    uint64_t bad = 0;
    if (c->depth == 0) {
        for (unsigned i = 0; i < c->n_inline; i++)
            OK(extents_add(&e, &c->inline_[i], &err));
    } else if (!readable(t, CHUNK_META, &c->root, &b)) {
        bad = c->size;
    } else {
        OK(content_leaf_decode(b.data, b.len, &e, &err));
    }
    for (size_t i = 0; i < e.n; i++)
        if (e.v[i].kind == EXTENT_DATA && !readable(t, CHUNK_DATA, &e.v[i].id, &b))
            bad += e.v[i].len;
    if (bad)
        hits_add(&t->bad, t->snapshot, path, strlen(path));
    t->bad_bytes += bad;
    extents_clear(&e);
    bk_buf_clear(&b);
}

static void read_dir(struct truth *t, const char *path, const struct tree_dir *d)
{
    struct bk_error err = { 0 };
    struct bk_buf b = BK_BUF(CHUNK_MAX);
    struct tree_page p;
    struct tree_entry e;
    char below[64];
    if (!readable(t, CHUNK_META, &d->id, &b)) {
        hits_add(&t->bad, t->snapshot, *path ? path : "/", *path ? strlen(path) : 1);
    } else {
        OK(tree_page_open(b.data, b.len, &p, &err));
        while (tree_page_next(&p, &e, &err) == 1) {
            snprintf(below, sizeof below, "%s/%.*s", path, (int)e.name_len, e.name);
            if (e.type == TREE_DIR)
                read_dir(t, below, &e.dir);
            else
                read_content(t, below, &e.content);
        }
    }
    bk_buf_clear(&b);
}

static void drop_damage(void *ctx, const char *object, const struct bk_error *why)
{
    (void)ctx;
    (void)object;
    (void)why;
}

static void read_everything(struct repo *r, struct truth *t)
{
    struct bk_error err = { 0 };
    struct index *x = NULL;
    struct catalog c = { 0 };
    OK(index_open(r, drop_damage, NULL, &x, &err));
    OK(reader_new(r, x, 1, 1 << 20, &t->r, &err));
    OK(catalog_load(r, NULL, NULL, &c, &err));
    for (size_t i = 0; i < c.n; i++) {
        char hex[2 * SESSION_ID + 1];
        object_hex(c.v[i].snap.id, SESSION_ID, hex);
        t->snapshot = hex;
        read_dir(t, "", &c.v[i].snap.streams[0].tree);
        read_content(t, "blob", &c.v[i].snap.streams[1].content);
    }
    catalog_clear(&c);
    reader_free(t->r);
    index_free(x);
}

struct told {
    struct hits files;
    uint64_t bytes;
    unsigned objects;
    char last[REPO_PATH];
};

static void tell(void *ctx, const struct check_damage *d)
{
    struct told *t = ctx;
    assert_non_null(d->object);
    assert_true(d->why->code < 0);
    if (!d->snapshot) {
        t->objects++;
        snprintf(t->last, sizeof t->last, "%s", d->object);
        return;
    }
    assert_non_null(d->path);
    hits_add(&t->files, d->snapshot, (const char *)d->path, d->path_len);
    t->bytes += d->len;
}

static struct check_report run_check(struct repo *r, const struct check_opts *o, struct told *t)
{
    struct bk_error err = { 0 };
    struct job job = { 0 };
    struct check_report rep = { 0 };
    OK(job_init(&job, &err));
    job.n_threads = 2;
    OK(check_run(r, &job, o, tell, t, &rep, &err));
    assert_int_equal(rep.n_damages, t->objects);
    assert_int_equal(rep.n_files_hit, t->files.n);
    assert_true(job.done_bytes <= job.total_bytes);
    job_clear(&job);
    return rep;
}

static void a_sound_repository_has_no_findings(void **state)
{
    (void)state;
    static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };
    for (size_t i = 0; i < BK_COUNT(suites); i++) {
        struct store *mem = make(suites[i]);
        struct repo *r = open_mem(mem);
        struct told t = { 0 };
        struct check_report rep = run_check(r, &(struct check_opts){ 0 }, &t);
        assert_int_equal(t.objects + t.files.n, 0);
        assert_int_equal(rep.n_snapshots, N_SNAPSHOTS);
        assert_int_equal(rep.n_objects, count_objects(mem, ""));
        assert_int_equal(rep.n_packs, count_objects(mem, "data/") + count_objects(mem, "meta/"));
        assert_int_equal(rep.n_packs_read + rep.n_orphan_packs + rep.n_stale_sessions, 0);
        rep = run_check(r, &(struct check_opts){ .read_data = true }, &t);
        assert_int_equal(t.objects + t.files.n, 0);
        assert_int_equal(rep.n_packs_read, rep.n_packs);
        assert_true(rep.bytes_read > 20 * CHUNK);
        rep = run_check(r, &(struct check_opts){ .sample_percent = 1 }, &t);
        assert_int_equal(rep.n_packs_read, 1);
        repo_free(r);
        store_free(mem);
    }
}

static int take_name(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size, (void)err;
    snprintf(ctx, REPO_PATH, "%s", name);
    return 0;
}

/* What a writer that was taken for dead may leave: its segment lands after the packs that it names were
 * deleted. */
static void a_pack_that_is_gone_is_damage_only_when_somebody_needs_it(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make(SUITE_AES256_GCM);
    struct repo *r = open_mem(mem);
    struct told t = { 0 };
    uint64_t bytes;
    bk_auto(index_free) struct index *x = NULL;
    OK(index_open(r, NULL, NULL, &x, &err));
    struct segment_entry entry = { .id = { .b = { 9 } } };
    struct segment_frame frame = { .offset = 64, .stored_len = 100, .raw_len = 200 };
    struct segment_pack pack = { .name = { .b = { 1, 2, 3 } }, .kind = CHUNK_DATA, .bytes = 4096 };
    OK(index_put_segment(x,
                         &(struct segment_input){ .entries = &entry,
                                                  .n_entries = 1,
                                                  .frames = &frame,
                                                  .n_frames = 1,
                                                  .packs = &pack,
                                                  .n_packs = 1 },
                         &bytes, &err));
    struct check_report rep = run_check(r, &(struct check_opts){ .read_data = true }, &t);
    assert_int_equal(t.objects + t.files.n, 0);
    assert_int_equal(rep.n_packs_gone, 1);

    char path[REPO_PATH];
    OK(store_list(mem, "data/", take_name, path, &err));
    OK(store_remove(mem, path, &err));
    rep = run_check(r, &(struct check_opts){ .read_data = true }, &t);
    assert_int_equal(rep.n_packs_gone, 1);
    assert_string_equal(t.last, path);
    assert_true(t.files.n > 0);
    repo_free(r);
    store_free(mem);
}

static void orphans_and_stale_sessions_are_counted_and_no_damage(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make(SUITE_AES256_GCM);
    struct repo *r = open_mem(mem);
    struct session *s = NULL;
    struct told t = { 0 };
    pack_name name = { .b = { 1, 2, 3 } };
    char path[REPO_PATH];
    repo_pack_path(CHUNK_DATA, &name, path);
    OK(store_put(mem, path, "left over", 9, &err));
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err)); /* alive: it is ours */
    struct session_record rec = { .id = { 7 }, .role = SESSION_WRITER, .host = "gone.example", .pid = 1 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1024);
    OK(session_record_encode(&rec, &b, &err));
    repo_id_path("sessions/", rec.id, SESSION_ID, path);
    OK(repo_put_record(r, OBJECT_SESSION, path, b.data, b.len, &err));
    struct check_report rep = run_check(r, &(struct check_opts){ .read_data = true }, &t);
    assert_int_equal(rep.n_orphan_packs, 1);
    assert_int_equal(rep.n_stale_sessions, 1);
    assert_int_equal(t.objects, 0);
    session_free(s);
    repo_free(r);
    store_free(mem);
}

enum hurt { HURT_FLIP, HURT_TRUNCATE, HURT_EMPTY, HURT_GROW, HURT_DELETE, N_HURTS };

static void hurt(struct store *mem, const char *name, enum hurt how, size_t at, const struct bk_buf *b)
{
    struct bk_error err = { 0 };
    uint8_t *copy = malloc(b->len + 1);
    memcpy(copy, b->data, b->len);
    copy[b->len] = 0;
    copy[at] ^= 1;
    OK(store_remove(mem, name, &err));
    if (how == HURT_FLIP)
        OK(store_put(mem, name, copy, b->len, &err));
    copy[at] ^= 1;
    if (how == HURT_TRUNCATE)
        OK(store_put(mem, name, copy, at, &err));
    if (how == HURT_EMPTY)
        OK(store_put(mem, name, copy, 0, &err));
    if (how == HURT_GROW)
        OK(store_put(mem, name, copy, b->len + 1, &err));
    free(copy);
}

/* What check says is what reading everything finds: every file that cannot be read is told, and no other; and
 * the bytes of those are the bytes told. */
static void agree(struct repo *r, const char *name, enum hurt how, size_t at)
{
    struct truth truth = { 0 };
    struct told t = { 0 };
    read_everything(r, &truth);
    struct check_report rep = run_check(r, &(struct check_opts){ .read_data = true }, &t);
    (void)rep;
    for (unsigned i = 0; i < truth.bad.n; i++)
        if (!hits_cover(&t.files, truth.bad.v[i]))
            fail_msg("%s, %d at %zu: %s cannot be read and is not told", name, how, at, truth.bad.v[i]);
    for (unsigned i = 0; i < t.files.n; i++)
        if (!hits_cover(&truth.bad, t.files.v[i]))
            fail_msg("%s, %d at %zu: %s is told and can be read", name, how, at, t.files.v[i]);
    assert_int_equal(t.bytes, truth.bad_bytes);
    if (!t.objects)
        fail_msg("%s, %d at %zu: nothing is told", name, how, at);
    if (strncmp(name, "index/", 6) == 0 && t.files.n)
        fail_msg("%s, %d at %zu: damage of the index hits %s", name, how, at, t.files.v[0]);
}

static void every_damage_of_every_object_is_told(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make(SUITE_AES256_GCM);
    struct names list = { 0 };
    unsigned cases = 0, unopened = 0;
    OK(names_list(mem, "", 1000, &list, &err));
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.v[i].name;
        struct bk_buf b = BK_BUF(0);
        OK(store_get_all(mem, name, 1 << 30, &b, &err));
        for (int how = 0; how < N_HURTS; how++)
            for (unsigned k = 0; k < (how <= HURT_TRUNCATE ? 7 : 1); k++) {
                size_t at = k == 6 ? b.len - 1 : b.len * k / 6 + (k ? 0 : 5);
                struct repo *r = NULL;
                hurt(mem, name, (enum hurt)how, at, &b);
                int rc = try_open(lend(mem), &key_file, &r, &err);
                cases++;
                if (rc < 0) {
                    assert_true(strncmp(name, "k", 1) == 0 || strcmp(name, "config") == 0);
                    unopened++;
                } else if (how == HURT_DELETE &&
                           (strncmp(name, "snap", 4) == 0 || strncmp(name, "notes", 5) == 0 ||
                            strncmp(name, "copies", 6) == 0)) {
                    repo_free(r); /* as if it had never been */
                } else {
                    agree(r, name, (enum hurt)how, at);
                    repo_free(r);
                }
                replace(mem, name, b.data, b.len);
            }
        bk_buf_clear(&b);
    }
    print_message("%u damages of %zu objects, %u of them keep the repository from opening\n", cases, list.n,
                  unopened);
    names_clear(&list);
    store_free(mem);
}

/* Structure alone sees what is missing or cut, with the files that lie there. */
static void a_missing_pack_is_told_with_its_files_without_reading_data(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make(SUITE_SM4);
    struct names list = { 0 };
    OK(names_list(mem, "data/", 1000, &list, &err));
    assert_true(list.n >= 2);
    for (size_t i = 0; i < list.n; i++) {
        struct told t = { 0 };
        struct truth truth = { 0 };
        struct bk_buf b = BK_BUF(0);
        OK(store_get_all(mem, list.v[i].name, 1 << 30, &b, &err));
        OK(store_remove(mem, list.v[i].name, &err));
        struct repo *r = open_mem(mem);
        run_check(r, &(struct check_opts){ 0 }, &t);
        read_everything(r, &truth);
        assert_int_equal(t.objects, 1);
        assert_string_equal(t.last, list.v[i].name);
        assert_true(t.bytes > 0);
        assert_int_equal(t.bytes, truth.bad_bytes);
        repo_free(r);
        replace(mem, list.v[i].name, b.data, b.len);
        bk_buf_clear(&b);
    }
    names_clear(&list);
    store_free(mem);
}

static void a_cancelled_check_stops(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make(SUITE_AES256_GCM);
    struct repo *r = open_mem(mem);
    struct job job = { 0 };
    struct check_report rep;
    OK(job_init(&job, &err));
    job_cancel(&job);
    assert_int_equal(check_run(r, &job, &(struct check_opts){ .read_data = true }, NULL, NULL, &rep, &err),
                     BK_E_CANCELLED);
    job_clear(&job);
    repo_free(r);
    store_free(mem);
}

/* Each call of the store fails in turn: an error or a finding, never a clean bill. */
static void a_failing_store_never_gets_a_clean_bill(void **state)
{
    (void)state;
    struct store *mem = make(SUITE_AES256_GCM);
    for (uint64_t nth = 1;; nth += 3) {
        struct bk_error err = { 0 };
        struct store *faulty = lend_faulty(mem, FAULT_CUT, nth);
        struct repo *r = NULL;
        struct job job = { 0 };
        struct told t = { 0 };
        struct check_report rep = { 0 };
        int rc = repo_open_adopt_store(faulty, &key_file, &world_real, &r, &err);
        if (rc < 0) {
            store_free(faulty);
            continue;
        }
        OK(job_init(&job, &err));
        rc = check_run(r, &job, &(struct check_opts){ .read_data = true }, tell, &t, &rep, &err);
        bool fired = store_fault_fired(faulty);
        if (fired)
            assert_true(rc < 0 || rep.n_damages > 0);
        else
            assert_int_equal(rc == 0 ? rep.n_damages : 1, 0);
        job_clear(&job);
        repo_free(r);
        if (!fired)
            break;
    }
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_repository_has_no_findings),
        cmocka_unit_test(a_pack_that_is_gone_is_damage_only_when_somebody_needs_it),
        cmocka_unit_test(orphans_and_stale_sessions_are_counted_and_no_damage),
        cmocka_unit_test(every_damage_of_every_object_is_told),
        cmocka_unit_test(a_missing_pack_is_told_with_its_files_without_reading_data),
        cmocka_unit_test(a_cancelled_check_stops),
        cmocka_unit_test(a_failing_store_never_gets_a_clean_bill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
