#include "rw_fixture.h"

#include "bkd/repo/frame_cache.h"

enum { CHUNK_BYTES = 6000, CHUNKS = 400 };

struct stored {
    struct store *mem;
    struct repo *repo;
    struct index *index;
    struct job job;
    chunk_id ids[CHUNKS];
    struct chunk_loc locs[CHUNKS]; /* in the order of putting, which is that of the packs */
};

static int store_chunks(void **state)
{
    struct bk_error err = { 0 };
    struct stored *s = calloc(1, sizeof *s);
    struct writer *w = NULL;
    uint8_t data[CHUNK_BYTES];
    assert_non_null(s);
    OK(job_init(&s->job, &err));
    s->mem = new_repository();
    s->repo = open_repository(s->mem);
    s->index = open_index(s->repo);
    OK(writer_new(s->repo, s->index, &s->job,
                  &(struct writer_opts){ .n_lanes = 1, .level = 1, .memory_bytes = 32 << 20 }, &w, &err));
    for (uint32_t i = 0; i < CHUNKS; i++) {
        size_t len = make_chunk(i, data, sizeof data);
        OK(writer_put(w, 0, CHUNK_DATA, data, len, &s->ids[i], &err));
    }
    OK(writer_finish(w, &err));
    writer_free(w);
    for (uint32_t i = 0; i < CHUNKS; i++)
        assert_int_equal(index_find(s->index, &s->ids[i], &s->locs[i], &err), 1);
    *state = s;
    return 0;
}

static int drop_chunks(void **state)
{
    struct stored *s = *state;
    index_free(s->index);
    repo_free(s->repo);
    store_free(s->mem);
    job_clear(&s->job);
    free(s);
    return 0;
}

static struct reader *new_reader(struct stored *s, size_t cache_bytes)
{
    struct bk_error err = { 0 };
    struct reader *rd = NULL;
    OK(reader_new(s->repo, s->index, 2, cache_bytes, &rd, &err));
    return rd;
}

static void pack_path(const struct chunk_loc *l, char out[static REPO_PATH])
{
    repo_pack_path(l->kind, &l->pack, out);
}

static bool same_frame(const struct chunk_loc *a, const struct chunk_loc *b)
{
    return a->offset == b->offset && memcmp(&a->pack, &b->pack, sizeof a->pack) == 0;
}

static void a_damaged_frame_is_named_and_its_neighbours_are_readable(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    char path[REPO_PATH], at[REPO_PATH + 64], hex[2 * CHUNK_ID + 1];
    const struct chunk_loc *hit = &s->locs[CHUNKS / 2];
    pack_path(hit, path);
    snprintf(at, sizeof at, "frame at %u of %s", hit->offset, path);
    damage(s->mem, path, hit->offset + FRAME_HEADER + 5);
    bk_auto(reader_free) struct reader *rd = new_reader(s, 1 << 20);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(CHUNK_MAX);
    unsigned bad = 0;
    for (uint32_t i = 0; i < CHUNKS; i++) {
        int e = reader_chunk(rd, 0, CHUNK_DATA, &s->ids[i], &out, &err);
        assert_int_equal(e, same_frame(&s->locs[i], hit) ? BK_E_CORRUPT : 0);
        if (e == 0)
            continue;
        bad++;
        object_hex(s->ids[i].b, CHUNK_ID, hex);
        assert_non_null(strstr(err.text, at));
        assert_non_null(strstr(err.text, hex));
    }
    assert_in_range(bad, 1, CHUNKS / 10);
}

