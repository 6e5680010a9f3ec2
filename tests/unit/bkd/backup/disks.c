#include "backup_fixture.h"

#include "bkd/backup/disk_run.h"

/* A disk in memory that says which blocks changed; some of what it says may be a lie. */
enum { N_BLOCKS = 3 * DISK_SEGMENT_BLOCKS + 77 };
struct fake {
    uint8_t *bytes; /* owned; one byte for each block says what the whole block holds */
    uint64_t size;
    bool tracked;
    bool dirty[N_BLOCKS]; /* told */
    bool hole[N_BLOCKS];
    uint64_t read;    /* bytes handed out */
    uint64_t fail_at; /* a read that reaches it fails; 0: none */
    unsigned n_open, n_ended, n_committed;
    char past[256];
};
struct fake_disk {
    struct disk disk;
    struct fake *f;
    pthread_mutex_t lock;
};
struct fake_source {
    struct disks disks;
    struct fake *f;
};

static uint8_t value(struct fake *f, uint64_t at)
{
    uint64_t i = at / DISK_BLOCK;
    /* blocks differ from one another, and what lies in one is not all alike */
    return f->bytes[i] ? (uint8_t)(f->bytes[i] + i * 7 + at / 512) | 1 : 0;
}

static int fake_map(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_map_fn *fn, void *ctx,
                    struct bk_error *err)
{
    (void)lane;
    struct fake *f = ((struct fake_disk *)d)->f;
    for (uint64_t at = from; at < to;) {
        uint64_t i = at / DISK_BLOCK, end = (i + 1) * DISK_BLOCK;
        while (end < to && f->hole[end / DISK_BLOCK] == f->hole[i] &&
               f->dirty[end / DISK_BLOCK] == f->dirty[i])
            end += DISK_BLOCK;
        end = end < to ? end : to;
        struct disk_part p = { .from = at,
                               .len = end - at,
                               .kind = f->hole[i] ? EXTENT_HOLE : EXTENT_DATA,
                               .clean = f->tracked && !f->dirty[i] };
        int r = fn(ctx, &p, err);
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

static int fake_read(struct disk *d, unsigned lane, uint64_t from, uint64_t to, disk_read_fn *fn, void *ctx,
                     struct bk_error *err)
{
    (void)lane;
    struct fake_disk *fd = (struct fake_disk *)d;
    struct fake *f = fd->f;
    static _Thread_local uint8_t buf[DISK_REQUEST];
    for (uint64_t at = from; at < to;) {
        size_t n = to - at < DISK_REQUEST ? (size_t)(to - at) : DISK_REQUEST;
        if (f->fail_at && at + n > f->fail_at)
            return bk_fail(err, BK_E_IO, "this disk is broken");
        for (size_t i = 0; i < n; i++)
            buf[i] = value(f, at + i);
        pthread_mutex_lock(&fd->lock);
        f->read += n;
        pthread_mutex_unlock(&fd->lock);
        int r = fn(ctx, at, buf, n, err);
        if (r < 0)
            return r;
        at += n;
    }
    return 0;
}

static void fake_close(struct disk *d)
{
    struct fake_disk *fd = (struct fake_disk *)d;
    fd->f->n_open--;
    pthread_mutex_destroy(&fd->lock);
    free(fd);
}

static const struct disk_ops fake_disk_ops = { .map = fake_map, .read = fake_read, .free = fake_close };

static int fake_begin(struct disks *s, struct job *j, const struct disks_past *past, struct bk_error *err)
{
    (void)j;
    struct fake *f = ((struct fake_source *)s)->f;
    snprintf(f->past, sizeof f->past, "%.*s", (int)past->source_len,
             past->source ? (const char *)past->source : "");
    struct fake_disk *fd = calloc(1, sizeof *fd);
    *fd = (struct fake_disk){
        .disk = { .ops = &fake_disk_ops, .size = f->size, .n_lanes = 1, .tracked = f->tracked }, .f = f
    };
    pthread_mutex_init(&fd->lock, NULL);
    f->n_open++;
    int r = disks_add(s, "vda", &fd->disk, NULL, err);
    return r < 0 ? r : disks_add_text(s, DISKS_SOURCE, "{\"point\":1}", 11, err);
}

static int fake_end(struct disks *s, struct job *j, bool committed, struct bk_error *err)
{
    (void)j;
    (void)err;
    struct fake *f = ((struct fake_source *)s)->f;
    f->n_ended++;
    f->n_committed += committed;
    return 0;
}

static void fake_free(struct disks *s)
{
    free(s);
}

static const struct disks_ops fake_ops = { .begin = fake_begin, .end = fake_end, .free = fake_free };

static struct fake *fake_new(uint64_t size)
{
    struct fake *f = calloc(1, sizeof *f);
    f->bytes = calloc(N_BLOCKS, 1);
    f->size = size;
    for (size_t i = 0; i < N_BLOCKS; i++)
        f->hole[i] = true;
    return f;
}

static void fake_drop(struct fake *f)
{
    assert_int_equal(f->n_open, 0);
    free(f->bytes);
    free(f);
}

static void put_block(struct fake *f, size_t i, uint8_t v)
{
    f->bytes[i] = v;
    f->hole[i] = false;
    f->dirty[i] = true;
}

static void discard_block(struct fake *f, size_t i)
{
    f->bytes[i] = 0;
    f->hole[i] = f->dirty[i] = true;
}

static int run_disks(struct bed *b, struct fake *f, unsigned audit_ppm, struct snapshot *ret,
                     struct bk_error *err)
{
    struct fake_source *s = calloc(1, sizeof *s);
    *s = (struct fake_source){ .disks.ops = &fake_ops, .f = f };
    bk_auto(disks_free) struct disks *source = &s->disks;
    const char *operands[] = { "fake:" };
    struct backup_disks d = {
        .source = source, .operands = operands, .n_operands = 1, .audit_ppm = audit_ppm
    };
    struct backup_result res = { 0 };
    struct job j = { .n_threads = b->n_threads };
    assert_int_equal(job_init(&j, err), 0);
    f->read = 0;
    int r = backup_disks(b->repo, &j, &b->common, &d, &res, err);
    job_clear(&j);
    if (r == 0) {
        *ret = res.snap;
        memset(f->dirty, 0, sizeof f->dirty);
    }
    return r;
}

static struct snapshot run_well(struct bed *b, struct fake *f, unsigned audit_ppm)
{
    struct bk_error err = { 0 };
    struct snapshot s = { 0 };
    OK(run_disks(b, f, audit_ppm, &s, &err));
    return s;
}

static const struct content *disk_of(const struct snapshot *s)
{
    return &snapshot_stream_of(s, STREAM_DISK)->content;
}

struct compared {
    struct bed *b;
    struct view *v;
    struct fake *f;
};

static int compare_extent(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct compared *c = ctx;
    bk_auto(bk_buf_clear) struct bk_buf chunk = BK_BUF(CHUNK_MAX);
    if (x->kind == EXTENT_DATA)
        assert_int_equal(reader_chunk(c->v->reader, 0, CHUNK_DATA, &x->id, &chunk, err), 0);
    for (uint64_t i = 0; i < x->len; i += 509)
        if ((chunk.len ? chunk.data[x->off + i] : 0) != value(c->f, offset + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(offset + i));
    return 0;
}

static void holds(struct bed *b, const struct snapshot *s, struct fake *f)
{
    struct bk_error err = { 0 };
    struct view v = view_open(b, s);
    struct compared c = { b, &v, f };
    assert_int_equal(disk_of(s)->size, f->size);
    OK(browse_extents(v.reader, 0, disk_of(s), 0, f->size, compare_extent, &c, &err));
    view_close(&v);
}

static bool record_says(struct bed *b, const struct snapshot *s, const char *what)
{
    struct bk_error err = { 0 };
    struct view v = view_open(b, s);
    char text[4096] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->n_streams; i++)
        if (!strcmp(s->streams[i].name, DISKS_RECORD))
            OK(browse_read(v.reader, 0, &s->streams[i].content, 0, text, sizeof text - 1, &n, &err));
    view_close(&v);
    return strstr(text, what);
}

/* Random writes and discards, random levels: each snapshot is the disk, and no more is read than changed. */
static void increments_are_the_disk(void **state)
{
    (void)state;
    struct bed b = bed_new();
    srandom(7);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK - 5000);
        f->tracked = true;
        b.n_threads = threads;
        for (size_t i = 0; i < 300; i++)
            put_block(f, (size_t)random() % N_BLOCKS, (uint8_t)random());
        b.common.level = LEVEL_FULL;
        for (unsigned round = 0; round < 12; round++) {
            size_t n_dirty = 0;
            for (size_t i = 0; i < N_BLOCKS; i++)
                n_dirty += f->dirty[i] && !f->hole[i];
            struct snapshot s = run_well(&b, f, 0);
            holds(&b, &s, f);
            if (b.common.level == LEVEL_INCREMENTAL)
                assert_true(f->read <= n_dirty * (uint64_t)DISK_BLOCK);
            assert_int_equal(s.level, b.common.level);
            snapshot_clear(&s);
            b.common.level = round % 5 == 4 ? LEVEL_FULL : LEVEL_INCREMENTAL;
            size_t n = (size_t)random() % 60;
            for (size_t i = 0; i < n; i++)
                put_block(f, (size_t)random() % N_BLOCKS, (uint8_t)random());
            for (size_t i = 0; i < n / 3; i++)
                discard_block(f, (size_t)random() % N_BLOCKS);
        }
        assert_int_equal(f->n_ended, 12);
        assert_int_equal(f->n_committed, 12);
        fake_drop(f);
    }
    bed_free(&b);
}

