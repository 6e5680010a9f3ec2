#include "repo_fixture.h"

#include "bkd/repo/catalog.h"
#include "bkd/repo/session.h"

static void add(struct repo *r, const char *name, enum snapshot_level level, enum snapshot_state st,
                char *ret_hex)
{
    struct bk_error err = { 0 };
    struct session *s = NULL;
    struct snapshot snap = { .level = level, .state = st };
    snap.name = strdup(name);
    snap.host = strdup("h");
    snap.user = strdup("u");
    snap.program = strdup("t");
    OK(snapshot_list_add(&snap.tags, "born", &err));
    OK(session_open(r, SESSION_WRITER, "backup", &s, &err));
    OK(session_commit(s, &snap, &err));
    if (ret_hex)
        object_hex(snap.id, SESSION_ID, ret_hex);
    session_free(s);
    snapshot_clear(&snap);
}

static void show_damage(void *ctx, const char *object, const struct bk_error *why)
{
    (void)ctx;
    print_message("%s: %s\n", object, why->text);
}

static struct catalog load(struct repo *r)
{
    struct bk_error err = { 0 };
    struct catalog c = { 0 };
    OK(catalog_load(r, show_damage, NULL, &c, &err));
    return c;
}

static uint64_t sequence_of(const struct catalog *c, const char *name)
{
    struct bk_error err = { 0 };
    const struct catalog_item *i = NULL;
    OK(catalog_resolve(c, name, &i, &err));
    return i->snap.sequence;
}

static int resolve_code(const struct catalog *c, const char *name)
{
    struct bk_error err = { 0 };
    const struct catalog_item *i = NULL;
    return catalog_resolve(c, name, &i, &err);
}

static void snapshots_are_named_as_people_do(void **state)
{
    (void)state;
    char hex[2 * SESSION_ID + 1], text[128];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, hex);
    add(r, "mail", LEVEL_FULL, STATE_EXCEPTIONS, NULL);
    add(r, "home", LEVEL_INCREMENTAL, STATE_COMPLETE, NULL);
    add(r, "root@host", LEVEL_FULL, STATE_COMPLETE, NULL);
    add(r, "home", LEVEL_INCREMENTAL, STATE_INCOMPLETE, NULL);
    struct catalog c = load(r);
    assert_int_equal(c.n, 5);
    for (size_t i = 0; i < c.n; i++)
        assert_int_equal(c.v[i].snap.sequence, i + 1);
    assert_int_equal(sequence_of(&c, "latest"), 4);
    assert_int_equal(sequence_of(&c, "home@latest"), 3);
    assert_int_equal(sequence_of(&c, "mail@latest"), 2);
    assert_int_equal(sequence_of(&c, "root@host@latest"), 4);
    assert_int_equal(sequence_of(&c, hex), 1);
    hex[12] = '\0';
    for (char *p = hex; *p; p++)
        *p = (char)(*p >= 'a' ? *p - 32 : *p);
    assert_int_equal(sequence_of(&c, hex), 1);
    snprintf(text, sizeof text, "home@%s", hex);
    assert_int_equal(sequence_of(&c, text), 1);
    snprintf(text, sizeof text, "mail@%s", hex);
    assert_int_equal(resolve_code(&c, text), BK_E_ABSENT);
    hex[3] = '\0';
    assert_int_equal(resolve_code(&c, hex), BK_E_ABSENT); /* too short */
    assert_int_equal(resolve_code(&c, ""), BK_E_ABSENT);
    assert_int_equal(resolve_code(&c, "none@latest"), BK_E_ABSENT);
    assert_int_equal(resolve_code(&c, "home"), BK_E_ABSENT);
    assert_int_equal(catalog_newest(&c, "home", LEVEL_FULL)->snap.sequence, 1);
    assert_int_equal(catalog_newest(&c, "home", 0)->snap.sequence, 3);
    assert_null(catalog_newest(&c, "none", 0));
    catalog_clear(&c);
    repo_free(r);
    store_free(mem);
}

