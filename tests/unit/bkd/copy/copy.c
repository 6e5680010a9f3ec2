/* Copies between repositories: the same to the last byte, only once, and only what is missing. */
#include "tests/unit/bkd/copy/copy_fixture.h"

enum { BIG = 3 << 20 };
static uint8_t big[BIG];

static void make_place(void)
{
    char name[64];
    put_dir("dir");
    put_dir("dir/deep");
    put_dir("empty");
    put_dir("wide");
    for (unsigned i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "wide/%u", i);
        put_file(name, name, strlen(name));
    }
    noise(big, BIG, 1);
    put_file("dir/big", big, BIG);
    put_file("dir/deep/small", "small", 5);
    put_file("nothing", "", 0);
    assert_int_equal(symlink("dir/big", at("link")), 0);
    int fd = open(at("sparse"), O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, 8 << 20), 0);
    assert_int_equal(pwrite(fd, "end", 3, (8 << 20) - 3), 3);
    close(fd);
}

static void there_and_back_is_the_same(void **state)
{
    (void)state;
    make_place();
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    struct far f = far_new(SUITE_SM4), g = far_new(SUITE_AES256_GCM);
    struct copied_all all = copy_all(b.repo, f.repo);
    assert_int_equal(all.copied, 1);
    same_all(b.repo, f.repo);
    is_sound(f.repo);
    /* a copy of a copy is a copy of the first one */
    assert_int_equal(copy_all(f.repo, g.repo).copied, 1);
    same_all(b.repo, g.repo);
    is_sound(g.repo);
    assert_int_equal(copy_all(b.repo, g.repo).skipped, 1);
    /* and the first one needs no copy of it */
    assert_int_equal(copy_all(g.repo, b.repo).skipped, 1);
    is_sound(b.repo);
    snapshot_clear(&s);
    far_free(&f);
    far_free(&g);
    bed_free(&b);
}

