#include <pthread.h>

#include "bkd/restore/image.h"
#include "bkd/restore/pages.h"
#include "snap_fixture.h"

enum { BYTES = 4 << 20, LEAVES = 16, THREADS = 8 };

struct fixture {
    struct snap *b;
    struct reader *r;
    struct images *s;
    uint8_t *want;
    struct content c;
    struct image *m;
    char log[4096];
    unsigned n_log;
};

static void keep_log(void *ctx, enum job_level level, const char *text)
{
    struct fixture *x = ctx;
    (void)level;
    snprintf(x->log, sizeof x->log, "%s", text);
    x->n_log++;
}

/* Two levels of pages: every leaf has data, a hole, data, zeroes. */
static struct content two_levels(struct snap *b, uint8_t *want)
{
    struct bk_error err = { 0 };
    struct content_child v[LEAVES];
    const size_t per = BYTES / LEAVES;
    for (size_t i = 0; i < LEAVES; i++) {
        bk_auto(extents_clear) struct extents x = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
        uint8_t *p = want + i * per;
        fill(p, per, (uint32_t)i + 1);
        memset(p + 10 * PIECE, 0, 3 * PIECE);
        memset(p + 30 * PIECE, 0, 2 * PIECE);
        for (size_t at = 0; at < per / PIECE; at++)
            if (at >= 10 && at < 13)
                snap_gap(&x, EXTENT_HOLE, PIECE);
            else if (at >= 30)
                snap_gap(&x, EXTENT_ZERO, PIECE);
            else
                snap_piece(b, &x, p + at * PIECE, PIECE);
        OK(content_leaf_encode(&x, &page, &err));
        v[i] = (struct content_child){ .len = per, .id = snap_chunk(b, CHUNK_META, page.data, page.len) };
    }
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    OK(content_inner_encode(2, v, LEAVES, &page, &err));
    return (
        struct content){ .size = BYTES, .depth = 2, .root = snap_chunk(b, CHUNK_META, page.data, page.len) };
}

static void open_images(struct fixture *x, const struct images_opts *o, size_t cache)
{
    struct bk_error err = { 0 };
    x->b->job.log = keep_log;
    x->b->job.log_ctx = x;
    OK(reader_new(x->b->repo, x->b->index, images_lanes(o), cache, &x->r, &err));
    OK(images_new(x->r, &x->b->job, o, &x->s, &err));
    OK(image_new(x->s, &x->c, "disk", &x->m, &err));
}

/* A hole, and then a page that is not there. */
static struct content half_a_map(struct snap *b, uint8_t *want)
{
    (void)want;
    struct bk_error err = { 0 };
    bk_auto(extents_clear) struct extents x = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf leaf = BK_BUF(CHUNK_MAX), inner = BK_BUF(CHUNK_MAX);
    snap_gap(&x, EXTENT_HOLE, 5 * PIECE);
    OK(content_leaf_encode(&x, &leaf, &err));
    struct content_child v[] = { { .len = 5 * PIECE }, { .len = 7 * PIECE } };
    v[0].id = snap_chunk(b, CHUNK_META, leaf.data, leaf.len);
    OK(content_inner_encode(2, v, 2, &inner, &err));
    return (struct content){ .size = 12 * PIECE,
                             .depth = 2,
                             .root = snap_chunk(b, CHUNK_META, inner.data, inner.len) };
}

static void begin_with(struct fixture *x, struct content (*make)(struct snap *b, uint8_t *want))
{
    struct bk_error err = { 0 };
    *x = (struct fixture){ .b = snap_new() };
    x->want = malloc(BYTES);
    assert_non_null(x->want);
    x->c = make(x->b, x->want);
    OK(writer_finish(x->b->writer, &err));
}

static void begin(struct fixture *x)
{
    begin_with(x, two_levels);
}

static void end(struct fixture *x)
{
    images_free(x->s);
    reader_free(x->r);
    free(x->want);
    snap_clear(x->b);
}

static const struct images_opts small = {
    .n_workers = 2, .n_callers = 3, .page_bytes = 8 << 10, .ahead = 1 << 20, .ahead_unit = 128 << 10
};