static void what_the_source_said_comes_back(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new(10 * DISK_BLOCK);
    struct snapshot s = run_well(&b, f, 0);
    assert_string_equal(f->past, "");
    snapshot_clear(&s);
    s = run_well(&b, f, 0);
    assert_string_equal(f->past, "{\"point\":1}");
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

static void unchanged_segments_share_their_pages(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK);
    f->tracked = true;
    for (size_t i = 0; i < N_BLOCKS; i += 3)
        put_block(f, i, (uint8_t)i);
    struct snapshot s = run_well(&b, f, 0);
    snapshot_clear(&s);
    s = run_well(&b, f, 0);
    assert_int_equal(f->read, 0);
    snapshot_clear(&s);
    put_block(f, 5, 99);
    s = run_well(&b, f, 0);
    assert_int_equal(f->read, DISK_BLOCK);
    holds(&b, &s, f);
    /* the block, and the page of its segment with the one above */
    assert_true(s.new_bytes < DISK_BLOCK + (64 << 10));
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

/* Bit 0 says "clean" of a block that was written. */
static void a_lie_is_found_and_all_is_read(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK);
    f->tracked = true;
    for (size_t i = 0; i < 2000; i++)
        put_block(f, i, (uint8_t)(i + 1));
    struct snapshot s = run_well(&b, f, 1000000);
    snapshot_clear(&s);
    static const struct {
        size_t block;
        bool to_hole; /* it held data and is a hole now; else the other way round for those above 2000 */
    } lies[] = { { 1500, false }, { 2500, false }, { 700, true } };
    for (size_t i = 0; i < BK_COUNT(lies); i++) {
        put_block(f, lies[i].block, 200);
        if (lies[i].to_hole)
            discard_block(f, lies[i].block);
        f->dirty[lies[i].block] = false;
        put_block(f, 3, (uint8_t)(50 + i)); /* and something that is told */
        s = run_well(&b, f, 1000000);
        holds(&b, &s, f);
        assert_true(record_says(&b, &s, "\"audit_mismatches\":1"));
        assert_true(record_says(&b, &s, "\"read\":\"all\""));
        snapshot_clear(&s);
    }
    s = run_well(&b, f, 1000000); /* the truth again */
    assert_true(record_says(&b, &s, "\"audit_mismatches\":0"));
    assert_true(record_says(&b, &s, "\"read\":\"changes\""));
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

static void an_audit_reads_about_its_share(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK);
    f->tracked = true;
    for (size_t i = 0; i < N_BLOCKS; i++)
        put_block(f, i, (uint8_t)i);
    struct snapshot s = run_well(&b, f, 0);
    snapshot_clear(&s);
    s = run_well(&b, f, 50000);
    uint64_t blocks = f->read / DISK_BLOCK;
    assert_in_range(blocks, N_BLOCKS / 20 / 2, N_BLOCKS / 20 * 2);
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

static void a_disk_of_another_size_is_read_whole(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new(40 * DISK_BLOCK);
    f->tracked = true;
    for (size_t i = 0; i < 60; i++)
        put_block(f, i, (uint8_t)(i + 1));
    struct snapshot s = run_well(&b, f, 0);
    snapshot_clear(&s);
    static const uint64_t sizes[] = { 60 * DISK_BLOCK - 512, 20 * DISK_BLOCK + 512, 512, 0 };
    for (size_t i = 0; i < BK_COUNT(sizes); i++) {
        f->size = sizes[i];
        s = run_well(&b, f, 0);
        assert_int_equal(f->read, f->size);
        holds(&b, &s, f);
        assert_true(record_says(&b, &s, "its size changed"));
        snapshot_clear(&s);
    }
    fake_drop(f);
    bed_free(&b);
}

static void a_broken_disk_leaves_no_snapshot(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK);
    struct snapshot s = { 0 };
    for (size_t i = 0; i < 2000; i++)
        put_block(f, i, (uint8_t)(i + 1));
    f->fail_at = 1700 * (uint64_t)DISK_BLOCK;
    assert_int_equal(run_disks(&b, f, 0, &s, &err), BK_E_IO);
    assert_non_null(strstr(err.text, "disk 'vda'"));
    assert_int_equal(count_objects(b.mem, "snapshots/"), 0);
    assert_int_equal(count_objects(b.mem, "sessions/"), 0);
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->n_committed, 0);
    fake_drop(f);
    bed_free(&b);
}

