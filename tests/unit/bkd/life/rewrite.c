#include "tests/unit/bkd/repo/rw_fixture.h"

#include "bkd/life/rewrite.h"
#include "bkd/repo/segment_draft.h"

enum { CHUNKS = 10, P = 0, Q = 1, DOOMED = 10 };

static pack_name name_of(uint32_t pack)
{
    pack_name n;
    chunk_id id = id_of(1000000 + pack);
    memcpy(n.b, id.b, sizeof n.b);
    return n;
}

static void add(struct segment_draft *d, uint32_t pack, uint32_t first_chunk)
{
    struct bk_error err = { 0 };
    bk_auto(pack_directory_clear) struct pack_directory dir = { 0 };
    chunk_id ids[CHUNKS];
    for (uint32_t i = 0; i < CHUNKS; i++)
        ids[i] = id_of(first_chunk + i);
    OK(pack_directory_add(&dir, PACK_HEADER, 1000, 2000, ids, CHUNKS, &err));
    struct segment_pack p = { .bytes = 1 << 20, .name = name_of(pack) };
    OK(segment_draft_add(d, &p, &dir, &err));
}

static int by_name(const void *a, const void *b)
{
    return memcmp(((const struct pack *)a)->name.b, ((const struct pack *)b)->name.b, PACK_NAME);
}

static void has_both(struct index *x)
{
    struct bk_error err = { 0 };
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct chunk_loc one, other;
        chunk_id id = id_of(i);
        assert_int_equal(index_find(x, &id, &one, &err), 1);
        assert_int_equal(index_find_elsewhere(x, &id, &one.pack, &other, &err), 1);
        assert_memory_not_equal(one.pack.b, other.pack.b, PACK_NAME);
    }
}

/* Two segments become one because each names a pack that goes; both have the same chunks as well, in two
 * packs that stay. One of those may be rotten without anybody knowing. */
static void two_places_of_a_chunk_outlive_the_rewrite(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    for (uint32_t i = P; i <= Q; i++) {
        bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
        uint64_t bytes;
        add(&d, i, 0);
        add(&d, DOOMED + i, 100 + i * CHUNKS);
        OK(segment_draft_put(&d, x, &bytes, &err));
    }
    has_both(x);
    struct pack v[] = { { .name = name_of(P) },
                        { .name = name_of(Q) },
                        { .name = name_of(DOOMED), .flags = PACK_DOOMED },
                        { .name = name_of(DOOMED + 1), .flags = PACK_DOOMED } };
    qsort(v, BK_COUNT(v), sizeof *v, by_name);
    struct packs packs = { .v = v, .n = BK_COUNT(v) };
    struct job j = { .n_threads = 1 };
    OK(job_init(&j, &err));
    struct prune p = { .repo = r, .job = &j };
    OK(rewrite_run(&p, x, &packs, &err));
    job_clear(&j);
    index_free(x);
    x = open_index(r);
    has_both(x);
    for (uint32_t i = 0; i < 2 * CHUNKS; i++) {
        struct chunk_loc loc;
        chunk_id gone = id_of(100 + i);
        assert_int_equal(index_find(x, &gone, &loc, &err), 0);
    }
    index_free(x);
}

/* More than one segment can supersede, and nothing of them stays. */
static void many_segments_of_which_nothing_stays_go(void **state)
{
    (void)state;
    enum { MANY = 2 * SEGMENT_SUPERSEDED_MAX + 7 };
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    static struct pack v[MANY];
    static struct name_list l;
    for (uint32_t i = 0; i < MANY; i++) {
        bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
        uint64_t bytes;
        add(&d, DOOMED + i, i * CHUNKS);
        OK(segment_draft_put(&d, x, &bytes, &err));
        v[i] = (struct pack){ .name = name_of(DOOMED + i), .flags = PACK_DOOMED };
    }
    qsort(v, BK_COUNT(v), sizeof *v, by_name);
    struct packs packs = { .v = v, .n = BK_COUNT(v) };
    struct job j = { .n_threads = 1 };
    OK(job_init(&j, &err));
    struct prune p = { .repo = r, .job = &j };
    repo_store(r)->can |= STORE_CAN_RETAIN;
    OK(rewrite_run(&p, x, &packs, &err));
    job_clear(&j);
    assert_int_equal(list_names(mem, "index/", &l), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_places_of_a_chunk_outlive_the_rewrite),
        cmocka_unit_test(many_segments_of_which_nothing_stays_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