static void a_second_copy_transfers_nothing(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    struct far f = far_new(SUITE_SM4);
    assert_int_equal(copy_all(b.repo, f.repo).copied, 1);
    size_t objects = count_objects(f.mem, "");
    struct copied_all again = copy_all(b.repo, f.repo);
    assert_int_equal(again.skipped, 1);
    assert_int_equal(again.copied, 0);
    assert_int_equal(count_objects(f.mem, ""), objects);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

static void an_incremental_copy_reads_what_changed(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    struct far f = far_new(SUITE_SM4);
    struct copied_all first = copy_all(b.repo, f.repo);
    assert_true(first.sum.chunks_read > 700);
    snapshot_clear(&s);

    put_file("dir/deep/small", "other", 5);
    noise(big + (1 << 20), 4096, 77);
    put_file("dir/big", big, BIG);
    s = bed_run(&b);
    struct copied_all second = copy_all(b.repo, f.repo);
    assert_int_equal(second.copied, 1);
    assert_int_equal(second.skipped, 1);
    same_all(b.repo, f.repo);
    is_sound(f.repo);
    assert_in_range(second.sum.chunks_read, 2, 6); /* the small one, and where the big one changed */
    assert_true(second.last.pages_learned > 0);
    assert_true(second.sum.pages_read < first.sum.pages_read);

    /* nothing changed at all: the pages on the way to it are not even looked at */
    snapshot_clear(&s);
    s = bed_run(&b);
    struct copied_all third = copy_all(b.repo, f.repo);
    assert_int_equal(third.copied, 1);
    assert_int_equal(third.sum.chunks_read, 0);
    same_all(b.repo, f.repo);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

static void many_snapshots_share_what_they_share(void **state)
{
    (void)state;
    struct bed b = bed_new();
    for (unsigned i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "wide/%u", i * 100);
        put_file(name, &i, sizeof i);
        struct snapshot s = bed_run(&b);
        snapshot_clear(&s);
    }
    struct far f = far_new(SUITE_SM4), g = far_new(SUITE_SM4);
    struct copied_all all = copy_all(b.repo, f.repo);
    assert_int_equal(all.copied, 5);
    same_all(b.repo, f.repo);
    is_sound(f.repo);
    /* all at once or one after the other: as many chunks */
    struct copied_all again = copy_all(b.repo, g.repo);
    assert_int_equal(again.sum.chunks_read, all.sum.chunks_read);
    assert_true(all.last.chunks_read <= 2);
    far_free(&f);
    far_free(&g);
    bed_free(&b);
}

static void parents_are_the_copies_of_parents(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot one = bed_run(&b), two = bed_run(&b);
    struct far f = far_new(SUITE_SM4);
    assert_int_equal(copy_all(b.repo, f.repo).copied, 2);
    struct bk_error err = { 0 };
    bk_auto(catalog_clear) struct catalog c = { 0 };
    OK(catalog_load(f.repo, NULL, NULL, &c, &err));
    assert_memory_equal(c.v[1].snap.parent, c.v[0].snap.id, SESSION_ID);
    assert_memory_equal(c.v[1].snap.base, c.v[0].snap.base, SESSION_ID);
    assert_memory_equal(c.v[0].snap.origin, one.id, SESSION_ID);
    assert_memory_equal(c.v[1].snap.origin, two.id, SESSION_ID);
    snapshot_clear(&one);
    snapshot_clear(&two);
    far_free(&f);
    bed_free(&b);
}

static void the_same_repository_is_refused(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct repo *twice = open_mem(b.mem);
    struct bk_error err = { 0 };
    struct copied_all all;
    assert_int_equal(copy_try(b.repo, twice, &(struct copy_opts){ .zstd_level = 1 }, &all, &err), BK_E_USAGE);
    repo_free(twice);
    bed_free(&b);
}

static void a_repository_like_the_source_shares_with_copies(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    snapshot_clear(&s);
    /* of its own: what is copied there is found anew by a backup; like the source: it is there already */
    for (int like = 0; like < 2; like++) {
        struct bed far = { .mem = new_mem(), .n_threads = 2, .common = b.common };
        struct repo_init_opts o = {
            .suite = SUITE_SM4, .secret = &key_file, .label = "first", .chunker_like = like ? b.repo : NULL
        };
        OK(repo_init_adopt_store(lend(far.mem), &o, &world_real, &far.repo, &err));
        assert_int_equal(copy_all(b.repo, far.repo).copied, 1);
        repo_free(far.repo); /* the key comes out of the keyring, too */
        far.repo = open_mem(far.mem);
        far.common.level = LEVEL_FULL;
        s = bed_run(&far);
        if (like)
            assert_true(s.new_bytes < 512); /* others change the folder that ours lies in */
        else
            assert_true(s.new_bytes > BIG / 2);
        snapshot_clear(&s);
        bed_free(&far);
    }
    bed_free(&b);
}

struct told {
    unsigned n;
    uint64_t bytes;
    char path[512];
};

static void tell(void *ctx, const struct copy_loss *l)
{
    struct told *t = ctx;
    t->n++;
    t->bytes += l->len;
    snprintf(t->path, sizeof t->path, "%.*s", (int)l->path_len, (const char *)l->path);
}

/* The largest pack of that kind loses a bit in its middle. */
static void hurt(struct store *mem, const char *kind)
{
    struct bk_error err = { 0 };
    struct names n = { 0 };
    uint64_t most = 0;
    size_t at_most = 0;
    OK(names_list(mem, kind, 1 << 20, &n, &err));
    for (size_t i = 0; i < n.n; i++) {
        uint64_t size;
        OK(store_stat(mem, n.v[i].name, &size, &err));
        if (size > most) {
            most = size;
            at_most = i;
        }
    }
    flip(mem, n.v[at_most].name, most / 2);
    names_clear(&n);
}

static void damage_is_refused_or_told(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    hurt(b.mem, "data/");
    struct far f = far_new(SUITE_SM4);
    struct told told = { 0 };
    struct bk_error err = { 0 };
    struct copied_all all;
    struct copy_opts o = { .zstd_level = 1, .on_loss = tell, .ctx = &told };
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.refused, 1);
    assert_int_equal(count_objects(f.mem, "snapshots/"), 0);
    assert_int_equal(count_objects(f.mem, "sessions/"), 0);
    assert_true(told.n > 0 && told.bytes > 0);
    assert_non_null(strstr(told.path, "dir/big"));

    o.keep_damaged = true;
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.copied, 1);
    assert_true(all.last.n_losses > 0);
    is_sound(f.repo); /* it is whole: what was lost is zeroes and an exception */
    bk_auto(catalog_clear) struct catalog c = { 0 };
    OK(catalog_load(f.repo, NULL, NULL, &c, &err));
    assert_int_equal(c.v[0].snap.state, STATE_EXCEPTIONS);
    assert_int_equal(c.v[0].snap.n_exceptions, all.last.n_losses);
    const struct snapshot_stream *x = snapshot_stream_of(&c.v[0].snap, STREAM_EXCEPTIONS);
    assert_non_null(x);
    struct half h = half_open(f.repo);
    uint8_t text[4096];
    size_t n = 0;
    OK(browse_read(h.reader, 0, &x->content, 0, text, sizeof text, &n, &err));
    struct bk_reader in = bk_reader_of(text, n);
    struct tree_exception e;
    assert_int_equal(tree_exception_next(&in, &e, &err), 1);
    assert_int_equal(e.trouble, TROUBLE_PARTIAL);
    half_close(&h);

    /* kept as it is while damage is kept; tried again when it is not */
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.skipped, 1);
    o.keep_damaged = false;
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.refused, 1);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

