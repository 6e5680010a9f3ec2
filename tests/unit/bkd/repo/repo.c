#include "repo_fixture.h"

#include "bkd/repo/copies.h"
#include "bkd/repo/copies_heal.h"
#include "bkd/repo/keys.h"

static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };

static void a_new_repository_opens_with_its_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < BK_COUNT(suites); i++) {
        struct bk_error err = { 0 };
        struct store *mem = new_mem();
        struct repo *r = NULL;
        OK(try_init(lend(mem), suites[i], NULL, &err));
        OK(try_open(lend(mem), &key_file, &r, &err));
        assert_int_equal(repo_config(r)->suite, suites[i]);
        assert_int_equal(repo_keyring(r)->n_epochs, 1);
        repo_free(r);
        store_free(mem);
    }
}

static void a_passphrase_opens_and_a_wrong_one_says_so(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct repo *r = NULL;
    struct slot_secret right = { .kind = SLOT_PASSPHRASE,
                                 .data = (const uint8_t *)"correct horse",
                                 .len = 13 };
    struct slot_secret wrong = { .kind = SLOT_PASSPHRASE,
                                 .data = (const uint8_t *)"correct house",
                                 .len = 13 };
    struct slot_cost cost = { .kdf = SLOT_KDF_SCRYPT, .passes = 14 };
    struct repo_init_opts o = { .suite = SUITE_AES256_GCM, .secret = &right, .cost = &cost };
    OK(repo_init_adopt_store(lend(mem), &o, &world_real, &r, &err));
    repo_free(r);
    OK(try_open(lend(mem), &right, &r, &err));
    repo_free(r);
    assert_int_equal(try_open(lend(mem), &wrong, &r, &err), BK_E_AUTH);
    assert_string_not_equal(err.hint, "");
    assert_int_equal(try_open(lend(mem), &key_file, &r, &err), BK_E_AUTH); /* no slot of that kind */
    store_free(mem);
}

static void nothing_there_is_absent_with_a_hint(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct repo *r = NULL;
    assert_int_equal(try_open(lend(mem), &key_file, &r, &err), BK_E_ABSENT);
    assert_non_null(strstr(err.hint, "bkctl init"));
    store_free(mem);
}

static void a_second_init_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    assert_int_equal(try_init(lend(mem), SUITE_SM4, NULL, &err), BK_E_EXISTS);
    assert_int_equal(count_objects(mem, ""), 6); /* config, slot, keyring, and their copies */
    repo_free(open_mem(mem));
    store_free(mem);
}

static void a_config_out_of_range_is_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    struct config c;
    config_defaults(&c);
    c.chunk_min = c.chunk_max + 1;
    assert_true(try_init(lend(mem), SUITE_AES256_GCM, &c, &err) < 0);
    assert_int_equal(count_objects(mem, ""), 0);
    store_free(mem);
}

/* Each call of the store fails in turn, once or for good: a repository or nothing, and the next init goes
 * through. */
static void init_leaves_a_repository_or_nothing(void **state)
{
    (void)state;
    static const enum store_fault_kind kinds[] = { FAULT_ERROR, FAULT_LOST_ACK, FAULT_NOSPACE, FAULT_CUT };
    for (size_t k = 0; k < BK_COUNT(kinds); k++)
        for (uint64_t nth = 1;; nth++) {
            struct bk_error err = { 0 };
            struct store *mem = new_mem();
            struct store *faulty = lend_faulty(mem, kinds[k], nth);
            struct repo *r = NULL;
            struct repo_init_opts o = { .suite = SUITE_AES256_GCM, .secret = &key_file };
            int rc = repo_init_adopt_store(faulty, &o, &world_real, &r, &err);
            bool fired = store_fault_fired(faulty);
            if (rc == 0) {
                repo_free(r);
            } else {
                store_free(faulty);
                if (kinds[k] != FAULT_CUT)
                    assert_int_equal(count_objects(mem, ""), 0);
                rc = try_init(lend(mem), SUITE_AES256_GCM, NULL, &err);
                assert_true(rc == 0 || rc == BK_E_EXISTS);
            }
            repo_free(open_mem(mem));
            store_free(mem);
            if (!fired)
                break;
        }
}

static void a_damaged_slot_does_not_matter_when_another_opens(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    uint8_t id[SLOT_ID];
    char path[REPO_PATH];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    OK(keys_add(r, &key_file, NULL, "second", id, &err));
    repo_free(r);
    repo_id_path("keys/", id, SLOT_ID, path);
    flip(mem, path, 100);
    repo_free(open_mem(mem));
    store_free(mem);
}

