#include "rw_fixture.h"

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_merge.h"
#include "bkd/repo/index_superseded.h"
#include "bkd/repo/segment_draft.h"
#include "bkd/store/dir.h"

enum { PACKS = 160, PER_PACK = 60 };

/* The model: chunk i is in pack i / PER_PACK, in a frame of its own for each ten, once the pack is named. */
static bool named[PACKS];

static void add_pack(struct segment_draft *d, uint32_t pack)
{
    struct bk_error err = { 0 };
    bk_auto(pack_directory_clear) struct pack_directory dir = { 0 };
    for (uint32_t f = 0; f < PER_PACK / 10; f++) {
        chunk_id ids[10];
        for (uint32_t i = 0; i < 10; i++)
            ids[i] = id_of(pack * PER_PACK + f * 10 + i);
        OK(pack_directory_add(&dir, PACK_HEADER + f * 1000, 1000, 2000 + pack, ids, 10, &err));
    }
    struct segment_pack p = { .bytes = 1 << 20 };
    chunk_id name = id_of(1000000 + pack);
    memcpy(p.name.b, name.b, sizeof p.name.b);
    OK(segment_draft_add(d, &p, &dir, &err));
    named[pack] = true;
}

/* A run of a backup: a segment of n packs. */
static void put_packs(struct index *x, uint32_t first, uint32_t n)
{
    struct bk_error err = { 0 };
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    for (uint32_t i = 0; i < n; i++)
        add_pack(&d, (first + i) % PACKS);
    OK(segment_draft_put(&d, x, &bytes, &err));
}

static void check_against_model(struct index *x)
{
    struct bk_error err = { 0 };
    for (uint32_t i = 0; i < PACKS * PER_PACK + 500; i++) {
        uint32_t pack = i / PER_PACK;
        bool want = pack < PACKS && named[pack];
        chunk_id id = id_of(i), name = id_of(1000000 + pack);
        struct chunk_loc got;
        assert_int_equal(index_find(x, &id, &got, &err), want);
        if (!want)
            continue;
        assert_memory_equal(got.pack.b, name.b, sizeof got.pack.b);
        assert_int_equal(got.offset, PACK_HEADER + i % PER_PACK / 10 * 1000);
        assert_int_equal(got.raw_len, 2000 + pack);
        assert_int_equal(got.slot, i % 10);
    }
}

static size_t live(struct index *x)
{
    size_t n = 0;
    while (index_segment_at(x, n))
        n++;
    return n;
}

static uint64_t merge(struct index *x)
{
    struct bk_error err = { 0 };
    struct job j = { .n_threads = 1, .memory_bytes = JOB_MEMORY_MIN };
    uint64_t fewer;
    OK(job_init(&j, &err));
    OK(index_merge(x, &j, &fewer, &err));
    job_clear(&j);
    return fewer;
}

struct place {
    char folder[32], path[64];
    struct store *store;
};
static void place_make(struct place *p)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    snprintf(p->folder, sizeof p->folder, "/tmp/bk-merge-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/r", p->folder);
    OK(store_dir_open(p->path, true, NULL, &world_real, &p->store, &err));
    OK(repo_init_adopt_store(
        p->store, &(struct repo_init_opts){ .suite = SUITE_AES256_GCM, .secret = &secret, .label = "t" },
        &world_real, &r, &err));
    repo_free(r);
}
static struct repo *place_open(struct place *p)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    OK(store_dir_open(p->path, false, NULL, &world_real, &p->store, &err));
    OK(repo_open_adopt_store(p->store, &secret, &world_real, &r, &err));
    return r;
}
static void place_remove(struct place *p)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", p->folder);
    assert_int_equal(system(command), 0);
}

/* Many runs of all sizes, some of them naming packs that others named; opened anew now and then. The memory
 * store gives no descriptors: nothing is removed there, and what is superseded must be ignored. */