static void a_damaged_page_costs_what_is_below_it(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    hurt(b.mem, "meta/");
    struct far f = far_new(SUITE_SM4);
    struct told told = { 0 };
    struct bk_error err = { 0 };
    struct copied_all all;
    struct copy_opts o = { .zstd_level = 1, .on_loss = tell, .ctx = &told, .keep_damaged = true };
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.copied, 1);
    assert_true(told.n > 0);
    is_sound(f.repo);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

static void a_healed_source_replaces_the_damaged_copy(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    struct far f = far_new(SUITE_SM4);
    struct bk_error err = { 0 };
    struct copied_all all;
    struct copy_opts o = { .zstd_level = 1, .keep_damaged = true };
    hurt(b.mem, "data/");
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    hurt(b.mem, "data/"); /* the same bit again */
    repo_free(b.repo);
    b.repo = open_mem(b.mem);
    o.keep_damaged = false;
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.copied, 1);
    OK(copy_try(b.repo, f.repo, &o, &all, &err));
    assert_int_equal(all.skipped, 1);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

static void what_was_moved_before_a_fault_is_not_stored_again(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct snapshot s = bed_run(&b);
    struct far f = far_new(SUITE_SM4);
    struct bk_error err = { 0 };
    struct copied_all all;
    /* the last puts of the run fail: all packs are there, the snapshot is not */
    struct store *faulty = lend_faulty(f.mem, FAULT_CUT, 0);
    struct repo *r = NULL;
    OK(try_open(lend(faulty), &key_file, &r, &err));
    uint64_t before = store_fault_calls(faulty);
    OK(copy_try(b.repo, r, &(struct copy_opts){ .zstd_level = 1 }, &all, &err));
    uint64_t calls = store_fault_calls(faulty) - before;
    uint64_t whole = all.last.stored_bytes;
    repo_free(r);
    store_free(faulty);
    far_free(&f);

    f = far_new(SUITE_SM4);
    faulty = lend_faulty(f.mem, FAULT_CUT, before + calls - 2);
    OK(try_open(lend(faulty), &key_file, &r, &err));
    int rc = copy_try(b.repo, r, &(struct copy_opts){ .zstd_level = 1 }, &all, &err);
    repo_free(r);
    assert_true(rc < 0 || store_fault_fired(faulty));
    store_free(faulty);
    if (count_objects(f.mem, "snapshots/") == 0) {
        all = copy_all(b.repo, f.repo);
        assert_int_equal(all.copied, 1);
        assert_true(all.last.stored_bytes < whole / 10);
    }
    same_all(b.repo, f.repo);
    snapshot_clear(&s);
    far_free(&f);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_is_the_same),
        cmocka_unit_test(a_second_copy_transfers_nothing),
        cmocka_unit_test(an_incremental_copy_reads_what_changed),
        cmocka_unit_test(many_snapshots_share_what_they_share),
        cmocka_unit_test(parents_are_the_copies_of_parents),
        cmocka_unit_test(the_same_repository_is_refused),
        cmocka_unit_test(a_repository_like_the_source_shares_with_copies),
        cmocka_unit_test(damage_is_refused_or_told),
        cmocka_unit_test(a_damaged_page_costs_what_is_below_it),
        cmocka_unit_test(a_healed_source_replaces_the_damaged_copy),
        cmocka_unit_test(what_was_moved_before_a_fault_is_not_stored_again),
    };
    return cmocka_run_group_tests(tests, place_make, place_remove);
}