static void read_and_compare(struct fixture *x, uint64_t at, size_t len)
{
    struct bk_error err = { 0 };
    bk_auto(free) uint8_t *got = malloc(len + 1);
    assert_non_null(got);
    memset(got, 0xee, len + 1);
    OK(image_read(x->m, at, got, len, &err));
    assert_memory_equal(got, x->want + at, len);
    assert_int_equal(got[len], 0xee);
}

static void any_range_reads_what_was_stored(void **state)
{
    (void)state;
    struct fixture x;
    begin(&x);
    open_images(&x, &small, 1 << 20);
    uint32_t seed = 1;
    for (int i = 0; i < 300; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t at = seed % BYTES, len = (seed >> 7) % (i % 3 ? 9000 : 400000);
        read_and_compare(&x, at, len > BYTES - at ? BYTES - at : len);
    }
    read_and_compare(&x, 0, BYTES);
    read_and_compare(&x, BYTES, 0);
    struct bk_error err = { 0 };
    uint8_t byte;
    assert_int_equal(image_read(x.m, BYTES, &byte, 1, &err), BK_E_USAGE);
    assert_int_equal(image_read(x.m, UINT64_MAX, &byte, 1, &err), BK_E_USAGE);
    end(&x);
}

static void in_order_it_reads_ahead_and_the_same(void **state)
{
    (void)state;
    struct fixture x;
    begin(&x);
    open_images(&x, &small, 2 << 20);
    for (uint64_t at = 0; at < BYTES; at += 32 << 10)
        read_and_compare(&x, at, 32 << 10);
    image_ahead(x.m, 0, UINT64_MAX); /* and ends while workers have some of it in hand */
    end(&x);
}

struct one_thread {
    struct fixture *x;
    uint32_t seed;
    bool bad;
};

static void *hammer(void *arg)
{
    struct one_thread *t = arg;
    uint8_t *got = malloc(128 << 10);
    for (int i = 0; i < 200 && !t->bad; i++) {
        struct bk_error err = { 0 };
        t->seed = t->seed * 1664525 + 1013904223;
        size_t len = 1 + (t->seed >> 5) % (128 << 10);
        size_t at = i % 2 ? t->seed % (BYTES - len) : (size_t)i * (BYTES / 400);
        t->bad = image_read(t->x->m, at, got, len, &err) < 0 || memcmp(got, t->x->want + at, len) != 0;
    }
    free(got);
    return NULL;
}

static void many_threads_share_lanes_frames_and_pages(void **state)
{
    (void)state;
    struct fixture x;
    begin(&x);
    open_images(&x, &small, 256 << 10);
    struct one_thread t[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        t[i] = (struct one_thread){ .x = &x, .seed = i };
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &t[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(t[i].bad);
    }
    end(&x);
}

struct seen {
    uint64_t at, bytes[3];
};

static int see(void *ctx, uint64_t offset, const struct extent *e, struct bk_error *err)
{
    (void)err;
    struct seen *s = ctx;
    assert_int_equal(offset, s->at);
    s->at += e->len;
    s->bytes[e->kind] += e->len;
    return 0;
}

static void extents_tell_holes_and_zeroes(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct fixture x;
    begin(&x);
    open_images(&x, &small, 1 << 20);
    struct seen s = { 0 };
    OK(image_extents(x.m, 0, UINT64_MAX, see, &s, &err));
    assert_int_equal(s.at, BYTES);
    assert_int_equal(s.bytes[EXTENT_HOLE], LEAVES * 3 * PIECE);
    assert_int_equal(s.bytes[EXTENT_ZERO], LEAVES * 2 * PIECE);
    s = (struct seen){ .at = 10 * PIECE + 5 };
    OK(image_extents(x.m, s.at, PIECE, see, &s, &err));
    assert_int_equal(s.at, 11 * PIECE + 5);
    assert_int_equal(s.bytes[EXTENT_HOLE], PIECE);
    s = (struct seen){ .at = BYTES };
    OK(image_extents(x.m, BYTES, 1, see, &s, &err));
    end(&x);
}

static int damage_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf data = BK_BUF(64 << 20);
    struct store *s = ctx;
    int r = store_get_all(s, name, 64 << 20, &data, err);
    if (r < 0)
        return r;
    data.data[size / 2] ^= 1;
    assert_int_equal(store_remove(s, name, err), 0);
    assert_int_equal(store_put(s, name, data.data, data.len, err), 0);
    return 1;
}

