/* Merging the index is disturbed at every step: power cuts after each call to the disk, and every call to the
 * store failing in every way. No chunk that a put segment named may be lost, no name may come twice to life,
 * and the next merge finishes what was begun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_merge.h"
#include "bkd/repo/index_superseded.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "tests/fault/disk.h"
#include "tests/fault/life.h"

enum { RUNS = 9, MERGE_EVERY = 4, PER_RUN = 20 };

struct course {
    struct disk *disk;           /* may be NULL */
    unsigned done;               /* runs whose put returned success */
    size_t calls_when[RUNS + 1]; /* of the disk, when that many were done */
};

static chunk_id id_of(unsigned run, unsigned i)
{
    chunk_id id;
    uint64_t x = run * 1000 + i + 1;
    for (size_t k = 0; k < sizeof id.b; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        id.b[k] = (uint8_t)(x >> 56);
    }
    return id;
}

static int put_run(struct index *x, unsigned run, struct bk_error *err)
{
    struct segment_entry entries[PER_RUN];
    struct segment_frame frame = { .offset = PACK_HEADER, .stored_len = 1000, .raw_len = 2000 + run };
    struct segment_pack pack = { .bytes = 1 << 20 };
    chunk_id name = id_of(500 + run, 0);
    memcpy(pack.name.b, name.b, sizeof pack.name.b);
    for (unsigned i = 0; i < PER_RUN; i++)
        entries[i] = (struct segment_entry){ .id = id_of(run, i), .slot = (uint16_t)i };
    const struct segment_input in = { .entries = entries,
                                      .n_entries = PER_RUN,
                                      .frames = &frame,
                                      .n_frames = 1,
                                      .packs = &pack,
                                      .n_packs = 1 };
    uint64_t bytes;
    return index_put_segment(x, &in, &bytes, err);
}

static int merge(struct index *x, struct bk_error *err)
{
    struct job j;
    uint64_t fewer;
    life_job(&j);
    j.memory_bytes = JOB_MEMORY_MIN;
    int r = job_init(&j, err);
    if (r == 0)
        r = index_merge(x, &j, &fewer, err);
    job_clear(&j);
    return r;
}

static struct repo *open_repo(struct store *s)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    if (repo_open_adopt_store(s, &life_secret, &world_real, &r, &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

static void init(struct store *s)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    assert_int_equal(
        repo_init_adopt_store(
            s, &(struct repo_init_opts){ .suite = SUITE_AES256_GCM, .secret = &life_secret, .label = "t" },
            &world_real, &r, &err),
        0);
    repo_free(r);
}

/* The index is opened anew for each run, as backups do. */
static int take_course(struct course *c, struct repo *r, struct bk_error *err)
{
    for (unsigned run = 0; run < RUNS; run++) {
        bk_auto(index_free) struct index *x = NULL;
        int e = index_open(r, NULL, NULL, &x, err);
        if (e == 0 && run % MERGE_EVERY == 0)
            e = merge(x, err);
        if (e == 0)
            e = put_run(x, run, err);
        if (e < 0)
            return e;
        c->done = run + 1;
        if (c->disk)
            c->calls_when[c->done] = disk_calls(c->disk);
    }
    return 0;
}

static void check_all(struct index *x, unsigned done)
{
    struct bk_error err = { 0 };
    struct chunk_loc l;
    for (unsigned run = 0; run < done; run++)
        for (unsigned i = 0; i < PER_RUN; i++) {
            chunk_id id = id_of(run, i);
            assert_int_equal(index_find(x, &id, &l, &err), 1);
            assert_int_equal(l.raw_len, 2000 + run);
            assert_int_equal(l.slot, i);
        }
    assert_in_range(index_entries(x), done * PER_RUN, RUNS * PER_RUN); /* no segment twice */
}

/* What is left holds all that was put, before and after another merge. */
static void survive(struct repo *r, unsigned done, bool removes)
{
    struct bk_error err = { 0 };
    struct index *x = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(index_open(r, NULL, NULL, &x, &err), 0);
        check_all(x, done);
        if (removes && i > 0)
            assert_int_equal(index_superseded(x)->n, 0);
        assert_int_equal(merge(x, &err), 0);
        check_all(x, done);
        index_free(x);
        x = NULL;
    }
}

