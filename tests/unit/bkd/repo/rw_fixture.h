/* What the tests of index, writer and reader share: a repository on a memory store that outlives it, so that
 * it can be opened again, and damaged in between. */
#ifndef TESTS_RW_FIXTURE_H
#define TESTS_RW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "tests/unit/bkd/repo/lent.h"

static const struct slot_secret secret = { .kind = SLOT_KEYFILE,
                                           .data = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                           .len = 32 };

/* Small frames and packs, so that a little data makes many. */
static inline struct store *new_repository(void)
{
    struct bk_error err = { 0 };
    struct store *mem = NULL;
    struct repo *r = NULL;
    struct config c;
    config_defaults(&c);
    c.frame_bytes = CONFIG_FRAME_MIN;
    c.pack_bytes = CONFIG_PACK_MIN;
    OK(store_mem_new(&mem, &err));
    OK(repo_init_adopt_store(
        lend(mem),
        &(struct repo_init_opts){ .suite = SUITE_AES256_GCM, .secret = &secret, .label = "t", .config = &c },
        &world_real, &r, &err));
    repo_free(r);
    return mem;
}

static inline struct repo *open_repository(struct store *mem)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    OK(repo_open_adopt_store(lend(mem), &secret, &world_real, &r, &err));
    return r;
}

static inline struct index *open_index(struct repo *r)
{
    struct bk_error err = { 0 };
    struct index *x = NULL;
    OK(index_open(r, NULL, NULL, &x, &err));
    return x;
}

/* Numbers that look like hashes. */
static inline chunk_id id_of(uint32_t i)
{
    chunk_id id;
    uint64_t x = i + 1;
    for (size_t k = 0; k < sizeof id.b; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        id.b[k] = (uint8_t)(x >> 56);
    }
    return id;
}

/* Chunk number i of a series: its length and bytes depend on i alone. */
static inline size_t make_chunk(uint32_t i, uint8_t *out, size_t max)
{
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u + 1;
    size_t len = 1 + (size_t)(x >> 20) % max;
    for (size_t k = 0; k < len; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        out[k] = i % 3 ? (uint8_t)(x >> 56) : (uint8_t)(i + k / 64); /* every third compresses */
    }
    return len;
}

struct name_list {
    char v[512][STORE_NAME_MAX + 1];
    size_t n;
};
static inline int take_name(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct name_list *l = ctx;
    (void)size;
    (void)err;
    assert_true(l->n < BK_COUNT(l->v));
    snprintf(l->v[l->n++], sizeof l->v[0], "%s", name);
    return 0;
}
static inline size_t list_names(struct store *s, const char *prefix, struct name_list *l)
{
    struct bk_error err = { 0 };
    l->n = 0;
    OK(store_list(s, prefix, take_name, l, &err));
    return l->n;
}
static inline void remove_all(struct store *s, const char *prefix)
{
    struct bk_error err = { 0 };
    static struct name_list l;
    for (size_t i = 0, n = list_names(s, prefix, &l); i < n; i++)
        OK(store_remove(s, l.v[i], &err));
}
/* Flip a bit of an object; offset < 0 counts from the end. */
static inline void damage(struct store *s, const char *name, int64_t offset)
{
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 28);
    OK(store_get_all(s, name, b.limit, &b, &err));
    b.data[offset < 0 ? b.len - (size_t)-offset : (size_t)offset] ^= 0x10;
    OK(store_remove(s, name, &err));
    OK(store_put(s, name, b.data, b.len, &err));
}

#endif
