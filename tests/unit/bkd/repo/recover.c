#include "repo_fixture.h"

#include "bkd/repo/index_recover.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"
#include "tests/unit/bkd/repo/index_thin.h"

enum { CHUNK = 40000, PER_RUN = 24, RUNS = 3, N = PER_RUN * RUNS };

/* A store below which nothing is put or removed. */
static int refuse_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    (void)s;
    (void)data;
    (void)len;
    return bk_fail(err, BK_E_PERM, "%s: read-only", name);
}

static int refuse_remove(struct store *s, const char *name, struct bk_error *err)
{
    (void)s;
    return bk_fail(err, BK_E_PERM, "%s: read-only", name);
}

static struct repo *open_read_only(struct store *mem)
{
    static const struct store_ops ops = {
        .put = refuse_put,
        .get = lent_get,
        .stat = lent_stat,
        .list = lent_list,
        .remove = refuse_remove,
        .free = lent_free,
    };
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    struct store *s = lend(mem);
    s->ops = &ops;
    OK(try_open(s, &key_file, &r, &err));
    return r;
}

static chunk_id ids[N];

static void chunk_of(unsigned i, uint8_t out[static CHUNK])
{
    uint64_t x = i * 0x9e3779b97f4a7c15 + 1;
    for (size_t n = 0; n < CHUNK; n++) {
        x = x * 6364136223846793005 + 1442695040888963407;
        out[n] = (uint8_t)(x >> 56);
    }
}

/* Some runs, each with a segment of its own. */
static struct store *make(void)
{
    static uint8_t data[CHUNK];
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct config c;
    config_defaults(&c);
    c.frame_bytes = CONFIG_FRAME_MIN;
    c.pack_bytes = CONFIG_PACK_MIN;
    OK(try_init(lend(mem), SUITE_AES256_GCM, &c, &err));
    for (unsigned run = 0; run < RUNS; run++) {
        struct job job = { 0 };
        struct repo *r = open_mem(mem);
        struct index *x = NULL;
        struct writer *w = NULL;
        struct writer_opts o = { .n_lanes = 1, .level = 1, .memory_bytes = JOB_MEMORY_DEFAULT };
        OK(job_init(&job, &err));
        OK(index_open(r, NULL, NULL, &x, &err));
        OK(writer_new(r, x, &job, &o, &w, &err));
        for (unsigned i = run * PER_RUN; i < (run + 1) * PER_RUN; i++) {
            chunk_of(i, data);
            OK(writer_put(w, 0, i % 4 ? CHUNK_DATA : CHUNK_META, data, CHUNK, &ids[i], &err));
        }
        OK(writer_finish(w, &err));
        writer_free(w);
        index_free(x);
        repo_free(r);
        job_clear(&job);
    }
    assert_int_equal(count_objects(mem, "index/"), RUNS);
    return mem;
}

static void count_damage(void *ctx, const char *object, const struct bk_error *why)
{
    (void)object;
    assert_true(why->code < 0);
    ++*(unsigned *)ctx;
}

static void all_chunks_read(struct store *mem, unsigned n_damaged)
{
    static uint8_t data[CHUNK];
    struct bk_error err = { 0 };
    struct repo *r = open_read_only(mem);
    struct index *x = NULL;
    struct reader *rd = NULL;
    struct bk_buf b = BK_BUF(CHUNK_MAX);
    unsigned damaged = 0;
    size_t before = count_objects(mem, "");
    OK(index_open(r, count_damage, &damaged, &x, &err));
    assert_int_equal(damaged, n_damaged);
    assert_int_equal(index_n_damaged(x), n_damaged);
    OK(reader_new(r, x, 1, 1 << 20, &rd, &err));
    for (unsigned i = 0; i < N; i++) {
        chunk_of(i, data);
        OK(reader_chunk(rd, 0, i % 4 ? CHUNK_DATA : CHUNK_META, &ids[i], &b, &err));
        assert_int_equal(b.len, CHUNK);
        assert_memory_equal(b.data, data, CHUNK);
    }
    chunk_id none = { .b = { 1, 2, 3 } };
    assert_int_equal(reader_chunk(rd, 0, CHUNK_DATA, &none, &b, &err), BK_E_ABSENT);
    bk_buf_clear(&b);
    reader_free(rd);
    index_free(x);
    repo_free(r);
    assert_int_equal(count_objects(mem, ""), before);
}

static void with_each_segment(void (*fn)(struct store *mem, const char *name))
{
    struct bk_error err = { 0 };
    struct store *mem = make();
    struct names list = { 0 };
    OK(names_list(mem, "index/", 100, &list, &err));
    for (size_t i = 0; i < list.n; i++) {
        struct bk_buf b = BK_BUF(0);
        OK(store_get_all(mem, list.v[i].name, 1 << 30, &b, &err));
        fn(mem, list.v[i].name);
        replace(mem, list.v[i].name, b.data, b.len);
        bk_buf_clear(&b);
    }
    names_clear(&list);
    store_free(mem);
}