static void no_power_cut_loses_a_chunk(void **state)
{
    (void)state;
    char top[] = "/tmp/bk-fault-merge-XXXXXX", path[64];
    assert_non_null(mkdtemp(top));
    struct bk_error err = { 0 };
    struct course c = { .disk = disk_new() };
    struct store *s = NULL;
    snprintf(path, sizeof path, "%s/recorded", top);
    assert_int_equal(store_dir_open(path, true, disk_io(c.disk), &world_real, &s, &err), 0);
    init(s);
    size_t first = disk_calls(c.disk);
    assert_int_equal(store_dir_open(path, false, disk_io(c.disk), &world_real, &s, &err), 0);
    struct repo *r = open_repo(s);
    assert_int_equal(take_course(&c, r, &err), 0);
    repo_free(r);
    unsigned cases = 0;
    snprintf(path, sizeof path, "%s/cut", top);
    for (size_t n = first; n <= disk_calls(c.disk); n++)
        for (int loss = 0; loss < DISK_LOSSES; loss++, cases++) {
            unsigned done = 0;
            while (done < RUNS && c.calls_when[done + 1] <= n)
                done++;
            sample_remove_below(path);
            disk_cut(c.disk, n, loss, path);
            assert_int_equal(store_dir_open(path, false, &disk_io_unsynced, &world_real, &s, &err), 0);
            r = open_repo(s);
            survive(r, done, true);
            repo_free(r);
        }
    printf("# power cut after each of %zu calls: %u cases, all chunks there\n", disk_calls(c.disk) - first,
           cases);
    disk_free(c.disk);
    snprintf(path, sizeof path, "rm -rf %s", top);
    assert_int_equal(system(path), 0);
}

/* The objects of a memory store, copied. */
struct copy {
    struct store *from, *to;
};
static int copy_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct copy *c = ctx;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF((size_t)1 << 28);
    (void)size;
    int r = store_get_all(c->from, name, b.limit, &b, err);
    return r < 0 ? r : store_put(c->to, name, b.data, b.len, err);
}
static struct store *copy_of(struct store *from)
{
    struct bk_error err = { 0 };
    struct copy c = { .from = from };
    assert_int_equal(store_mem_new(&c.to, &err), 0);
    assert_int_equal(store_list(from, "", copy_one, &c, &err), 0);
    return c.to;
}

/* The disturbed store is left behind; what it holds is looked at through a copy. */
static unsigned sweep(struct store *base, enum store_fault_kind kind)
{
    for (unsigned nth = 1;; nth++) {
        struct bk_error err = { 0 };
        struct course c = { 0 };
        struct store *faulty = NULL;
        struct store *mem = copy_of(base);
        assert_int_equal(store_fault_new(mem, kind, nth, &faulty, &err), 0);
        struct repo *r = NULL;
        if (repo_open_adopt_store(faulty, &life_secret, &world_real, &r, &err) < 0)
            continue; /* what opening does about faults is seen elsewhere */
        int e = take_course(&c, r, &err);
        bool fired = store_fault_fired(faulty);
        if (!fired)
            assert_int_equal(e, 0);
        struct repo *after = open_repo(copy_of(mem));
        survive(after, c.done, false);
        repo_free(after);
        repo_free(r);
        if (!fired)
            return nth - 1;
    }
}

static void no_failing_call_loses_a_chunk(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *mem = NULL, *empty = NULL;
    assert_int_equal(store_mem_new(&mem, &err), 0);
    char top[] = "/tmp/bk-fault-merge-XXXXXX", path[64];
    assert_non_null(mkdtemp(top));
    snprintf(path, sizeof path, "%s/r", top);
    assert_int_equal(store_dir_open(path, true, NULL, &world_real, &empty, &err), 0);
    init(empty);
    assert_int_equal(store_dir_open(path, false, NULL, &world_real, &empty, &err), 0);
    assert_int_equal(store_list(empty, "", copy_one, &(struct copy){ empty, mem }, &err), 0);
    store_free(empty);
    static const enum store_fault_kind kinds[] = { FAULT_ERROR,    FAULT_LOST_ACK, FAULT_SHORT_GET,
                                                   FAULT_FLIP_GET, FAULT_NOSPACE,  FAULT_CUT };
    unsigned cases = 0;
    for (size_t i = 0; i < BK_COUNT(kinds); i++)
        cases += sweep(mem, kinds[i]);
    printf("# %u store calls failed while runs were put and merged: all chunks there\n", cases);
    store_free(mem);
    snprintf(path, sizeof path, "rm -rf %s", top);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_power_cut_loses_a_chunk),
                                        cmocka_unit_test(no_failing_call_loses_a_chunk) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
