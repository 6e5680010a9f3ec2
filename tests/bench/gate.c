/* The gate that noise cannot move: what a backup or restore must cost at least, as the sum of its primitives
 * run one after the other on one thread over the same files, against what the engine really took in the same
 * minute.
 *
 *     bench-gate BKCTL FOLDER WORK
 *
 * prints user + system seconds per primitive, their sum, the engine's, and sum/engine. Primitives of a full:
 * open + stat + read + close, chunk, name (HMAC), compress, seal, look (open + decompress + compare), hash
 * the stored bytes, write them around the page cache. Of a restore: read, open, decompress, name, create +
 * write + times + close. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "formats/chunk/chunker.h"
#include "formats/chunk/chunk.h"

enum { FRAME = 512 << 10, ALIGN = 4096, OUT = 4 << 20 };

enum phase {
    READ,
    CHUNK,
    NAME,
    COMPRESS,
    SEAL,
    LOOK,
    HASH,
    WRITE,
    GET,
    OPEN,
    DECODE,
    RENAME,
    CREATE,
    PHASES
};
static const char *const phase_names[PHASES] = { "read files",  "chunk",       "name",       "compress",
                                                 "seal",        "look",        "hash packs", "write packs",
                                                 "read packs",  "open frames", "decompress", "name again",
                                                 "create files" };

static double spent[PHASES];
static double last;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void lap(enum phase p)
{
    double now = cpu_now();
    spent[p] += now - last;
    last = now;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void must(int r, const struct bk_error *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

struct gate {
    struct keyring keys;
    struct chunk_namer *namer;
    struct chunker *chunker;
    struct suite_aead *aead;
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    uint8_t *plain, *packed, *sealed, *opened, *again, *out;
    size_t n_plain, n_out;
    uint64_t frames;
    int out_fd, in_fd;
    struct {
        uint32_t sealed, packed, plain;
    } * log;
    uint64_t bytes, files;
};

static void write_out(struct gate *g, bool all)
{
    size_t n = all ? (g->n_out + ALIGN - 1) & ~(size_t)(ALIGN - 1) : g->n_out & ~(size_t)(ALIGN - 1);
    if (n && write(g->out_fd, g->out, n) != (ssize_t)n)
        die("write");
    size_t rest = all ? 0 : g->n_out - n;
    memmove(g->out, g->out + n, rest);
    g->n_out = rest;
}

static void close_frame(struct gate *g)
{
    struct bk_error err = { 0 };
    if (!g->n_plain)
        return;
    size_t packed = ZSTD_compress2(g->cctx, g->packed, ZSTD_compressBound(FRAME * 2), g->plain, g->n_plain);
    if (ZSTD_isError(packed))
        die("compress");
    lap(COMPRESS);
    must(suite_aead_seal(g->aead, g->frames, "aad", 3, g->packed, packed, g->sealed, &err), &err);
    lap(SEAL);
    must(suite_aead_open(g->aead, g->frames, "aad", 3, g->sealed, packed + SUITE_TAG, g->opened, &err), &err);
    size_t n = ZSTD_decompressDCtx(g->dctx, g->again, FRAME * 2, g->opened, packed);
    if (n != g->n_plain || memcmp(g->again, g->plain, n) != 0)
        die("look");
    lap(LOOK);
    uint8_t digest[SUITE_HASH];
    must(suite_hash(SUITE_AES256_GCM, g->sealed, packed + SUITE_TAG, digest, &err), &err);
    lap(HASH);
    memcpy(g->out + g->n_out, g->sealed, packed + SUITE_TAG);
    g->n_out += packed + SUITE_TAG;
    if (g->n_out >= OUT)
        write_out(g, false);
    g->log = realloc(g->log, (g->frames + 1) * sizeof *g->log);
    g->log[g->frames].sealed = (uint32_t)(packed + SUITE_TAG);
    g->log[g->frames].packed = (uint32_t)packed;
    g->log[g->frames].plain = (uint32_t)g->n_plain;
    g->frames++;
    g->n_plain = 0;
    lap(WRITE);
}

static void take(struct gate *g, const uint8_t *data, size_t len)
{
    struct bk_error err = { 0 };
    while (len > 0) {
        size_t n = chunker_cut(g->chunker, data, len, true);
        lap(CHUNK);
        chunk_id id;
        must(chunk_name(g->namer, CHUNK_DATA, data, n, &id, &err), &err);
        memcpy(g->plain + g->n_plain, data, n);
        g->n_plain += n;
        lap(NAME);
        if (g->n_plain >= FRAME)
            close_frame(g);
        data += n;
        len -= n;
    }
}

static void full_file(struct gate *g, int dirfd, const char *name)
{
    static uint8_t buffer[1 << 20];
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        die(name);
    struct stat st;
    ssize_t n;
    fstat(fd, &st);
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        lap(READ);
        g->bytes += (uint64_t)n;
        take(g, buffer, (size_t)n);
    }
    close(fd);
    g->files++;
    lap(READ);
}

/* visit(dirfd, name, type) on everything below, directories first by the order of the listing */
static void walk(struct gate *g, int fd, void (*file)(struct gate *, int, const char *, int), int to)
{
    DIR *d = fdopendir(fd);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2])))
            continue;
        if (e->d_type == DT_DIR) {
            int sub = -1;
            if (to >= 0) {
                mkdirat(to, e->d_name, 0755);
                sub = openat(to, e->d_name, O_RDONLY | O_DIRECTORY);
            }
            walk(g, openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY), file, sub);
            if (sub >= 0)
                close(sub);
        } else if (e->d_type == DT_REG) {
            file(g, dirfd(d), e->d_name, to);
        }
    }
    closedir(d);
}