static void a_damaged_keyring_or_config_is_read_from_its_copy(void **state)
{
    (void)state;
    static const char *const names[] = { "keyring/0", "config" };
    static const unsigned bits[] = { REPO_KEYRING_COPY, REPO_CONFIG_COPY };
    for (size_t i = 0; i < BK_COUNT(names); i++)
        for (int gone = 0; gone < 2; gone++) {
            struct store *mem = new_repository();
            struct repo *r = NULL;
            struct bk_error err = { 0 };
            char copy[REPO_PATH];
            copies_path(names[i], copy);
            if (gone)
                OK(store_remove(mem, names[i], &err));
            else
                flip(mem, names[i], 30);
            OK(try_open(lend(mem), &key_file, &r, &err));
            assert_int_equal(repo_from_copies(r), bits[i]);
            repo_free(r);
            flip(mem, copy, 30);
            assert_int_equal(try_open(lend(mem), &key_file, &r, &err),
                             gone && bits[i] == REPO_CONFIG_COPY ? BK_E_ABSENT : BK_E_CORRUPT);
            if (bits[i] == REPO_CONFIG_COPY) /* a new one does not take the place of a lost one */
                assert_int_equal(try_init(lend(mem), SUITE_SM4, NULL, &err), BK_E_EXISTS);
            store_free(mem);
        }
}

static void the_only_slot_is_read_from_its_copy(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        struct bk_error err = { 0 };
        struct names n = { 0 };
        struct store *mem = new_repository();
        struct repo *r = NULL;
        OK(names_list(mem, "keys/", 10, &n, &err));
        if (gone)
            OK(store_remove(mem, n.v[0].name, &err));
        else
            flip(mem, n.v[0].name, 100);
        OK(try_open(lend(mem), &key_file, &r, &err));
        assert_int_equal(repo_from_copies(r), REPO_SLOT_COPY);
        names_clear(&n);
        repo_free(r);
        store_free(mem);
    }
}

struct healing {
    unsigned seen[COPIES_BAD_BOTH + 1], healed;
};

static void see_state(void *ctx, const char *name, enum copies_state at, bool healed)
{
    struct healing *h = ctx;
    assert_non_null(name);
    h->seen[at]++;
    h->healed += healed;
}

/* Every one of them, original and copy, damaged and gone: compared, healed, and equal again. */
static void what_has_a_sound_twin_is_healed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct names n = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    OK(names_list(mem, "", 100, &n, &err));
    for (size_t i = 0; i < n.n; i++)
        for (int gone = 0; gone < 2; gone++) {
            const char *name = n.v[i].name;
            bool copy = strncmp(name, "copies/", 7) == 0;
            struct healing h = { 0 }, after = { 0 };
            struct bk_buf was = BK_BUF(0), is = BK_BUF(0);
            OK(store_get_all(mem, name, 1 << 20, &was, &err));
            if (gone)
                OK(store_remove(mem, name, &err));
            else
                flip(mem, name, 45);
            OK(copies_compare(r, false, see_state, &h, &err));
            assert_int_equal(h.healed, 0);
            assert_int_equal(h.seen[!copy ? COPIES_BAD_FIRST : gone ? COPIES_NO_COPY : COPIES_BAD_COPY], 1);
            assert_int_equal(h.seen[COPIES_EQUAL], 2);
            OK(copies_compare(r, true, see_state, &h, &err));
            assert_int_equal(h.healed, 1);
            OK(copies_compare(r, false, see_state, &after, &err));
            assert_int_equal(after.seen[COPIES_EQUAL], 3);
            OK(store_get_all(mem, name, 1 << 20, &is, &err));
            assert_int_equal(is.len, was.len);
            assert_memory_equal(is.data, was.data, is.len);
            bk_buf_clear(&was);
            bk_buf_clear(&is);
        }
    names_clear(&n);
    repo_free(r);
    store_free(mem);
}

static void the_config_of_another_repository_is_not_taken(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    struct store *mem = new_repository(), *other = new_repository();
    struct bk_buf b = BK_BUF(0);
    OK(store_get_all(other, "config", 1 << 20, &b, &err));
    replace(mem, "config", b.data, b.len);
    OK(try_open(lend(mem), &key_file, &r, &err)); /* its own is there in copy */
    assert_int_equal(repo_from_copies(r), REPO_CONFIG_COPY);
    repo_free(r);
    replace(mem, "copies/config", b.data, b.len);
    assert_int_equal(try_open(lend(mem), &key_file, &r, &err), BK_E_CORRUPT);
    bk_buf_clear(&b);
    store_free(mem);
    store_free(other);
}

