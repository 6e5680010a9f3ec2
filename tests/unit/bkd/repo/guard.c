/* What a writer may not rely on is not found by it, and still read. */
#include "rw_fixture.h"

#include "bkd/repo/index_guard.h"

enum { CHUNKS = 200, MAX = 2000 };

static void write_chunks(struct store *mem, uint32_t from, uint32_t to, const struct collection *c,
                         uint64_t *ret_new)
{
    struct bk_error err = { 0 };
    struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    struct job j = { .n_threads = 1 };
    uint64_t adopted;
    OK(job_init(&j, &err));
    if (c) {
        OK(index_guard(x, c, &err));
        OK(index_adopt_packs(x, &j, &adopted, &err));
    }
    struct writer *w = NULL;
    OK(writer_new(r, x, &j, &(struct writer_opts){ .n_lanes = 1, .level = 1, .memory_bytes = 8 << 20 }, &w,
                  &err));
    uint8_t data[MAX];
    chunk_id id;
    for (uint32_t i = from; i < to; i++)
        OK(writer_put(w, 0, CHUNK_DATA, data, make_chunk(i, data, MAX), &id, &err));
    OK(writer_finish(w, &err));
    struct writer_totals t;
    writer_totals(w, &t);
    *ret_new = t.new_chunks;
    writer_free(w);
    job_clear(&j);
    index_free(x);
    repo_free(r);
}

/* All packs that are there now, as candidates. */
static struct collection all_packs(struct store *mem)
{
    static struct name_list l;
    static struct tombstone v[512];
    struct collection c = { .n = 1, .state = COLLECTION_UNDECIDED, .list = { .n = 1, .v = v } };
    list_names(mem, "data/", &l);
    for (size_t i = 0; i < l.n; i++) {
        enum chunk_kind kind;
        struct tombstone t = { 0 };
        assert_int_equal(repo_pack_of_path(l.v[i], &kind, &t.name), 1);
        t.kind = kind;
        v[c.list.count++] = t;
    }
    return c;
}

static void candidates_count_as_absent_and_can_be_read(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    uint64_t n;
    write_chunks(mem, 0, CHUNKS, NULL, &n);
    assert_int_equal(n, CHUNKS);
    struct collection none = { 0 };
    write_chunks(mem, 0, CHUNKS, &none, &n);
    assert_int_equal(n, 0);
    struct collection c = all_packs(mem);

    struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    OK(index_guard(x, &c, &err));
    uint8_t data[MAX];
    chunk_id id;
    struct chunk_loc loc;
    OK(chunk_name(repo_namer(r), CHUNK_DATA, data, make_chunk(7, data, MAX), &id, &err));
    assert_int_equal(index_has(x, &id, &err), 0);
    assert_int_equal(index_find(x, &id, &loc, &err), 1);
    assert_true(loc.shunned);
    index_free(x);

    write_chunks(mem, 0, CHUNKS, &c, &n); /* again, into new packs */
    assert_int_equal(n, CHUNKS);
    x = open_index(r);
    OK(index_guard(x, &c, &err));
    assert_int_equal(index_has(x, &id, &err), 1);
    assert_int_equal(index_find(x, &id, &loc, &err), 1);
    assert_false(loc.shunned); /* the place that stays goes first */
    pack_name stays = loc.pack;
    assert_int_equal(index_find_elsewhere(x, &id, &stays, &loc, &err), 1);
    assert_true(loc.shunned);
    index_free(x);
    repo_free(r);
    write_chunks(mem, 0, CHUNKS, &c, &n);
    assert_int_equal(n, 0);
    store_free(mem);
}

static void candidates_are_not_adopted(void **state)
{
    (void)state;
    struct store *mem = new_repository();
    uint64_t n;
    write_chunks(mem, 0, CHUNKS, NULL, &n);
    remove_all(mem, "index/");
    struct collection c = all_packs(mem);
    write_chunks(mem, 0, CHUNKS, &c, &n);
    assert_int_equal(n, CHUNKS);
    store_free(mem);
}

static void a_pack_that_is_named_and_gone_counts_as_absent(void **state)
{
    (void)state;
    struct store *mem = new_repository();
    uint64_t n;
    write_chunks(mem, 0, CHUNKS, NULL, &n);
    remove_all(mem, "data/");
    struct collection none = { 0 };
    write_chunks(mem, 0, CHUNKS, &none, &n);
    assert_int_equal(n, CHUNKS);
    store_free(mem);
}

static void in_doubt_everything_is_stored_anew(void **state)
{
    (void)state;
    struct store *mem = new_repository();
    uint64_t n;
    write_chunks(mem, 0, CHUNKS, NULL, &n);
    struct collection c = { .n = 3, .state = COLLECTION_UNKNOWN };
    write_chunks(mem, 0, CHUNKS, &c, &n);
    assert_int_equal(n, CHUNKS);
    store_free(mem);
}

/* A collector exchanges segments under a writer that has them open. */
static void segments_that_others_replace_are_found_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    uint64_t n, bytes;
    write_chunks(mem, 0, CHUNKS, NULL, &n);
    struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    struct collection none = { 0 };
    OK(index_guard(x, &none, &err));
    remove_all(mem, "index/");
    struct index *other = open_index(r);
    struct job j = { .n_threads = 1 };
    OK(job_init(&j, &err));
    OK(index_adopt_packs(other, &j, &bytes, &err)); /* another segment with the same packs */
    job_clear(&j);
    index_free(other);
    /* bytes differ: one segment was per run, this one has all */
    uint8_t data[MAX];
    for (uint32_t i = 0; i < CHUNKS; i++) {
        chunk_id id;
        OK(chunk_name(repo_namer(r), CHUNK_DATA, data, make_chunk(i, data, MAX), &id, &err));
        assert_int_equal(index_has(x, &id, &err), 1);
    }
    index_free(x);
    repo_free(r);
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_count_as_absent_and_can_be_read),
        cmocka_unit_test(candidates_are_not_adopted),
        cmocka_unit_test(a_pack_that_is_named_and_gone_counts_as_absent),
        cmocka_unit_test(in_doubt_everything_is_stored_anew),
        cmocka_unit_test(segments_that_others_replace_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
