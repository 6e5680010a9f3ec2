#include "rw_fixture.h"

#include "bkd/repo/segment_draft.h"
#include "bkd/store/dir.h"

enum { PACKS = 30, FRAMES = 7, PER_FRAME = 50, PER_PACK = FRAMES * PER_FRAME, IDS = PACKS * PER_PACK };

/* Where chunk i is, as the model has it. */
static struct chunk_loc loc_of(uint32_t i)
{
    uint32_t pack = i / PER_PACK, frame = i % PER_PACK / PER_FRAME;
    struct chunk_loc l = { .kind = pack % 4 == 3,
                           .offset = PACK_HEADER + frame * 1000,
                           .stored_len = 1000,
                           .raw_len = 2000 + frame,
                           .slot = (uint16_t)(i % PER_FRAME) };
    chunk_id name = id_of(1000000 + pack);
    memcpy(l.pack.b, name.b, sizeof l.pack.b);
    return l;
}

static void add_pack(struct segment_draft *d, uint32_t pack)
{
    struct bk_error err = { 0 };
    bk_auto(pack_directory_clear) struct pack_directory dir = { 0 };
    struct chunk_loc l = loc_of(pack * PER_PACK);
    for (uint32_t f = 0; f < FRAMES; f++) {
        chunk_id ids[PER_FRAME];
        uint32_t first = pack * PER_PACK + f * PER_FRAME;
        for (uint32_t i = 0; i < PER_FRAME; i++)
            ids[i] = id_of(first + i);
        struct chunk_loc at = loc_of(first);
        OK(pack_directory_add(&dir, at.offset, at.stored_len, at.raw_len, ids, PER_FRAME, &err));
    }
    struct segment_pack p = { .name = l.pack, .bytes = 1 << 20, .kind = (uint8_t)l.kind };
    OK(segment_draft_add(d, &p, &dir, &err));
}

/* Three packs a segment: ten segments. */
static void fill(struct index *x)
{
    struct bk_error err = { 0 };
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    for (uint32_t p = 0; p < PACKS; p++) {
        add_pack(&d, p);
        if (p % 3 == 2)
            OK(segment_draft_put(&d, x, &bytes, &err));
    }
}

static void check_against_model(struct index *x, uint32_t from, uint32_t to)
{
    struct bk_error err = { 0 };
    for (uint32_t i = from; i < to; i++) {
        chunk_id id = id_of(i);
        struct chunk_loc got, want = loc_of(i);
        assert_int_equal(index_find(x, &id, &got, &err), i < IDS);
        assert_int_equal(index_has(x, &id, &err), i < IDS);
        if (i >= IDS)
            continue;
        assert_memory_equal(got.pack.b, want.pack.b, sizeof want.pack.b);
        assert_int_equal(got.kind, want.kind);
        assert_int_equal(got.offset, want.offset);
        assert_int_equal(got.stored_len, want.stored_len);
        assert_int_equal(got.raw_len, want.raw_len);
        assert_int_equal(got.slot, want.slot);
    }
}

static void finds_what_the_model_has_and_nothing_else(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    {
        bk_auto(index_free) struct index *x = open_index(r);
        check_against_model(x, IDS, IDS + 10);
        fill(x);
        assert_int_equal(index_entries(x), IDS);
        check_against_model(x, 0, IDS + 3000);
    }
    bk_auto(index_free) struct index *x = open_index(r);
    check_against_model(x, 0, IDS + 3000);
    assert_in_range(index_resident_bytes(x), IDS, 32 << 20);
}

static void a_directory_store_answers_the_same(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char place[] = "/tmp/bk-index-XXXXXX", path[64], command[64];
    assert_non_null(mkdtemp(place));
    snprintf(path, sizeof path, "%s/r", place);
    struct store *s = NULL;
    struct repo *r = NULL;
    OK(store_dir_open(path, true, NULL, &world_real, &s, &err));
    OK(repo_init_adopt_store(
        s, &(struct repo_init_opts){ .suite = SUITE_AES256_GCM, .secret = &secret, .label = "t" },
        &world_real, &r, &err));
    struct index *x = open_index(r);
    fill(x);
    check_against_model(x, 0, IDS + 3000);
    index_free(x);
    repo_free(r);
    snprintf(command, sizeof command, "rm -rf %s", place);
    assert_int_equal(system(command), 0);
}