static void lose(struct store *mem, const char *name)
{
    struct bk_error err = { 0 };
    OK(store_remove(mem, name, &err));
    all_chunks_read(mem, 0);
}

static void damage_trailer(struct store *mem, const char *name)
{
    struct bk_error err = { 0 };
    uint64_t size = 0;
    OK(store_stat(mem, name, &size, &err));
    flip(mem, name, size - 20);
    all_chunks_read(mem, 1);
}

static void damage_pages(struct store *mem, const char *name)
{
    for (size_t page = 1; page <= 3; page++) { /* entries, frames, packs */
        flip(mem, name, page * SEGMENT_PAGE + 5);
        all_chunks_read(mem, 0);
        flip(mem, name, page * SEGMENT_PAGE + 5);
    }
}

static void a_lost_segment_is_recovered_without_a_write(void **state)
{
    (void)state;
    with_each_segment(lose);
}

static void a_segment_with_a_damaged_trailer_is_recovered(void **state)
{
    (void)state;
    with_each_segment(damage_trailer);
}

static void a_segment_with_a_damaged_page_is_recovered(void **state)
{
    (void)state;
    with_each_segment(damage_pages);
}

static void packs_that_are_named_are_asked_for_what_is_in_no_segment(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make();
    struct repo *r = open_mem(mem);
    struct index *x = NULL;
    struct job job = { 0 };
    struct chunk_loc loc;
    uint64_t packs = 0;
    unsigned missing = 0;
    OK(job_init(&job, &err));
    OK(index_open(r, NULL, NULL, &x, &err));
    unsigned lost = index_thin(x, 3);
    assert_int_equal(lost, N / 3);
    index_free(x);
    all_chunks_read(mem, 0);
    /* who may write makes it whole for all */
    OK(index_open(r, NULL, NULL, &x, &err));
    for (unsigned i = 0; i < N; i++)
        missing += index_find(x, &ids[i], &loc, &err) == 0;
    assert_int_equal(missing, lost);
    OK(index_adopt_packs(x, &job, &packs, &err));
    assert_int_equal(packs, 0);
    missing = 0;
    for (unsigned i = 0; i < N; i++) /* a backup does not ask all: it stores again what it does not find */
        missing += index_locate(x, &ids[i], &loc, &err) == 0;
    assert_int_equal(missing, lost);
    OK(index_recover(x, &job, INDEX_ASK_ALL, &packs, &err));
    assert_true(packs > 0);
    index_free(x);
    OK(index_open(r, NULL, NULL, &x, &err));
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(index_find(x, &ids[i], &loc, &err), 1);
        assert_false(loc.recovered);
    }
    index_free(x);
    repo_free(r);
    job_clear(&job);
    store_free(mem);
}

static void remove_all(struct store *mem, const char *below)
{
    struct bk_error err = { 0 };
    struct names list = { 0 };
    OK(names_list(mem, below, 100, &list, &err));
    for (size_t i = 0; i < list.n; i++)
        OK(store_remove(mem, list.v[i].name, &err));
    names_clear(&list);
}

static void count_place(struct index *x, const chunk_id *id, struct chunk_loc *ret)
{
    struct bk_error err = { 0 };
    struct chunk_loc other;
    assert_int_equal(index_find(x, id, ret, &err), 1);
    assert_int_equal(index_find_elsewhere(x, id, &ret->pack, &other, &err), 1);
}

/* One of them may be rotten, or go: nobody knows which. */
static void adoption_forgets_no_place(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    static uint8_t data[CHUNK];
    struct store *mem = make();
    struct repo *r = open_mem(mem);
    struct index *x = NULL;
    struct job job = { 0 };
    struct chunk_loc loc;
    struct writer *w = NULL;
    struct reader *rd = NULL;
    struct bk_buf b = BK_BUF(CHUNK_MAX);
    char path[REPO_PATH];
    uint64_t packs;
    OK(job_init(&job, &err));
    OK(index_open(r, NULL, NULL, &x, &err));
    OK(writer_new(r, x, &job,
                  &(struct writer_opts){ .n_lanes = 1, .level = 1, .memory_bytes = JOB_MEMORY_DEFAULT }, &w,
                  &err));
    chunk_of(1, data);
    OK(writer_put_moved(w, 0, CHUNK_DATA, &ids[1], data, CHUNK, &err));
    OK(writer_finish(w, &err));
    writer_free(w);
    count_place(x, &ids[1], &loc);
    index_free(x);
    remove_all(mem, "index/");
    OK(index_open(r, NULL, NULL, &x, &err));
    OK(index_adopt_packs(x, &job, &packs, &err));
    assert_true(packs > 1);
    count_place(x, &ids[1], &loc);
    index_free(x);
    OK(index_open(r, NULL, NULL, &x, &err));
    count_place(x, &ids[1], &loc);
    repo_pack_path(CHUNK_DATA, &loc.pack, path);
    OK(store_remove(mem, path, &err));
    OK(reader_new(r, x, 1, 1 << 20, &rd, &err));
    OK(reader_chunk(rd, 0, CHUNK_DATA, &ids[1], &b, &err));
    assert_memory_equal(b.data, data, CHUNK);
    bk_buf_clear(&b);
    reader_free(rd);
    index_free(x);
    repo_free(r);
    job_clear(&job);
    store_free(mem);
}

