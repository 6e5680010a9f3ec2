/* Rotation of data keys. */
#include "repo_fixture.h"

#include "bkd/repo/catalog.h"
#include "bkd/repo/copies.h"
#include "bkd/repo/keys.h"
#include "bkd/repo/session.h"

static void commit(struct repo *r)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    struct snapshot snap = { .level = LEVEL_FULL, .state = STATE_COMPLETE };
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err));
    OK(session_commit(s, &snap, &err));
    session_free(s);
    snapshot_clear(&snap);
}

static size_t snapshots(struct repo *r, size_t *ret_damaged)
{
    struct bk_error err = { 0 };
    struct catalog c = { 0 };
    OK(catalog_load(r, NULL, NULL, &c, &err));
    size_t n = c.n;
    *ret_damaged = c.n_damaged;
    catalog_clear(&c);
    return n;
}

static void a_new_data_key_leaves_the_old_readable(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint32_t epoch = 0;
    size_t damaged;
    struct store *mem = new_repository();
    struct repo *old = open_mem(mem);
    commit(old);
    OK(keys_rotate(old, &epoch, &err));
    assert_int_equal(epoch, 1);
    OK(keys_rotate(old, &epoch, &err)); /* from what stands there, not from what was opened */
    assert_int_equal(epoch, 2);
    struct repo *r = open_mem(mem);
    assert_int_equal(repo_keyring(r)->n_epochs, 3);
    assert_memory_equal(repo_keyring(r)->epoch[0], repo_keyring(old)->epoch[0], SUITE_KEY);
    assert_memory_not_equal(repo_keyring(r)->epoch[1], repo_keyring(r)->epoch[2], SUITE_KEY);
    commit(r);
    assert_int_equal(snapshots(r, &damaged), 2);
    assert_int_equal(damaged, 0);
    repo_free(r);
    repo_free(old);
    store_free(mem);
}

static void a_damaged_newest_keyring_is_not_rotated_past(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint32_t epoch = 0;
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    OK(keys_rotate(r, &epoch, &err));
    flip(mem, "keyring/1", 70);
    OK(keys_rotate(r, &epoch, &err)); /* the copy tells */
    assert_int_equal(epoch, 2);
    flip(mem, "keyring/2", 70);
    OK(store_remove(mem, "copies/keyring/2", &err));
    assert_int_equal(keys_rotate(r, &epoch, &err), BK_E_CORRUPT);
    assert_int_equal(count_objects(mem, "keyring/"), 3);
    repo_free(r);
    store_free(mem);
}

static void a_strangers_keyring_is_stepped_over(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint32_t epoch = 0;
    struct bk_buf b = BK_BUF(0);
    struct store *mem = new_repository(), *other = new_repository();
    struct repo *r = open_mem(mem);
    OK(store_get_all(other, "keyring/0", 1 << 20, &b, &err));
    OK(store_put(mem, "keyring/1", b.data, b.len, &err)); /* sound, under another key */
    OK(keys_rotate(r, &epoch, &err));
    assert_int_equal(epoch, 1);
    struct repo *again = open_mem(mem);
    assert_int_equal(repo_keyring(again)->n_epochs, 2);
    bk_buf_clear(&b);
    repo_free(again);
    repo_free(r);
    store_free(other);
    store_free(mem);
}

/* Wherever the store fails there is the old keyring or the new one, and it opens. */
static void a_failed_rotation_leaves_a_keyring(void **state)
{
    (void)state;
    static const enum store_fault_kind faults[] = { FAULT_ERROR, FAULT_LOST_ACK, FAULT_CUT };
    for (size_t f = 0; f < BK_COUNT(faults); f++)
        for (uint64_t nth = 1;; nth++) {
            struct bk_error err = { 0 };
            uint32_t epoch = 0;
            struct repo *r = NULL;
            struct store *mem = new_repository(), *faulty = lend_faulty(mem, faults[f], nth);
            bool fired = true;
            if (repo_open_adopt_store(faulty, &key_file, &world_real, &r, &err) == 0) {
                int rc = keys_rotate(r, &epoch, &err);
                fired = store_fault_fired(faulty);
                repo_free(r);
                r = open_mem(mem);
                assert_true(repo_keyring(r)->n_epochs == 2 || rc < 0);
                assert_true(repo_keyring(r)->n_epochs <= 2);
                repo_free(r);
            } else {
                store_free(faulty);
            }
            store_free(mem);
            if (!fired)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_data_key_leaves_the_old_readable),
        cmocka_unit_test(a_damaged_newest_keyring_is_not_rotated_past),
        cmocka_unit_test(a_strangers_keyring_is_stepped_over),
        cmocka_unit_test(a_failed_rotation_leaves_a_keyring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
