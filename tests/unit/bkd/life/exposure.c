#include "tests/unit/bkd/repo/repo_fixture.h"

#include "bkd/life/exposure.h"
#include "bkd/repo/keys.h"
#include "bkd/repo/session.h"

static void commit(struct repo *r, int64_t start_s)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    struct snapshot snap = { .level = LEVEL_FULL, .state = STATE_COMPLETE, .start_ns = start_s * 1000000000 };
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err));
    OK(session_commit(s, &snap, &err));
    session_free(s);
    snapshot_clear(&snap);
}

static void put_pack(struct store *mem, enum chunk_kind kind, uint8_t name, uint32_t epoch)
{
    struct bk_error err = { 0 };
    uint8_t bytes[PACK_HEADER + 44] = { 0 };
    pack_name id;
    char path[REPO_PATH];
    struct pack_header h = { .suite = SUITE_AES256_GCM, .epoch = epoch, .kind = kind };
    memset(id.b, name, sizeof id.b);
    repo_pack_path(kind, &id, path);
    pack_header_encode(&h, bytes);
    OK(store_put(mem, path, bytes, sizeof bytes, &err));
}

static void count_pack(void *ctx, const char *object, uint64_t bytes)
{
    (void)object;
    assert_int_equal(bytes, PACK_HEADER + 44);
    ++*(unsigned *)ctx;
}

static void an_epoch_reads_its_own_and_a_slot_all(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint32_t epoch;
    struct job job = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    OK(job_init(&job, &err));
    commit(r, 1000);
    OK(keys_rotate(r, &epoch, &err));
    repo_free(r);
    r = open_mem(mem);
    commit(r, 3000);
    commit(r, 2000);
    put_pack(mem, CHUNK_DATA, 1, 0);
    put_pack(mem, CHUNK_DATA, 2, 0);
    put_pack(mem, CHUNK_META, 3, 0);
    put_pack(mem, CHUNK_META, 4, 1);
    OK(store_put(mem, "data/05/0505050505050505050505050505050505050505050505050505050505050505", "x", 1,
                 &err));
    struct catalog c = { 0 };
    OK(catalog_load(r, NULL, NULL, &c, &err));
    unsigned told = 0;
    struct exposure_fn fn = { .ctx = &told }, packs = { count_pack, NULL, &told };
    struct exposure x = { 0 };
    OK(exposure_find(r, &job, &c, 0, &fn, &x, &err));
    assert_int_equal(x.n_epochs, 2);
    assert_int_equal(x.n_packs[CHUNK_DATA], 3); /* the broken one counts as read */
    assert_int_equal(x.n_unknown, 1);
    assert_int_equal(x.n_packs[CHUNK_META], 1);
    assert_int_equal(x.n_snapshots, 1);
    assert_int_equal(x.since_s, repo_config(r)->created_s);
    OK(store_remove(mem, "data/05/0505050505050505050505050505050505050505050505050505050505050505", &err));
    OK(exposure_find(r, &job, &c, 1, &packs, &x, &err));
    assert_int_equal(told, 1);
    assert_int_equal(x.n_packs[CHUNK_DATA], 0);
    assert_int_equal(x.n_snapshots, 2);
    assert_int_equal(x.since_s, 2000);
    OK(exposure_find(r, &job, &c, EXPOSURE_ALL, &fn, &x, &err));
    assert_int_equal(x.n_packs[CHUNK_DATA] + x.n_packs[CHUNK_META], 4);
    assert_int_equal(x.pack_bytes[CHUNK_DATA], 2 * (PACK_HEADER + 44));
    assert_int_equal(x.n_snapshots, 3);
    assert_int_equal(exposure_find(r, &job, &c, 2, &fn, &x, &err), BK_E_ABSENT);
    catalog_clear(&c);
    repo_free(r);
    store_free(mem);
    job_clear(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_epoch_reads_its_own_and_a_slot_all) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