static void run_many(struct repo *r, bool removes)
{
    struct bk_error err = { 0 };
    struct index *x = open_index(r);
    static struct name_list l;
    uint64_t seed = 7;
    memset(named, 0, sizeof named);
    for (unsigned run = 0; run < 60; run++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        put_packs(x, (uint32_t)(seed >> 40) % PACKS, 1 + (uint32_t)(seed >> 60) % 6);
        if (run % 3 == 2)
            merge(x);
        if (run % 10 == 9) {
            size_t before = live(x);
            check_against_model(x);
            index_free(x);
            x = open_index(r);
            assert_int_equal(live(x), before);
            check_against_model(x);
        }
    }
    merge(x);
    assert_in_range(live(x), 1, 3 * 4);
    if (removes) {
        assert_int_equal(index_superseded(x)->n, 0);
        assert_int_equal(list_names(repo_store(r), "index/", &l), live(x));
    } else {
        assert_in_range(index_superseded(x)->n, 40, 80);
        assert_int_equal(list_names(repo_store(r), "index/", &l), live(x) + index_superseded(x)->n);
        /* the collector's part */
        OK(index_superseded_sweep(index_superseded(x), repo_store(r), &err));
        assert_int_equal(list_names(repo_store(r), "index/", &l), live(x));
    }
    check_against_model(x);
    index_free(x);
    x = open_index(r);
    check_against_model(x);
    index_free(x);
}

static void merged_segments_say_what_the_model_says(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    run_many(r, false);
    struct place p;
    place_make(&p);
    bk_auto(repo_free) struct repo *d = place_open(&p);
    run_many(d, true);
    place_remove(&p);
}

static void who_opened_before_a_merge_reads_on(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    bk_auto(repo_free) struct repo *r = place_open(&p);
    bk_auto(repo_free) struct repo *other = place_open(&p);
    bk_auto(index_free) struct index *x = open_index(r);
    memset(named, 0, sizeof named);
    for (uint32_t i = 0; i < 8; i++)
        put_packs(x, i, 1);
    bk_auto(index_free) struct index *before = open_index(other);
    assert_int_equal(merge(x), 7);
    assert_int_equal(live(x), 1);
    check_against_model(before);
    assert_int_equal(live(before), 8);
    /* it merges what is gone: the same object comes of it, and goes on from there */
    assert_int_equal(merge(before), 7);
    check_against_model(before);
    static struct name_list l;
    assert_int_equal(list_names(repo_store(r), "index/", &l), 1);
    place_remove(&p);
}

static void each_entry_is_written_once_per_tier(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct place p;
    place_make(&p);
    bk_auto(repo_free) struct repo *r = place_open(&p);
    bk_auto(index_free) struct index *x = open_index(r);
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    memset(named, 0, sizeof named);
    uint64_t written = 0, put = 0, bytes;
    for (uint32_t run = 0; run < 64; run++) {
        for (uint32_t i = 0; i < 18; i++) /* 1080 entries: past the first tier */
            add_pack(&d, (run * 18 + i) % PACKS);
        for (size_t i = 0; i < d.n_entries; i++) /* other ids each time */
            d.entries[i].id = id_of(2000000 + run * 2000 + (uint32_t)i);
        put += d.n_entries;
        OK(segment_draft_put(&d, x, &bytes, &err));
        for (size_t before = live(x); merge(x) > 0; before = live(x)) {
            assert_in_range(before, 4, 13);
            for (size_t i = 0; i < live(x); i++)
                if (index_segment_at(x, i)->seg.n_superseded && i + 1 == live(x))
                    written += index_segment_at(x, i)->seg.n_entries;
        }
    }
    assert_int_equal(index_entries(x), put);
    assert_in_range(live(x), 1, 9);
    assert_in_range(written, put, 4 * put);
    place_remove(&p);
}

static void what_is_shunned_is_left_alone(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    memset(named, 0, sizeof named);
    for (uint32_t i = 0; i < 5; i++)
        put_packs(x, i, 1);
    struct index_segment *s = index_segment_at(x, 2);
    s->shunned = calloc(1, 1); /* as index_guard says that one of its packs is about to go */
    assert_int_equal(merge(x), 3);
    assert_ptr_equal(index_segment_at(x, 0), s);
    assert_int_equal(live(x), 2);
    check_against_model(x);
}