static void an_ambiguous_prefix_lists_the_candidates(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct catalog_item items[3] = { 0 };
    const struct catalog_item *found = NULL;
    struct catalog c = { .v = items, .by_id = (uint32_t[]){ 2, 0, 1 }, .n = 3 };
    memset(items[0].snap.id, 0xab, SESSION_ID);
    memset(items[1].snap.id, 0xab, SESSION_ID);
    items[1].snap.id[2] = 0xcd;
    memset(items[2].snap.id, 0x11, SESSION_ID);
    assert_int_equal(catalog_resolve(&c, "abab", &found, &err), BK_E_AMBIGUOUS);
    assert_non_null(strstr(err.text, "ababab"));
    assert_non_null(strstr(err.text, "ababcd"));
    assert_int_equal(catalog_resolve(&c, "ababc", &found, &err), 0);
    assert_ptr_equal(found, &items[1]);
}

static void an_empty_repository_has_no_latest(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    const struct catalog_item *found = NULL;
    struct catalog c = { 0 };
    assert_int_equal(catalog_resolve(&c, "latest", &found, &err), BK_E_ABSENT);
    assert_string_not_equal(err.hint, "");
}

static void count_damage(void *ctx, const char *object, const struct bk_error *why)
{
    assert_non_null(object);
    assert_true(why->code < 0);
    ++*(unsigned *)ctx;
}

static void a_damaged_snapshot_is_passed_over_and_told(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char hex[2 * SESSION_ID + 1], path[REPO_PATH];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct catalog c = { 0 };
    unsigned told = 0;
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, NULL);
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, hex);
    snprintf(path, sizeof path, "snapshots/%s", hex);
    flip(mem, path, 70);
    OK(catalog_load(r, count_damage, &told, &c, &err));
    assert_int_equal(c.n, 1);
    assert_int_equal(c.n_damaged, 1);
    assert_int_equal(told, 1);
    assert_int_equal(sequence_of(&c, "latest"), 1);
    catalog_clear(&c);
    repo_free(r);
    store_free(mem);
}

static void a_snapshot_under_another_name_does_not_open(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char hex[2 * SESSION_ID + 1], path[REPO_PATH];
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    struct bk_buf b = BK_BUF(0);
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, hex);
    snprintf(path, sizeof path, "snapshots/%s", hex);
    OK(store_get_all(mem, path, 1 << 20, &b, &err));
    OK(store_put(mem, "snapshots/00000000000000000000000000000000", b.data, b.len, &err));
    struct catalog c = load(r);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.n_damaged, 1);
    catalog_clear(&c);
    bk_buf_clear(&b);
    repo_free(r);
    store_free(mem);
}

static bool tagged(const struct catalog_item *i, const char *tag)
{
    const struct snapshot_list *l = catalog_tags(i);
    for (size_t k = 0; k < l->n; k++)
        if (strcmp(l->v[k], tag) == 0)
            return true;
    return false;
}

static void annotate(struct repo *r, const struct catalog_item *i, const char *add_tag,
                     const char *remove_tag, int hold)
{
    struct bk_error err = { 0 };
    struct note_change c = { .add_tags = &add_tag,
                             .n_add = !!add_tag,
                             .remove_tags = &remove_tag,
                             .n_remove = !!remove_tag,
                             .hold = hold,
                             .reason = "audit",
                             .who = "me@here" };
    OK(catalog_annotate(r, i, &c, &err));
}

static void notes_change_tags_and_hold(void **state)
{
    (void)state;
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, NULL);
    struct catalog before = load(r);
    assert_true(tagged(&before.v[0], "born"));
    annotate(r, &before.v[0], "kept", NULL, 1);
    /* From the same old view: what is in force is read again, so nothing is lost. */
    annotate(r, &before.v[0], "more", "born", -1);
    annotate(r, &before.v[0], "more", NULL, -1); /* nothing new: no note */
    struct catalog after = load(r);
    assert_int_equal(after.v[0].note.number, 2);
    assert_true(after.v[0].note.hold);
    assert_string_equal(after.v[0].note.reason, "audit");
    assert_true(tagged(&after.v[0], "kept") && tagged(&after.v[0], "more"));
    assert_false(tagged(&after.v[0], "born"));
    annotate(r, &before.v[0], NULL, NULL, 0);
    struct catalog released = load(r);
    assert_false(released.v[0].note.hold);
    assert_string_equal(released.v[0].note.reason, "");
    catalog_clear(&released);
    catalog_clear(&after);
    catalog_clear(&before);
    repo_free(r);
    store_free(mem);
}