static void visit_full(struct gate *g, int dirfd, const char *name, int to)
{
    (void)to;
    full_file(g, dirfd, name);
}

/* The bytes do not matter for the cost: the plaintext of the frame at hand is written, as much as the file
 * has. */
static void next_frame(struct gate *g)
{
    struct bk_error err = { 0 };
    uint64_t f = g->frames++;
    if (read(g->in_fd, g->sealed, g->log[f].sealed) != (ssize_t)g->log[f].sealed)
        die("read frames");
    lap(GET);
    must(suite_aead_open(g->aead, f, "aad", 3, g->sealed, g->log[f].sealed, g->opened, &err), &err);
    lap(OPEN);
    if (ZSTD_decompressDCtx(g->dctx, g->plain, FRAME * 2, g->opened, g->log[f].packed) != g->log[f].plain)
        die("decompress");
    lap(DECODE);
    chunk_id id;
    for (size_t at = 0; at < g->log[f].plain; at += 65536) {
        size_t n = g->log[f].plain - at < 65536 ? g->log[f].plain - at : 65536;
        must(chunk_name(g->namer, CHUNK_DATA, g->plain + at, n, &id, &err), &err);
    }
    lap(RENAME);
    g->n_plain = 0;
}

static void visit_restore(struct gate *g, int dirfd, const char *name, int to)
{
    struct stat st;
    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
    last = cpu_now(); /* asking the source for the size is not part of a restore */
    int fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0)
        die(name);
    uint64_t left = (uint64_t)st.st_size;
    while (left > 0) {
        size_t have = g->frames ? g->log[g->frames - 1].plain - g->n_plain : 0;
        if (!have) {
            lap(CREATE);
            next_frame(g);
            continue;
        }
        size_t n = left < have ? (size_t)left : have;
        if (write(fd, g->plain + g->n_plain, n) != (ssize_t)n)
            die("write");
        g->n_plain += n;
        left -= n;
    }
    const struct timespec times[2] = { st.st_mtim, st.st_mtim };
    futimens(fd, times);
    close(fd);
    lap(CREATE);
}