/* A page of the parent is gone: the audit goes through all of them, and what is clean is read as well. */
static void a_damaged_parent_costs_a_full(void **state)
{
    (void)state;
    struct bed b = bed_new();
    struct fake *f = fake_new((uint64_t)N_BLOCKS * DISK_BLOCK);
    f->tracked = true;
    for (size_t i = 0; i < N_BLOCKS; i += 2)
        put_block(f, i, (uint8_t)(i + 1));
    struct snapshot s = run_well(&b, f, 0);
    snapshot_clear(&s);
    flip_all(b.mem, "meta/", 400);
    put_block(f, 9, 77);
    s = run_well(&b, f, 10000);
    assert_true(record_says(&b, &s, "the parent snapshot is damaged"));
    holds(&b, &s, f);
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

/* Whoever only asks must not cost the source what the last snapshot needs. */
static void a_dry_run_commits_nothing(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct bed b = bed_new();
    struct fake *f = fake_new(10 * DISK_BLOCK);
    struct snapshot s = { 0 };
    put_block(f, 1, 5);
    b.common.dry_run = true;
    OK(run_disks(&b, f, 0, &s, &err));
    assert_int_equal(f->n_ended, 1);
    assert_int_equal(f->n_committed, 0);
    snapshot_clear(&s);
    fake_drop(f);
    bed_free(&b);
}

static void names_that_no_file_can_have_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", ".", "..", "a/..", "/a", "a//b", "a/", DISKS_RECORD };
    for (size_t i = 0; i < BK_COUNT(bad); i++)
        assert_false(disks_name_fits(bad[i]));
    assert_true(disks_name_fits("vda") && disks_name_fits("web 1/vda") && disks_name_fits("..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(increments_are_the_disk),
        cmocka_unit_test(what_the_source_said_comes_back),
        cmocka_unit_test(unchanged_segments_share_their_pages),
        cmocka_unit_test(a_lie_is_found_and_all_is_read),
        cmocka_unit_test(an_audit_reads_about_its_share),
        cmocka_unit_test(a_disk_of_another_size_is_read_whole),
        cmocka_unit_test(a_broken_disk_leaves_no_snapshot),
        cmocka_unit_test(a_damaged_parent_costs_a_full),
        cmocka_unit_test(a_dry_run_commits_nothing),
        cmocka_unit_test(names_that_no_file_can_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