static void a_chunk_under_a_wrong_name_is_refused(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    bk_auto(reader_free) struct reader *rd = new_reader(s, 1 << 20);
    bk_auto(frame_ref_free) struct frame_ref *f = NULL;
    const uint8_t *data;
    size_t len;
    OK(reader_frame(rd, 0, &s->locs[0], true, &f, &err));
    for (int turn = 0; turn < 2; turn++) { /* also once the name has been computed */
        OK(frame_ref_chunk(f, s->locs[0].slot, &s->ids[0], &data, &len, &err));
        assert_int_equal(frame_ref_chunk(f, s->locs[0].slot, &s->ids[1], &data, &len, &err), BK_E_CORRUPT);
    }
    assert_int_equal(frame_ref_chunk(f, 60000, &s->ids[0], &data, &len, &err), BK_E_CORRUPT);
    char path[REPO_PATH];
    pack_path(&s->locs[0], path);
    assert_non_null(strstr(err.text, path));
}

static void an_unknown_chunk_is_absent(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    bk_auto(reader_free) struct reader *rd = new_reader(s, 1 << 20);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(CHUNK_MAX);
    chunk_id none = { { 7 } };
    assert_int_equal(reader_chunk(rd, 0, CHUNK_DATA, &none, &out, &err), BK_E_ABSENT);
}

static void lengths_out_of_range_are_refused(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    bk_auto(reader_free) struct reader *rd = new_reader(s, 1 << 20);
    struct frame_ref *f = NULL;
    struct chunk_loc l = s->locs[0];
    l.stored_len = UINT32_MAX;
    assert_int_equal(reader_frame(rd, 0, &l, true, &f, &err), BK_E_CORRUPT);
    l = s->locs[0];
    l.raw_len++;
    assert_int_equal(reader_frame(rd, 0, &l, true, &f, &err), BK_E_CORRUPT);
    l = s->locs[0];
    l.offset += 1;
    assert_int_equal(reader_frame(rd, 0, &l, true, &f, &err), BK_E_CORRUPT);
}

struct collected {
    struct stored *s;
    size_t base, n, n_damaged, next;
    int stop_at;
};

static int collect(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage_found)
{
    struct collected *c = ctx;
    struct bk_error err = { 0 };
    const uint8_t *data;
    size_t len, k = c->base + i;
    uint8_t want[CHUNK_BYTES];
    assert_int_equal(i, c->next++);
    if (!f) {
        assert_non_null(damage_found);
        c->n_damaged++;
        return 0;
    }
    OK(frame_ref_chunk(f, c->s->locs[k].slot, &c->s->ids[k], &data, &len, &err));
    assert_int_equal(len, make_chunk((uint32_t)k, want, sizeof want));
    assert_memory_equal(data, want, len);
    c->n++;
    return c->stop_at && (int)c->n == c->stop_at ? 77 : 0;
}

/* Runs over all packs, one chunk at a time in the order of offsets. */
static struct collected run_all(struct stored *s, struct reader *rd)
{
    struct bk_error err = { 0 };
    struct collected sum = { .s = s };
    for (size_t first = 0; first < CHUNKS;) {
        size_t end = first;
        while (end < CHUNKS && memcmp(&s->locs[end].pack, &s->locs[first].pack, PACK_NAME) == 0)
            end++;
        struct collected c = { .s = s, .base = first };
        OK(reader_run(rd, 1, s->locs + first, end - first, collect, &c, &err));
        assert_int_equal(c.next, end - first);
        sum.n += c.n;
        sum.n_damaged += c.n_damaged;
        first = end;
    }
    return sum;
}

static void a_run_delivers_all_in_order(void **state)
{
    struct stored *s = *state;
    bk_auto(reader_free) struct reader *rd = new_reader(s, 0);
    assert_int_equal(run_all(s, rd).n, CHUNKS);
}