static double run(const char *const argv[])
{
    struct rusage before, after;
    getrusage(RUSAGE_CHILDREN, &before);
    pid_t pid = fork();
    if (pid == 0) {
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    if (code != 0 && code != 10) {
        fprintf(stderr, "%s %s: exit %d\n", argv[0], argv[2], code);
        exit(1);
    }
    getrusage(RUSAGE_CHILDREN, &after);
#define SECONDS(f) \
    ((double)(after.f.tv_sec - before.f.tv_sec) + (double)(after.f.tv_usec - before.f.tv_usec) / 1e6)
    return SECONDS(ru_utime) + SECONDS(ru_stime);
}

static double report(const char *what, int from, int to, double engine, const struct gate *g)
{
    double sum = 0;
    for (int p = from; p < to; p++)
        sum += spent[p];
    printf("%-8s", what);
    for (int p = from; p < to; p++)
        printf(" %s %.2f", phase_names[p], spent[p]);
    printf(
        "\n%-8s sum of primitives %.2f s, engine %.2f s, ratio %.2f (gate 0.70: %s)   %llu files, %.0f MB\n",
        what, sum, engine, sum / engine, sum / engine >= 0.70 ? "met" : "NOT MET",
        (unsigned long long)g->files, (double)g->bytes / 1e6);
    return sum / engine;
}

static void set_up(struct gate *g)
{
    struct bk_error err = { 0 };
    const uint8_t random[64] = { 42 }, digest[SUITE_HASH] = { 0 }, key[SUITE_KEY] = { 7 };
    struct config config;
    config_defaults(&config);
    config.suite = SUITE_AES256_GCM;
    must(keyring_init(&g->keys, SUITE_AES256_GCM, random, digest, &err), &err);
    must(chunk_namer_new(&g->keys, &g->namer, &err), &err);
    must(chunker_new(&g->keys, &config, &g->chunker, &err), &err);
    must(suite_aead_new(SUITE_AES256_GCM, key, &g->aead, &err), &err);
    g->cctx = ZSTD_createCCtx();
    /* as the engine's */
    ZSTD_CCtx_setParameter(g->cctx, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(g->cctx, ZSTD_c_hashLog, 13);
    ZSTD_CCtx_setParameter(g->cctx, ZSTD_c_minMatch, 7);
    g->dctx = ZSTD_createDCtx();
    g->plain = malloc(FRAME * 2 + (1 << 20));
    g->again = malloc(FRAME * 2 + (1 << 20));
    g->packed = malloc(ZSTD_compressBound(FRAME * 2));
    g->sealed = malloc(ZSTD_compressBound(FRAME * 2) + 64);
    g->opened = malloc(ZSTD_compressBound(FRAME * 2) + 64);
    if (posix_memalign((void **)&g->out, ALIGN, OUT * 2) != 0)
        die("memory");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench-gate BKCTL FOLDER WORK\n");
        return 2;
    }
    char *bkctl = argv[1], *folder = argv[2], repo[4096], target[4096], stored[4096];
    snprintf(repo, sizeof repo, "%s/gate-repo", argv[3]);
    snprintf(target, sizeof target, "%s/gate-target", argv[3]);
    snprintf(stored, sizeof stored, "%s/gate-stored", argv[3]);
    setenv("BKCTL_REPO", repo, 1);
    setenv("BKCTL_PASSWORD", "x", 1);
    static struct gate g;
    set_up(&g);

    run((const char *[]){ bkctl, "-q", "init", NULL });
    double engine_full = run((const char *[]){ bkctl, "-q", "backup", "--name", "gate", folder, NULL });
    g.out_fd = open(stored, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
    if (g.out_fd < 0)
        die(stored);
    last = cpu_now();
    walk(&g, open(folder, O_RDONLY | O_DIRECTORY), visit_full, -1);
    close_frame(&g);
    write_out(&g, true);
    fsync(g.out_fd);
    lap(WRITE);
    double full = report("full", READ, GET, engine_full, &g);

    double engine_restore =
        run((const char *[]){ bkctl, "-q", "restore", "latest", "--target", target, NULL });
    char *again = target + strlen(target);
    strcpy(again, "2");
    mkdir(target, 0755);
    g.frames = 0;
    g.n_plain = 0;
    g.in_fd = open(stored, O_RDONLY);
    walk(&g, open(folder, O_RDONLY | O_DIRECTORY), visit_restore, open(target, O_RDONLY | O_DIRECTORY));
    double restore = report("restore", GET, PHASES, engine_restore, &g);
    return full >= 0.70 && restore >= 0.70 ? 0 : 1;
}
