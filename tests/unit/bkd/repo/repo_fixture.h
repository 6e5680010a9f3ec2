/* What the tests of repositories share: memory stores that outlive the repository on them, with faults
 * between, and secrets. */
#ifndef TESTS_REPO_FIXTURE_H
#define TESTS_REPO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "bkd/repo/names.h"
#include "bkd/repo/repo.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "tests/unit/bkd/repo/lent.h"

static inline struct store *new_mem(void)
{
    struct bk_error err = { 0 };
    struct store *mem = NULL;
    OK(store_mem_new(&mem, &err));
    return mem;
}

/* The nth call fails. */
static inline struct store *lend_faulty(struct store *to, enum store_fault_kind kind, uint64_t nth)
{
    struct bk_error err = { 0 };
    struct store *s = NULL;
    OK(store_fault_new(lend(to), kind, nth, &s, &err));
    return s;
}

static inline int copy_object(void *ctx, const char *name, uint64_t size, struct bk_error *ret_err)
{
    (void)ret_err;
    struct bk_error err = { 0 };
    struct store **s = ctx;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    OK(store_get_all(s[0], name, size, &b, &err));
    OK(store_put(s[1], name, b.data, b.len, &err));
    return 0;
}

static inline struct store *copy_of(struct store *from)
{
    struct bk_error err = { 0 };
    struct store *both[] = { from, new_mem() };
    OK(store_list(from, "", copy_object, both, &err));
    return both[1];
}

static const struct slot_secret key_file = { .kind = SLOT_KEYFILE,
                                             .data = (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                             .len = 32 };
static const struct slot_secret other_key_file = {
    .kind = SLOT_KEYFILE, .data = (const uint8_t *)"fedcba9876543210fedcba9876543210", .len = 32
};

static inline int try_init(struct store *s, enum suite_id suite, const struct config *config,
                           struct bk_error *err)
{
    struct repo *r = NULL;
    struct repo_init_opts o = { .suite = suite, .secret = &key_file, .label = "first", .config = config };
    int rc = repo_init_adopt_store(s, &o, &world_real, &r, err);
    if (rc == 0)
        repo_free(r);
    else
        store_free(s);
    return rc;
}

static inline int try_open(struct store *s, const struct slot_secret *secret, struct repo **ret,
                           struct bk_error *err)
{
    int rc = repo_open_adopt_store(s, secret, &world_real, ret, err);
    if (rc < 0)
        store_free(s);
    return rc;
}

static inline struct repo *open_mem(struct store *mem)
{
    struct bk_error err = { 0 };
    struct repo *r = NULL;
    OK(try_open(lend(mem), &key_file, &r, &err));
    return r;
}

static inline struct store *new_repository(void)
{
    struct bk_error err = { 0 };
    struct store *mem = new_mem();
    OK(try_init(lend(mem), SUITE_AES256_GCM, NULL, &err));
    return mem;
}

static inline size_t count_objects(struct store *s, const char *prefix)
{
    struct bk_error err = { 0 };
    struct names n = { 0 };
    OK(names_list(s, prefix, 1 << 20, &n, &err));
    size_t count = n.n;
    names_clear(&n);
    return count;
}

/* What stands under the name becomes these bytes. */
static inline void replace(struct store *s, const char *name, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    OK(store_remove(s, name, &err));
    OK(store_put(s, name, data, len, &err));
}

static inline void flip(struct store *s, const char *name, size_t at)
{
    struct bk_error err = { 0 };
    struct bk_buf b = BK_BUF(0);
    OK(store_get_all(s, name, 1 << 30, &b, &err));
    b.data[at % b.len] ^= 0x10;
    replace(s, name, b.data, b.len);
    bk_buf_clear(&b);
}

#endif