static void a_run_goes_on_past_damage(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    char path[REPO_PATH];
    pack_path(&s->locs[10], path);
    damage(s->mem, path, s->locs[10].offset + FRAME_HEADER);
    bk_auto(reader_free) struct reader *rd = new_reader(s, 0);
    struct collected c = run_all(s, rd);
    assert_in_range(c.n_damaged, 1, CHUNKS / 10);
    assert_int_equal(c.n + c.n_damaged, CHUNKS);
    /* a pack that ends early costs what lies behind its end */
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 24);
    OK(store_get_all(s->mem, path, b.limit, &b, &err));
    OK(store_remove(s->mem, path, &err));
    OK(store_put(s->mem, path, b.data, b.len / 2, &err));
    struct collected cut = run_all(s, rd);
    assert_true(cut.n_damaged > c.n_damaged && cut.n > CHUNKS / 3);
    OK(store_remove(s->mem, path, &err));
    assert_true(run_all(s, rd).n_damaged > cut.n_damaged);
}

static void a_run_ends_when_the_callback_says_so(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    bk_auto(reader_free) struct reader *rd = new_reader(s, 0);
    struct collected c = { .s = s, .stop_at = 3 };
    assert_int_equal(reader_run(rd, 0, s->locs, 8, collect, &c, &err), 77);
    assert_int_equal(c.n, 3);
}

static void the_cache_stays_in_its_bounds_and_keeps_the_newest(void **state)
{
    struct stored *s = *state;
    struct bk_error err = { 0 };
    bk_auto(frame_cache_free) struct frame_cache *c = NULL;
    bk_auto(reader_free) struct reader *rd = new_reader(s, 0);
    size_t limit = 64 << 10, kept = 0;
    OK(frame_cache_new(limit, &c, &err));
    for (int turn = 0; turn < 3; turn++)
        for (uint32_t i = 0; i < CHUNKS; i++) {
            struct frame_ref *f = frame_cache_get(c, &s->locs[i].pack, s->locs[i].offset);
            if (!f) {
                OK(reader_frame(rd, 0, &s->locs[i], true, &f, &err));
                frame_cache_put(c, f);
            }
            frame_ref_free(f);
            assert_true(frame_cache_bytes(c) <= limit);
            f = frame_cache_get(c, &s->locs[i].pack, s->locs[i].offset);
            assert_non_null(f); /* what was just used is there */
            frame_ref_free(f);
        }
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct frame_ref *f = frame_cache_get(c, &s->locs[i].pack, s->locs[i].offset);
        kept += f != NULL;
        frame_ref_free(f);
    }
    assert_in_range(kept, 1, CHUNKS / 2);
}

struct lane_job {
    struct stored *s;
    struct reader *rd;
    unsigned lane;
};
static void *read_lane(void *arg)
{
    struct lane_job *j = arg;
    struct bk_error err = { 0 };
    struct bk_buf out = BK_BUF(CHUNK_MAX);
    uint8_t want[CHUNK_BYTES];
    for (uint32_t i = 0; i < CHUNKS; i++) {
        OK(reader_chunk(j->rd, j->lane, CHUNK_DATA, &j->s->ids[i], &out, &err));
        assert_int_equal(out.len, make_chunk(i, want, sizeof want));
        assert_memory_equal(out.data, want, out.len);
    }
    bk_buf_clear(&out);
    return NULL;
}

static void lanes_share_frames(void **state)
{
    struct stored *s = *state;
    bk_auto(reader_free) struct reader *rd = new_reader(s, 256 << 10);
    pthread_t t[2];
    struct lane_job j[2];
    for (unsigned i = 0; i < 2; i++) {
        j[i] = (struct lane_job){ s, rd, i };
        assert_int_equal(pthread_create(&t[i], NULL, read_lane, &j[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_chunks, drop_chunks)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_damaged_frame_is_named_and_its_neighbours_are_readable),
        TEST(a_chunk_under_a_wrong_name_is_refused),
        TEST(an_unknown_chunk_is_absent),
        TEST(lengths_out_of_range_are_refused),
        TEST(a_run_delivers_all_in_order),
        TEST(a_run_goes_on_past_damage),
        TEST(a_run_ends_when_the_callback_says_so),
        TEST(the_cache_stays_in_its_bounds_and_keeps_the_newest),
        TEST(lanes_share_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