/* The chunks of one pack, in another. */
static void put_again(struct index *x, uint32_t of, uint32_t pack)
{
    struct bk_error err = { 0 };
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    add_pack(&d, pack);
    named[pack] = false;
    for (size_t i = 0; i < d.n_entries; i++)
        d.entries[i].id = id_of(of * PER_PACK + (uint32_t)i);
    OK(segment_draft_put(&d, x, &bytes, &err));
}

static unsigned places(struct index *x, uint32_t pack)
{
    struct bk_error err = { 0 };
    unsigned n = 0;
    for (uint32_t i = 0; i < PER_PACK; i++) {
        struct chunk_loc one, other;
        chunk_id id = id_of(pack * PER_PACK + i);
        assert_int_equal(index_find(x, &id, &one, &err), 1);
        n++;
        if (index_find_elsewhere(x, &id, &one.pack, &other, &err) == 1) {
            assert_memory_not_equal(one.pack.b, other.pack.b, PACK_NAME);
            n++;
        }
    }
    return n;
}

/* A collector has written a chunk anew and is about to delete the first place: a merge in between must forget
 * neither, and goes on with what holds no chunk twice. */
static void both_places_of_a_chunk_outlive_a_merge(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    memset(named, 0, sizeof named);
    for (uint32_t i = 0; i < 3; i++)
        put_packs(x, i, 1);
    put_again(x, 0, 3);
    assert_int_equal(merge(x), 2);
    assert_int_equal(live(x), 2);
    assert_int_equal(places(x, 0), 2 * PER_PACK);
    for (uint32_t i = 4; i < 8; i++)
        put_packs(x, i, 1);
    assert_in_range(merge(x), 3, 4);
    assert_int_equal(places(x, 0), 2 * PER_PACK);
    for (uint32_t i = 1; i < 8; i++)
        if (i != 3)
            assert_int_equal(places(x, i), PER_PACK);
}

/* Nothing can be merged of those that all hold the same chunks elsewhere, and it is found out in the end. */
static void what_disagrees_with_all_stays_apart(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    memset(named, 0, sizeof named);
    put_packs(x, 0, 1);
    for (uint32_t i = 1; i < 6; i++)
        put_again(x, 0, i);
    assert_int_equal(merge(x), 0);
    assert_int_equal(live(x), 6);
    put_packs(x, 10, 1);
    put_packs(x, 11, 1); /* the two, and one of the six */
    assert_int_equal(merge(x), 2);
    assert_int_equal(places(x, 0), 2 * PER_PACK);
    assert_int_equal(places(x, 10) + places(x, 11), 2 * PER_PACK);
}

static void a_damaged_segment_stays_and_hinders_nobody(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    memset(named, 0, sizeof named);
    for (uint32_t i = 0; i < 6; i++)
        put_packs(x, i, 1);
    index_free(x);
    static struct name_list l;
    list_names(mem, "index/", &l);
    damage(mem, l.v[2], SEGMENT_PAGE + 40); /* an entry page */
    x = open_index(r);
    assert_int_equal(merge(x), 0); /* seen now */
    assert_int_equal(live(x), 6);
    assert_int_equal(merge(x), 4); /* and passed over from then on */
    assert_int_equal(live(x), 2);
    index_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_segments_say_what_the_model_says),
        cmocka_unit_test(who_opened_before_a_merge_reads_on),
        cmocka_unit_test(each_entry_is_written_once_per_tier),
        cmocka_unit_test(what_is_shunned_is_left_alone),
        cmocka_unit_test(both_places_of_a_chunk_outlive_a_merge),
        cmocka_unit_test(what_disagrees_with_all_stays_apart),
        cmocka_unit_test(a_damaged_segment_stays_and_hinders_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
