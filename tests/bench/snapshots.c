/* Many snapshots quickly: bench-snapshots REPO KEY-FILE N commits every snapshot that there is N - 1 times
 * more, each in a session of its own. For tests/bench/prune. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/repo/catalog.h"
#include "bkd/repo/session.h"

static void must(int r, const struct bk_error *err)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench-snapshots: %s\n", err->text);
    exit(1);
}

static void commit(struct repo *r, struct snapshot *s)
{
    struct bk_error err = { 0 };
    bk_auto(session_free) struct session *session = NULL;
    must(session_open(r, SESSION_WRITER, "bench", &session, &err), &err);
    must(session_commit(session, s, &err), &err);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench-snapshots REPO KEY-FILE N\n");
        return 2;
    }
    struct bk_error err = { 0 };
    uint8_t key[4096];
    FILE *f = fopen(argv[2], "rb");
    size_t len = f ? fread(key, 1, sizeof key, f) : 0;
    if (!f || fclose(f) || !len) {
        perror(argv[2]);
        return 1;
    }
    const struct slot_secret secret = { .kind = SLOT_KEYFILE, .data = key, .len = len };
    struct store *s = NULL;
    bk_auto(repo_free) struct repo *r = NULL;
    bk_auto(catalog_clear) struct catalog c = { 0 };
    must(store_open(argv[1], false, &world_real, &s, &err), &err);
    must(repo_open_adopt_store(s, &secret, &world_real, &r, &err), &err);
    must(catalog_load(r, NULL, NULL, &c, &err), &err);
    long n = strtol(argv[3], NULL, 10);
    for (long i = 1; i < n; i++)
        for (size_t k = 0; k < c.n; k++)
            commit(r, &c.v[k].snap);
    return 0;
}
