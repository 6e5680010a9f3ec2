/* How the index behaves in a big repository: a synthetic one with N chunks (default 100 million) in full
 * index segments.
 *
 *     bench-index DIR [CHUNKS]
 *
 * makes DIR once (about 44 bytes a chunk), then opens it anew and prints: time to open, resident memory,
 * look-ups per second of one thread for ids that are there and ids that are not, in random order: a page is
 * checked when it is read for the first time, so that what is there is asked for twice. The page cache should
 * be warm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "bkd/repo/index.h"

enum { ROUNDS = 8 };

static double wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int r, const struct bk_error *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static uint64_t mix(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* The id of chunk n: as spread as a real one, and found again from n alone. */
static void id_of(uint64_t n, chunk_id *ret)
{
    uint64_t s = n * 0x632be59bd9b4e019 + 1;
    for (int i = 0; i < CHUNK_ID; i += 8) {
        uint64_t v = mix(&s);
        memcpy(ret->b + i, &v, 8);
    }
}

static void put_segment(struct repo *r, uint64_t first, size_t n)
{
    struct bk_error err = { 0 };
    size_t n_frames = n / 4 + 1, n_packs = n_frames / 256 + 1;
    struct segment_entry *entries = malloc(n * sizeof *entries);
    struct segment_frame *frames = malloc(n_frames * sizeof *frames);
    struct segment_pack *packs = calloc(n_packs, sizeof *packs);
    if (!entries || !frames || !packs)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        id_of(first + i, &entries[i].id);
        entries[i].frame = (uint32_t)(i / 4);
        entries[i].slot = (uint16_t)(i % 4);
    }
    for (size_t i = 0; i < n_frames; i++)
        frames[i] = (struct segment_frame){ .pack = (uint32_t)(i / 256),
                                            .offset = (uint32_t)(i % 256) * 100000 + 56,
                                            .stored_len = 100000,
                                            .raw_len = 262144 };
    for (size_t i = 0; i < n_packs; i++) {
        id_of(first + i + ((uint64_t)1 << 50), (chunk_id *)&packs[i].name);
        packs[i].bytes = 26000000;
    }
    const struct segment_input in = { .entries = entries,
                                      .n_entries = n,
                                      .frames = frames,
                                      .n_frames = n_frames,
                                      .packs = packs,
                                      .n_packs = n_packs };
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF((size_t)1 << 30);
    must(segment_build(repo_keyring(r), &in, &out, &err), &err);
    free(entries);
    free(frames);
    free(packs);
    uint8_t name[SUITE_HASH];
    char path[REPO_PATH];
    must(suite_hash(SUITE_AES256_GCM, out.data, out.len, name, &err), &err);
    repo_id_path("index/", name, sizeof name, path);
    must(store_put(repo_store(r), path, out.data, out.len, &err), &err);
}

static const struct slot_secret secret = { .kind = SLOT_PASSPHRASE,
                                           .data = (const uint8_t *)"bench",
                                           .len = 5 };

static void make(const char *dir, uint64_t chunks)
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    bk_auto(repo_free) struct repo *r = NULL;
    must(store_open(dir, true, &world_real, &s, &err), &err);
    must(repo_init_adopt_store(
             s, &(struct repo_init_opts){ .suite = SUITE_AES256_GCM, .secret = &secret, .label = "bench" },
             &world_real, &r, &err),
         &err);
    for (uint64_t first = 0; first < chunks; first += SEGMENT_MAX)
        put_segment(r, first, chunks - first < SEGMENT_MAX ? (size_t)(chunks - first) : (size_t)SEGMENT_MAX);
}

struct ids {
    uint64_t base, range;
    int expected; /* of a look-up */
};

/* n look-ups of random ids, in look-ups per second of this thread's processor time. locate: where it is;
 * else only whether it is there. */
static double look_up(struct index *x, const struct ids *ids, uint64_t seed, unsigned n, bool locate)
{
    struct bk_error err = { 0 };
    double start = cpu_now();
    for (unsigned i = 0; i < n; i++) {
        chunk_id id;
        id_of(ids->base + mix(&seed) % ids->range, &id);
        struct chunk_loc loc;
        int r = locate ? index_find(x, &id, &loc, &err) : index_has(x, &id, &err);
        must(r, &err);
        if (r != ids->expected) {
            fprintf(stderr, "a look-up was wrong\n");
            exit(1);
        }
    }
    return n / (cpu_now() - start);
}

/* The best of ROUNDS, each with other ids: what a neighbour on the machine takes away is not ours. */
static double best(struct index *x, const struct ids *ids, uint64_t seed, unsigned n, bool locate)
{
    double most = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        double rate = look_up(x, ids, seed + ((uint64_t)i << 40), n / ROUNDS, locate);
        most = rate > most ? rate : most;
    }
    return most;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench-index DIR [CHUNKS]\n");
        return 2;
    }
    uint64_t chunks = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000000;
    struct stat st;
    if (stat(argv[1], &st) < 0) {
        make(argv[1], chunks);
        printf("made; run again to measure\n");
        return 0;
    }
    struct bk_error err = { 0 };
    struct store *s = NULL;
    bk_auto(repo_free) struct repo *r = NULL;
    bk_auto(index_free) struct index *x = NULL;
    must(store_open(argv[1], false, &world_real, &s, &err), &err);
    must(repo_open_adopt_store(s, &secret, &world_real, &r, &err), &err);
    double start = wall_now();
    must(index_open(r, NULL, NULL, &x, &err), &err);
    double opened = wall_now() - start;
    const struct ids there = { .range = chunks, .expected = 1 };
    const struct ids nowhere = { .base = (uint64_t)1 << 60, .range = (uint64_t)1 << 40 };
    double first = best(x, &there, 12345, 400000, false);
    double again = best(x, &there, 12345, 400000, false);
    double absent = best(x, &nowhere, 12345, 2000000, false);
    double located = best(x, &there, 54321, 400000, true);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%llu chunks: open %.2f s; look-ups per second and core: present %.0f (%.0f where pages were seen "
           "before), absent %.0f, located %.0f; peak resident %.0f MiB (index %.0f MiB)\n",
           (unsigned long long)index_entries(x), opened, first, again, absent, located,
           (double)u.ru_maxrss / 1024, (double)index_resident_bytes(x) / (1 << 20));
    return 0;
}