static void a_newer_config_asks_for_an_upgrade(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    struct store *mem = new_repository();
    struct bk_buf b = BK_BUF(0);
    OK(store_get_all(mem, "config", 1 << 20, &b, &err));
    b.data[6]++; /* the format version */
    replace(mem, "config", b.data, b.len);
    int rc = try_open(lend(mem), &key_file, &r, &err);
    assert_int_equal(rc, BK_E_VERSION);
    assert_string_not_equal(err.hint, "");
    bk_buf_clear(&b);
    store_free(mem);
}

struct listed {
    unsigned sound, damaged;
};

static int see_slot(void *ctx, const char *object, const struct slot *slot, const struct bk_error *damage)
{
    struct listed *l = ctx;
    assert_non_null(object);
    assert_true(!slot == !!damage);
    if (slot)
        l->sound++;
    else
        l->damaged++;
    return 0;
}

static void keys_are_added_listed_and_removed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct listed l = { 0 };
    uint8_t id[SLOT_ID];
    char hex[2 * SLOT_ID + 1];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem), *again = NULL;
    OK(keys_add(r, &other_key_file, NULL, "second", id, &err));
    OK(try_open(lend(mem), &other_key_file, &again, &err));
    repo_free(again);
    OK(keys_list(mem, see_slot, &l, &err));
    assert_int_equal(l.sound, 2);

    assert_int_equal(keys_remove(r, "zz", &err), BK_E_ABSENT);
    assert_int_equal(keys_remove(r, "", &err), BK_E_ABSENT);
    object_hex(id, SLOT_ID, hex);
    OK(keys_remove(r, hex, &err));
    assert_int_equal(count_objects(mem, "copies/keys/"), 1); /* no way in is left by a copy */
    assert_int_equal(try_open(lend(mem), &other_key_file, &again, &err), BK_E_AUTH);
    repo_free(r);
    store_free(mem);
}

static void the_last_sound_key_stays(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct names n = { 0 };
    uint8_t id[SLOT_ID];
    char path[REPO_PATH];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    OK(names_list(mem, "keys/", 10, &n, &err));
    const char *first = n.v[0].name + strlen("keys/");
    assert_int_equal(keys_remove(r, first, &err), BK_E_USAGE);
    /* Neither does a damaged one make it dispensable. */
    OK(keys_add(r, &other_key_file, NULL, "second", id, &err));
    repo_id_path("keys/", id, SLOT_ID, path);
    flip(mem, path, 60);
    assert_int_equal(keys_remove(r, first, &err), BK_E_USAGE);
    names_clear(&n);
    repo_free(r);
    store_free(mem);
}

static void pack_paths_round_trip(void **state)
{
    (void)state;
    pack_name name, back;
    enum chunk_kind kind;
    char path[REPO_PATH];
    memset(name.b, 0xa7, sizeof name.b);
    for (int k = 0; k < CHUNK_KINDS; k++) {
        repo_pack_path((enum chunk_kind)k, &name, path);
        assert_true(store_name_valid(path));
        assert_int_equal(repo_pack_of_path(path, &kind, &back), 1);
        assert_int_equal(kind, k);
        assert_memory_equal(&name, &back, sizeof name);
        path[5] = 'b'; /* another fan-out folder */
        assert_int_equal(repo_pack_of_path(path, &kind, &back), 0);
    }
    assert_int_equal(repo_pack_of_path("data/", &kind, &back), 0);
    assert_int_equal(repo_pack_of_path("index/a7", &kind, &back), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_repository_opens_with_its_secret),
        cmocka_unit_test(a_passphrase_opens_and_a_wrong_one_says_so),
        cmocka_unit_test(nothing_there_is_absent_with_a_hint),
        cmocka_unit_test(a_second_init_is_refused_and_changes_nothing),
        cmocka_unit_test(a_config_out_of_range_is_refused),
        cmocka_unit_test(init_leaves_a_repository_or_nothing),
        cmocka_unit_test(a_damaged_slot_does_not_matter_when_another_opens),
        cmocka_unit_test(a_damaged_keyring_or_config_is_read_from_its_copy),
        cmocka_unit_test(the_only_slot_is_read_from_its_copy),
        cmocka_unit_test(what_has_a_sound_twin_is_healed),
        cmocka_unit_test(the_config_of_another_repository_is_not_taken),
        cmocka_unit_test(a_newer_config_asks_for_an_upgrade),
        cmocka_unit_test(keys_are_added_listed_and_removed),
        cmocka_unit_test(the_last_sound_key_stays),
        cmocka_unit_test(pack_paths_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