static void damage_is_an_error_of_its_own_bytes_and_told_once(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct fixture x;
    begin(&x);
    assert_int_equal(store_list(x.b->store, "data/", damage_one, x.b->store, &err), 1);
    open_images(&x, &small, 1 << 20);
    uint8_t got[PIECE];
    unsigned bad = 0;
    for (int again = 0; again < 2; again++)
        for (uint64_t at = 0; at < BYTES; at += PIECE) {
            err = (struct bk_error){ 0 };
            int r = image_read(x.m, at, got, PIECE, &err);
            bad += r < 0;
            if (r < 0)
                assert_true(reader_is_damage(r));
            else
                assert_memory_equal(got, x.want + at, PIECE);
        }
    assert_true(bad > 0 && bad <= 2 * ((64 << 10) / PIECE + 1)); /* a frame */
    assert_true(x.n_log >= 1 && x.n_log <= bad / 2);
    assert_non_null(strstr(x.log, "of 'disk' cannot be read"));
    assert_non_null(strstr(x.log, "data/"));
    end(&x);
}

static void where_the_map_cannot_be_read_what_was_before_is_not_damaged(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct fixture x;
    char want[64];
    begin_with(&x, half_a_map);
    open_images(&x, &small, 1 << 20);
    assert_true(reader_is_damage(image_read(x.m, PIECE, x.want, 6 * PIECE, &err)));
    snprintf(want, sizeof want, "bytes %d to %d of", 5 * PIECE, 7 * PIECE);
    assert_non_null(strstr(x.log, want));
    end(&x);
}

static void who_cancels_waits_for_nothing_and_it_is_no_damage(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct fixture x;
    struct seen s = { 0 };
    uint8_t byte;
    begin(&x);
    open_images(&x, &small, 1 << 20);
    job_cancel(&x.b->job);
    assert_int_equal(image_read(x.m, 0, &byte, 1, &err), BK_E_CANCELLED);
    assert_int_equal(image_extents(x.m, 0, BYTES, see, &s, &err), BK_E_CANCELLED);
    assert_int_equal(s.at, 0);
    assert_int_equal(x.n_log, 0);
    end(&x);
}

static void few_extents_need_no_page_and_none_is_an_empty_image(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct fixture x;
    begin(&x);
    x.c = (struct content){ .size = PIECE,
                            .n_inline = 1,
                            .inline_ = { { .len = PIECE, .kind = EXTENT_HOLE } } };
    memset(x.want, 0, PIECE);
    open_images(&x, &small, 1 << 20);
    read_and_compare(&x, 3, PIECE - 3);
    struct content none = { 0 };
    struct image *empty;
    OK(image_new(x.s, &none, "empty", &empty, &err));
    assert_int_equal(image_size(empty), 0);
    OK(image_read(empty, 0, x.want, 0, &err));
    none.size = 1; /* what it claims is not there */
    struct image *liar;
    OK(image_new(x.s, &none, "liar", &liar, &err));
    assert_int_equal(image_read(liar, 0, x.want, 1, &err), BK_E_CORRUPT);
    end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_range_reads_what_was_stored),
        cmocka_unit_test(in_order_it_reads_ahead_and_the_same),
        cmocka_unit_test(many_threads_share_lanes_frames_and_pages),
        cmocka_unit_test(extents_tell_holes_and_zeroes),
        cmocka_unit_test(damage_is_an_error_of_its_own_bytes_and_told_once),
        cmocka_unit_test(where_the_map_cannot_be_read_what_was_before_is_not_damaged),
        cmocka_unit_test(who_cancels_waits_for_nothing_and_it_is_no_damage),
        cmocka_unit_test(few_extents_need_no_page_and_none_is_an_empty_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