struct walk {
    unsigned n;
    pack_name last;
};
static int step(void *ctx, const struct segment_pack *p, struct bk_error *err)
{
    struct walk *w = ctx;
    (void)err;
    assert_true(w->n == 0 || memcmp(w->last.b, p->name.b, PACK_NAME) < 0);
    w->last = p->name;
    w->n++;
    return 0;
}

static void each_pack_comes_once_in_order(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    fill(x);
    fill(x); /* the same segments again: known by their names */
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    add_pack(&d, 4); /* named by two segments */
    OK(segment_draft_put(&d, x, &bytes, &err));
    struct walk w = { 0 };
    OK(index_each_pack(x, step, &w, &err));
    assert_int_equal(w.n, PACKS);
}

static void count_damage(void *ctx, const char *object, const struct bk_error *why)
{
    assert_int_equal(why->code, BK_E_CORRUPT);
    assert_non_null(strstr(why->text, object));
    ++*(unsigned *)ctx;
}

static void a_damaged_segment_is_named_and_left_out(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    fill(x);
    index_free(x);
    static struct name_list l;
    assert_int_equal(list_names(mem, "index/", &l), 10);
    damage(mem, l.v[3], -70); /* the resident part */
    damage(mem, l.v[5], 20);  /* page 0 */
    unsigned n = 0;
    x = NULL;
    assert_int_equal(index_open(r, NULL, NULL, &x, &err), BK_E_CORRUPT);
    OK(index_open(r, count_damage, &n, &x, &err));
    assert_int_equal(n, 2);
    assert_int_equal(index_entries(x), IDS - 2 * 3 * PER_PACK);
    index_free(x);
}

/* A page is damaged: what only it holds is CORRUPT, what another segment has too is found there. */
static void a_damaged_page_hides_nothing_that_another_segment_has(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    struct index *x = open_index(r);
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    static struct name_list l;
    for (uint32_t p = 0; p < 3; p++)
        add_pack(&d, p);
    OK(segment_draft_put(&d, x, &bytes, &err));
    index_free(x);
    list_names(mem, "index/", &l);
    damage(mem, l.v[0], 3 * SEGMENT_PAGE + 100);
    x = open_index(r);
    unsigned bad = 0;
    for (uint32_t i = 0; i < 3 * PER_PACK; i++) {
        chunk_id id = id_of(i);
        struct chunk_loc got;
        int e = index_find(x, &id, &got, &err);
        if (e == BK_E_CORRUPT) {
            assert_non_null(strstr(err.text, l.v[0]));
            bad++;
        } else
            assert_int_equal(e, 1);
    }
    assert_int_equal(bad, SEGMENT_PER_PAGE);
    /* older or newer, the sound one answers */
    for (uint32_t p = 0; p < 3; p++)
        add_pack(&d, p);
    add_pack(&d, 3);
    OK(segment_draft_put(&d, x, &bytes, &err));
    check_against_model(x, 0, 4 * PER_PACK);
    index_free(x);
}

struct looker {
    struct index *x;
    uint32_t from;
};
static void *look(void *arg)
{
    struct looker *k = arg;
    check_against_model(k->x, k->from, k->from + 2 * PER_PACK);
    return NULL;
}

static void look_ups_run_while_segments_join(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *mem = new_repository();
    bk_auto(repo_free) struct repo *r = open_repository(mem);
    bk_auto(index_free) struct index *x = open_index(r);
    fill(x);
    pthread_t t[3];
    struct looker k[3];
    for (uint32_t i = 0; i < 3; i++) {
        k[i] = (struct looker){ .x = x, .from = i * 3 * PER_PACK };
        assert_int_equal(pthread_create(&t[i], NULL, look, &k[i]), 0);
    }
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    uint64_t bytes;
    for (uint32_t p = 0; p < PACKS; p++) { /* past the first list's capacity */
        add_pack(&d, p);
        OK(segment_draft_put(&d, x, &bytes, &err));
    }
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(index_entries(x), 2 * IDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_model_has_and_nothing_else),
        cmocka_unit_test(a_directory_store_answers_the_same),
        cmocka_unit_test(each_pack_comes_once_in_order),
        cmocka_unit_test(a_damaged_segment_is_named_and_left_out),
        cmocka_unit_test(a_damaged_page_hides_nothing_that_another_segment_has),
        cmocka_unit_test(look_ups_run_while_segments_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
