#include "restore_fixture.h"

static uint8_t big[300000];

/* Every store object of this prefix, one byte flipped in the middle. */
static char found[REPO_PATH];
static int find_first(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)err;
    *(uint64_t *)ctx = size;
    snprintf(found, sizeof found, "%s", name);
    return 0;
}

static void damage_in_one_frame_hits_only_what_is_in_it(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[32][16];
    static uint8_t data[32][16384];
    for (unsigned i = 0; i < 32; i++) {
        snprintf(paths[i], sizeof paths[i], "f%02u", i);
        fill(data[i], sizeof data[i], 1000 + i);
        snap_file(b, paths[i], data[i], sizeof data[i]);
    }
    snap_end(b);
    struct bk_error err = { 0 };
    uint64_t size;
    OK(store_list(b->store, "data/", find_first, &size, &err));
    struct bk_buf pack = BK_BUF(1 << 30);
    OK(store_get_all(b->store, found, 1 << 30, &pack, &err));
    pack.data[size / 2] ^= 1;
    OK(store_remove(b->store, found, &err));
    OK(store_put(b->store, found, pack.data, pack.len, &err));
    bk_buf_clear(&pack);

    static struct seen seen;
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t, .verify = true }, &seen);
    assert_true(rep.n_problems >= 1 && rep.n_problems < 12);
    unsigned hit = 0;
    for (unsigned i = 0; i < 32; i++) {
        bool bad = false;
        for (unsigned k = 0; k < seen.n; k++)
            bad |= strcmp(seen.paths[k], paths[i]) == 0;
        struct stat st;
        assert_int_equal(stat(join(t, paths[i]), &st), 0);
        assert_int_equal(st.st_size, sizeof data[i]);
        if (!bad) {
            assert_content(join(t, paths[i]), data[i], sizeof data[i]);
            continue;
        }
        hit++;
        assert_int_not_equal(st.st_mtim.tv_sec, 1500000000); /* a later restore tries again */
    }
    assert_int_equal(hit, rep.n_problems);
    for (unsigned k = 0; k < seen.n; k++) {
        assert_int_equal(seen.codes[k], BK_E_CORRUPT);
        assert_non_null(strstr(seen.texts[k], "bytes 0 to "));
    }
    /* In place over good files, nothing is lost: what is there proves itself. */
    for (unsigned i = 0; i < 32; i++)
        spill(join(t, paths[i]), data[i], sizeof data[i]);
    rep = restore(b, (struct restore_opts){ .target = t, .overwrite = true }, &seen);
    assert_int_equal(rep.n_problems, 0);
    for (unsigned i = 0; i < 32; i++)
        assert_content(join(t, paths[i]), data[i], sizeof data[i]);
    temp_drop(t);
    snap_clear(b);
}

/* The same chunks by a writer that did not know of the first, as two backups at the same time do. */
static void damaged_chunks_that_were_stored_twice_come_from_the_other_pack(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct snap *b = snap_new();
    char *t = temp_dir();
    static char paths[32][16];
    static uint8_t data[32][16384];
    struct index *x = NULL;
    struct writer *w = NULL;
    OK(index_open(b->repo, NULL, NULL, &x, &err));
    OK(writer_new(b->repo, x, &b->job,
                  &(struct writer_opts){ .n_lanes = 1, .level = 1, .memory_bytes = 64 << 20 }, &w, &err));
    chunk_id id;
    for (unsigned i = 0; i < 32; i++) {
        snprintf(paths[i], sizeof paths[i], "f%02u", i);
        fill(data[i], sizeof data[i], 2000 + i);
        snap_file(b, paths[i], data[i], sizeof data[i]);
        for (size_t at = 0; at < sizeof data[i]; at += PIECE)
            OK(writer_put(w, 0, CHUNK_DATA, data[i] + at, PIECE, &id, &err));
    }
    snap_end(b);
    OK(writer_finish(w, &err));
    writer_free(w);
    index_free(x);
    index_free(b->index);
    b->index = NULL;
    OK(index_open(b->repo, NULL, NULL, &b->index, &err));

    struct chunk_loc loc;
    assert_int_equal(index_find(b->index, &id, &loc, &err), 1);
    char name[REPO_PATH];
    repo_pack_path(CHUNK_DATA, &loc.pack, name);
    struct bk_buf pack = BK_BUF(1 << 30);
    OK(store_get_all(b->store, name, 1 << 30, &pack, &err));
    for (size_t at = 20000; at < pack.len; at += 20000)
        pack.data[at] ^= 1;
    OK(store_remove(b->store, name, &err));
    OK(store_put(b->store, name, pack.data, pack.len, &err));
    bk_buf_clear(&pack);

    static struct seen seen;
    struct restore_report rep = restore(b, (struct restore_opts){ .target = t, .verify = true }, &seen);
    assert_int_equal(rep.n_problems, 0);
    for (unsigned i = 0; i < 32; i++)
        assert_content(join(t, paths[i]), data[i], sizeof data[i]);

    struct reader *rd = NULL;
    OK(reader_new(b->repo, b->index, 1, 1 << 20, &rd, &err));
    for (unsigned i = 0; i < 32; i++) {
        bk_auto(node_clear) struct node n = { 0 };
        static uint8_t got[sizeof data[0]];
        size_t len = 0;
        OK(browse_path(rd, 0, &b->s, paths[i], strlen(paths[i]), &n, &err));
        OK(browse_read(rd, 0, &n.e.content, 0, got, sizeof got, &len, &err));
        assert_int_equal(len, sizeof got);
        assert_memory_equal(got, data[i], sizeof got);
    }
    reader_free(rd);
    temp_drop(t);
    snap_clear(b);
}

static void what_is_read_back_wrong_is_reported(void **state)
{
    (void)state;
    struct snap *b = snap_new();
    char *t = temp_dir();
    fill(big, sizeof big, 77);
    snap_file(b, "f", big, sizeof big);
    snap_file(b, "g", "ok", 2);
    snap_end(b);
    restore_clean(b, (struct restore_opts){ .target = t });
    int fd = open(join(t, "f"), O_WRONLY);
    assert_int_equal(pwrite(fd, "!!", 2, 70000), 2);
    struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { 1500000000, 123456789 } };
    assert_int_equal(futimens(fd, ts), 0);
    close(fd);
    static struct seen seen;
    struct restore_report rep =
        restore(b, (struct restore_opts){ .target = t, .overwrite = true, .verify = true }, &seen);
    assert_int_equal(rep.n_kept, 2);
    assert_int_equal(rep.n_problems, 1);
    assert_string_equal(seen.paths[0], "f");
    assert_int_equal(seen.codes[0], BK_E_CORRUPT);
    temp_drop(t);
    snap_clear(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_in_one_frame_hits_only_what_is_in_it),
        cmocka_unit_test(damaged_chunks_that_were_stored_twice_come_from_the_other_pack),
        cmocka_unit_test(what_is_read_back_wrong_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