/* A store in which somebody else puts the next note just before us, the first few times. */
struct racing {
    struct store store;
    struct store *to;
    struct repo *rival; /* NULL while the rival itself works */
    const struct catalog_item *item;
    unsigned left;
};
static int racing_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct racing *x = (struct racing *)s;
    if (x->left && strncmp(name, "notes/", 6) == 0) {
        char tag[16];
        snprintf(tag, sizeof tag, "rival%u", x->left--);
        annotate(x->rival, x->item, tag, NULL, -1);
    }
    return store_put(x->to, name, data, len, err);
}

static void who_comes_second_reads_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = new_repository();
    struct repo *rival = open_mem(mem), *r = NULL;
    add(rival, "home", LEVEL_FULL, STATE_COMPLETE, NULL);
    struct catalog before = load(rival);
    struct store *lent = lend(mem);
    struct store_ops ops = *lent->ops;
    ops.put = racing_put;
    struct racing *x = calloc(1, sizeof *x);
    x->store = *lent;
    x->store.ops = &ops;
    x->to = mem;
    x->rival = rival;
    x->item = &before.v[0];
    x->left = 3;
    store_free(lent);
    OK(try_open(&x->store, &key_file, &r, &err));
    annotate(r, &before.v[0], "mine", NULL, -1);
    struct catalog after = load(rival);
    assert_int_equal(after.v[0].note.number, 4);
    assert_true(tagged(&after.v[0], "mine") && tagged(&after.v[0], "rival3") &&
                tagged(&after.v[0], "rival1"));
    catalog_clear(&after);
    catalog_clear(&before);
    repo_free(r);
    repo_free(rival);
    store_free(mem);
}

static void a_damaged_note_counts_as_a_hold(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct names n = { 0 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    add(r, "home", LEVEL_FULL, STATE_COMPLETE, NULL);
    struct catalog c = load(r);
    annotate(r, &c.v[0], "one", NULL, -1);
    annotate(r, &c.v[0], "two", NULL, -1);
    OK(names_list(mem, "notes/", 10, &n, &err));
    flip(mem, n.v[1].name, 60);
    struct catalog after = load(r);
    assert_true(after.v[0].note.hold);
    assert_true(tagged(&after.v[0], "one"));
    annotate(r, &c.v[0], NULL, NULL, 0);
    struct catalog released = load(r);
    assert_int_equal(released.v[0].note.number, 3);
    assert_false(released.v[0].note.hold);
    names_clear(&n);
    catalog_clear(&released);
    catalog_clear(&after);
    catalog_clear(&c);
    repo_free(r);
    store_free(mem);
}

static void an_empty_tag_is_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    const char *tag = "";
    struct catalog_item i = { 0 };
    struct note_change c = { .add_tags = &tag, .n_add = 1, .hold = -1 };
    struct store *mem = new_repository();
    struct repo *r = open_mem(mem);
    assert_int_equal(catalog_annotate(r, &i, &c, &err), BK_E_USAGE);
    repo_free(r);
    store_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_are_named_as_people_do),
        cmocka_unit_test(an_ambiguous_prefix_lists_the_candidates),
        cmocka_unit_test(an_empty_repository_has_no_latest),
        cmocka_unit_test(a_damaged_snapshot_is_passed_over_and_told),
        cmocka_unit_test(a_snapshot_under_another_name_does_not_open),
        cmocka_unit_test(notes_change_tags_and_hold),
        cmocka_unit_test(who_comes_second_reads_again),
        cmocka_unit_test(a_damaged_note_counts_as_a_hold),
        cmocka_unit_test(an_empty_tag_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