static void all_of_the_index_may_be_lost(void **state)
{
    (void)state;
    struct store *mem = make();
    remove_all(mem, "index/");
    all_chunks_read(mem, 0);
    store_free(mem);
}

/* Who asks whether to store a chunk must not have all packs read for each new one. */
static void the_write_path_does_not_recover(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make();
    remove_all(mem, "index/");
    struct repo *r = open_mem(mem);
    struct index *x = NULL;
    struct chunk_loc loc;
    OK(index_open(r, NULL, NULL, &x, &err));
    assert_int_equal(index_has(x, &ids[0], &err), 0);
    assert_int_equal(index_find(x, &ids[0], &loc, &err), 0);
    assert_int_equal(index_entries(x), 0);
    assert_int_equal(index_locate(x, &ids[0], &loc, &err), 1);
    assert_true(loc.recovered);
    assert_int_equal(index_entries(x), N);
    assert_int_equal(index_has(x, &ids[0], &err), 0); /* what was recovered is not to be relied on */
    index_free(x);
    repo_free(r);
    store_free(mem);
}

/* The second time the segment to put has the name of one that stands there and is damaged. */
static void adoption_replaces_damaged_bytes_for_good(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make();
    struct names list = { 0 };
    struct job job = { 0 };
    OK(job_init(&job, &err));
    for (unsigned round = 0; round < 2; round++) { /* what the first put is damaged for the second */
        OK(names_list(mem, "index/", 100, &list, &err));
        for (size_t i = 0; i < list.n; i++)
            flip(mem, list.v[i].name, list.v[i].size - 20 - round);
        names_clear(&list);
        struct repo *r = open_mem(mem);
        struct index *x = NULL;
        unsigned damaged = 0;
        uint64_t packs = 0;
        struct chunk_loc loc;
        OK(index_open(r, count_damage, &damaged, &x, &err));
        assert_true(damaged >= RUNS);
        OK(index_adopt_packs(x, &job, &packs, &err));
        assert_true(packs >= RUNS);
        index_free(x);
        damaged = 0;
        OK(index_open(r, count_damage, &damaged, &x, &err));
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(index_find(x, &ids[i], &loc, &err), 1);
            assert_false(loc.recovered);
        }
        index_free(x);
        repo_free(r);
    }
    assert_int_equal(count_objects(mem, "index/"), RUNS + 1);
    job_clear(&job);
    store_free(mem);
}

struct asker {
    pthread_t thread;
    struct index *x;
    unsigned found;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct bk_error err = { 0 };
    struct chunk_loc loc;
    for (unsigned i = 0; i < N; i++)
        a->found += index_locate(a->x, &ids[i], &loc, &err) == 1;
    return NULL;
}

static void threads_that_miss_at_once_all_find(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = make();
    struct names list = { 0 };
    OK(names_list(mem, "index/", 100, &list, &err));
    OK(store_remove(mem, list.v[0].name, &err));
    flip(mem, list.v[1].name, SEGMENT_PAGE + 5);
    names_clear(&list);
    struct repo *r = open_read_only(mem);
    struct index *x = NULL;
    OK(index_open(r, NULL, NULL, &x, &err));
    struct asker v[4];
    for (size_t i = 0; i < BK_COUNT(v); i++) {
        v[i] = (struct asker){ .x = x };
        assert_int_equal(pthread_create(&v[i].thread, NULL, ask, &v[i]), 0);
    }
    for (size_t i = 0; i < BK_COUNT(v); i++) {
        pthread_join(v[i].thread, NULL);
        assert_int_equal(v[i].found, N);
    }
    index_free(x);
    repo_free(r);
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_segment_is_recovered_without_a_write),
        cmocka_unit_test(a_segment_with_a_damaged_trailer_is_recovered),
        cmocka_unit_test(a_segment_with_a_damaged_page_is_recovered),
        cmocka_unit_test(all_of_the_index_may_be_lost),
        cmocka_unit_test(packs_that_are_named_are_asked_for_what_is_in_no_segment),
        cmocka_unit_test(adoption_forgets_no_place),
        cmocka_unit_test(the_write_path_does_not_recover),
        cmocka_unit_test(adoption_replaces_damaged_bytes_for_good),
        cmocka_unit_test(threads_that_miss_at_once_all_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
