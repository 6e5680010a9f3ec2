#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>

#include "bkd/store/event.h"
#include "bkd/store/fault.h"
#include "bkd/store/mem.h"
#include "bkd/store/mirror.h"
#include "formats/object/config.h"
#include "formats/object/record.h"
#include "tests/unit/bkd/life/locks.h"
#include "tests/unit/bkd/store/gate.h"

#define OK(call)                                          \
    do {                                                  \
        int ok_r = (call);                                \
        if (ok_r != 0)                                    \
            fail_msg("%s: %d %s", #call, ok_r, err.text); \
    } while (0)

enum { STORES = 3 };
static struct store *mem[STORES];
static struct gate gate[STORES];
static atomic_uint events[4];

static void on_event(void *ctx, const struct store_event *e)
{
    (void)ctx;
    events[e->kind]++;
}

static struct world world;

/* Each test begins with empty stores and no event. */
static int begin(void **state)
{
    (void)state;
    world = world_real;
    world.store_event = on_event;
    for (int i = 0; i < 4; i++)
        events[i] = 0;
    for (int i = 0; i < STORES; i++) {
        struct bk_error err = { 0 };
        OK(store_mem_new(&mem[i], &err));
        gate_init(&gate[i], mem[i]);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < STORES; i++)
        store_free(mem[i]);
    return 0;
}

static struct store *mirror(unsigned n, unsigned needed)
{
    struct bk_error err = { 0 };
    struct store *s = NULL, *of[STORES];
    for (unsigned i = 0; i < n; i++)
        of[i] = &gate[i].store;
    OK(store_mirror_new(of, n, needed, &world, &s, &err));
    return s;
}

struct object {
    char name[128];
    struct bk_buf bytes;
};

static void object_clear(struct object *o)
{
    bk_buf_clear(&o->bytes);
}
BK_AUTO_CLEAR(struct object, object_clear)

/* A pack as far as a store sees one. */
static struct object pack(unsigned seed, size_t len)
{
    struct bk_error err = { 0 };
    struct object o = { .bytes = BK_BUF(1 << 24) };
    uint8_t hash[SUITE_HASH], *p;
    char hex[2 * SUITE_HASH + 1];
    OK(bk_buf_extend(&o.bytes, len, &p, &err));
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((seed + 1) * (i + 7) >> 3);
    object_header_encode(
        &(struct object_header){ .kind = OBJECT_PACK, .version = 1, .suite = SUITE_AES256_GCM }, p);
    OK(suite_hash(SUITE_AES256_GCM, p, len, hash, &err));
    object_hex(hash, sizeof hash, hex);
    snprintf(o.name, sizeof o.name, "data/%.2s/%s", hex, hex);
    return o;
}

/* A record; `what` makes one differ from another of the same name. */
static struct object record(const char *name, enum object_kind kind, const char *what)
{
    static const uint8_t salt[RECORD_SALT] = "salt";
    struct bk_error err = { 0 };
    struct object o = { .bytes = BK_BUF(1 << 20) };
    struct keyring k = { 0 };
    uint8_t random[64] = { 1 }, digest[SUITE_HASH] = { 2 };
    OK(keyring_init(&k, SUITE_AES256_GCM, random, digest, &err));
    snprintf(o.name, sizeof o.name, "%s", name);
    OK(record_seal(&k, kind, name, salt, what, strlen(what), &o.bytes, &err));
    keyring_clear(&k);
    return o;
}

static struct object config(uint8_t id)
{
    struct bk_error err = { 0 };
    struct object o = { .bytes = BK_BUF(1 << 12), .name = "config" };
    struct config c;
    config_defaults(&c);
    c.suite = SUITE_AES256_GCM;
    c.repo_id[0] = id;
    OK(config_encode(&c, &o.bytes, &err));
    return o;
}

static int put(struct store *s, const struct object *o, struct bk_error *err)
{
    return store_put(s, o->name, o->bytes.data, o->bytes.len, err);
}

static bool holds(struct store *s, const struct object *o)
{
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    return store_get_all(s, o->name, 1 << 24, &b, &err) == 0 && b.len == o->bytes.len &&
           memcmp(b.data, o->bytes.data, b.len) == 0;
}

static unsigned holders(const struct object *o)
{
    unsigned n = 0;
    for (int i = 0; i < STORES; i++)
        n += holds(mem[i], o);
    return n;
}

enum harm { FLIPPED, CUT, EMPTIED, GROWN, DELETED, HARMS };

static void harm(struct store *s, const struct object *o, enum harm h)
{
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 24);
    OK(bk_buf_append(&b, o->bytes.data, o->bytes.len, &err));
    OK(store_remove(s, o->name, &err));
    if (h == FLIPPED)
        b.data[b.len / 2] ^= 4;
    else if (h == CUT)
        b.len -= b.len / 3;
    else if (h == EMPTIED)
        b.len = 0;
    else if (h == GROWN)
        OK(bk_buf_append(&b, "more", 4, &err));
    if (h != DELETED)
        OK(store_put(s, o->name, b.data, b.len, &err));
}

static void put_reaches_all_stores(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(3, 3);
    bk_auto(object_clear) struct object p = pack(1, 5000), r = record("snapshots/00", OBJECT_SNAPSHOT, "a");
    OK(put(s, &p, &err));
    OK(put(s, &r, &err));
    assert_int_equal(holders(&p), 3);
    assert_int_equal(holders(&r), 3);
    assert_int_equal(put(s, &p, &err), BK_E_EXISTS);
    assert_int_equal(put(s, &r, &err), BK_E_EXISTS);
    assert_true(holds(s, &p) && holds(s, &r));
}

static void put_waits_for_k_and_the_filler_does_the_rest(void **state)
{
    (void)state;
    for (unsigned k = 1; k <= 3; k++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(3, k);
        bk_auto(object_clear) struct object p = pack(k, 70000);
        OK(put(s, &p, &err));
        assert_true(holders(&p) >= k);
        store_mirror_settle(s);
        assert_int_equal(holders(&p), 3);
    }
}

static void a_put_counts_with_k_copies_while_a_store_is_away(void **state)
{
    (void)state;
    for (int away = 0; away < 3; away++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(3, 2);
        bk_auto(object_clear) struct object p = pack(10 + (unsigned)away, 3000);
        gate[away].shut = true;
        OK(put(s, &p, &err));
        assert_int_equal(holders(&p), 2);
        store_mirror_settle(s);
        gate[away].shut = false;
    }
    assert_int_equal(events[STORE_EVENT_UNREACHABLE], 3);
}

static void fewer_than_k_is_an_error(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 2);
    bk_auto(object_clear) struct object p = pack(1, 3000), r = record("notes/00.1", OBJECT_NOTE, "a");
    gate[1].shut = true;
    assert_int_equal(put(s, &p, &err), BK_E_COPIES);
    assert_true(err.hint[0]);
    /* the primary has decided: the name is taken, and reading shows whose it is */
    assert_int_equal(put(s, &r, &err), BK_E_COPIES);
    assert_true(holds(s, &r));
    gate[1].shut = false;
    gate[1].full = true;
    bk_auto(object_clear) struct object q = pack(2, 3000);
    assert_int_equal(put(s, &q, &err), BK_E_COPIES);
    assert_non_null(strstr(err.text, "no space"));
}

static void with_too_few_stores_from_the_start_nothing_is_written(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *s = NULL, *of[2] = { &gate[0].store, NULL };
    OK(store_mirror_new(of, 2, 2, &world, &s, &err));
    bk_auto(object_clear) struct object p = pack(1, 3000), r = record("notes/00.1", OBJECT_NOTE, "a");
    assert_int_equal(put(s, &p, &err), BK_E_COPIES);
    assert_int_equal(put(s, &r, &err), BK_E_COPIES);
    assert_true(err.hint[0]);
    assert_int_equal(gate[0].puts, 0);
    store_free(s);
}

static void a_lost_acknowledgement_on_one_side_leaves_one_answer(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(2, 2);
        bk_auto(object_clear) struct object r = record(side ? "notes/00.1" : "notes/00.0", OBJECT_NOTE, "a");
        bk_auto(object_clear) struct object p = pack(20 + (unsigned)side, 100);
        gate[side].deaf = true;
        /* the primary decides, and does not know; what another store got is looked up */
        assert_int_equal(put(s, &r, &err), side ? 0 : BK_E_IO);
        OK(put(s, &p, &err));
        gate[side].deaf = false;
        assert_true(holds(s, &r) && holds(s, &p));
        assert_int_equal(put(s, &r, &err), BK_E_EXISTS);
        assert_int_equal(put(s, &p, &err), BK_E_EXISTS);
        store_mirror_settle(s);
        assert_int_equal(holders(&p), 2);
    }
}

static void without_the_primary_nothing_is_decided(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 1);
    bk_auto(object_clear) struct object before = record("snapshots/00", OBJECT_SNAPSHOT, "a");
    bk_auto(object_clear) struct object after = record("snapshots/01", OBJECT_SNAPSHOT, "b");
    bk_auto(object_clear) struct object p = pack(1, 3000);
    OK(put(s, &before, &err));
    gate[0].shut = true;
    assert_int_equal(put(s, &after, &err), BK_E_UNSUPPORTED);
    assert_true(err.hint[0]);
    assert_int_equal(holders(&after), 0);
    OK(put(s, &p, &err));
    assert_true(holds(s, &before) && holds(s, &p));
    assert_int_equal(store_remove(s, before.name, &err), BK_E_IO);
    /* and it stays so for this run, as what was listed meanwhile may lack something */
    gate[0].shut = false;
    assert_int_equal(put(s, &after, &err), BK_E_UNSUPPORTED);
    assert_int_equal(store_remove(s, before.name, &err), BK_E_IO);
    assert_true(holds(mem[0], &before) && holds(mem[1], &before));
}

static void of_two_mirrors_that_race_one_wins_everywhere(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *a = mirror(3, 3);
        bk_auto(store_free) struct store *b = mirror(3, 3);
        char name[32];
        snprintf(name, sizeof name, "snapshots/%02x", round);
        bk_auto(object_clear) struct object one = record(name, OBJECT_SNAPSHOT, "one");
        bk_auto(object_clear) struct object other = record(name, OBJECT_VOID, "other");
        /* b's put falls between a's on the primary and a's on the others */
        if (round % 2)
            OK(put(mem[0], &one, &err));
        int ra = round % 2 ? 0 : put(a, &one, &err), rb = put(b, &other, &err);
        assert_int_equal(ra, 0);
        assert_int_equal(rb, BK_E_EXISTS);
        assert_true(holds(a, &one) && holds(b, &one));
        assert_int_equal(holders(&other), 0);
    }
}

struct racer {
    pthread_t thread;
    struct store *s;
    struct object o;
    int r;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct bk_error err = { 0 };
    r->r = put(r->s, &r->o, &err);
    return NULL;
}

static void racing_threads_on_two_mirrors_agree(void **state)
{
    (void)state;
    bk_auto(store_free) struct store *a = mirror(2, 2);
    bk_auto(store_free) struct store *b = mirror(2, 2);
    for (unsigned round = 0; round < 100; round++) {
        char name[32];
        snprintf(name, sizeof name, "snapshots/%02x", round);
        struct racer v[2] = { { .s = a, .o = record(name, OBJECT_SNAPSHOT, "one") },
                              { .s = b, .o = record(name, OBJECT_VOID, "other") } };
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&v[i].thread, NULL, race, &v[i]), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(v[i].thread, NULL);
        assert_int_equal((v[0].r == 0) + (v[1].r == 0), 1);
        assert_int_equal(v[v[0].r == 0 ? 1 : 0].r, BK_E_EXISTS);
        assert_int_equal(holders(&v[v[0].r == 0 ? 0 : 1].o), 2);
        object_clear(&v[0].o);
        object_clear(&v[1].o);
    }
}

static struct object stray;

static void put_stray(void *ctx, const char *name)
{
    struct bk_error err = { 0 };
    (void)ctx;
    if (strcmp(name, stray.name) == 0)
        OK(put(mem[1], &stray, &err));
}

static void another_object_on_a_secondary_makes_way(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    stray = record("snapshots/00", OBJECT_VOID, "stray");
    bk_auto(object_clear) struct object fresh = record("snapshots/00", OBJECT_SNAPSHOT, "new");
    bk_auto(store_free) struct store *s = mirror(2, 2);
    gate[0].after_put = put_stray;
    OK(put(s, &fresh, &err));
    assert_int_equal(holders(&fresh), 2);
    object_clear(&stray);
}

static void what_the_primary_lost_is_still_taken(void **state)
{
    (void)state;
    static const char *const names[] = { "generation/2", "tombstones/00", "snapshots/00" };
    static const enum object_kind kinds[] = { OBJECT_GENERATION, OBJECT_TOMBSTONES, OBJECT_SNAPSHOT };
    for (unsigned i = 0; i < 3; i++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(3, 3);
        bk_auto(object_clear) struct object first = record(names[i], kinds[i], "first");
        bk_auto(object_clear) struct object second = record(names[i], kinds[i], "second");
        OK(put(s, &first, &err));
        OK(store_remove(mem[0], names[i], &err));
        assert_int_equal(put(s, &second, &err), BK_E_EXISTS);
        assert_int_equal(holders(&first), 3);
    }
}

static void a_decision_needs_the_word_of_every_store(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 1);
    bk_auto(object_clear) struct object first = record("generation/2", OBJECT_GENERATION, "first");
    bk_auto(object_clear) struct object second = record("generation/2", OBJECT_GENERATION, "second");
    bk_auto(object_clear) struct object other = record("notes/00.1", OBJECT_NOTE, "a");
    OK(put(s, &first, &err));
    OK(store_remove(mem[0], first.name, &err));
    gate[1].shut = true;
    assert_int_equal(put(s, &second, &err), BK_E_UNSUPPORTED);
    assert_true(err.hint[0]);
    assert_int_equal(holders(&second), 0);
    OK(put(s, &other, &err)); /* what is no decision goes on with one copy */
}

/* A read-only store cannot be healed: what it has bad is read elsewhere. */
static void a_copy_that_cannot_be_healed_is_not_read(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 2);
    struct object v[20];
    for (unsigned i = 0; i < 20; i++) {
        v[i] = pack(60 + i, 900);
        OK(put(s, &v[i], &err));
        harm(mem[0], &v[i], FLIPPED);
    }
    gate[0].fixed = true;
    for (unsigned i = 0; i < 20; i++) {
        OK(store_heal(s, v[i].name, NULL, &err));
        assert_true(holds(s, &v[i]));
        assert_false(holds(mem[0], &v[i]));
    }
    assert_int_equal(events[STORE_EVENT_UNREPAIRED], 20);
    gate[0].fixed = false;
    for (unsigned i = 0; i < 20; i++) {
        OK(store_heal(s, v[i].name, NULL, &err));
        gate[1].shut = true;
        assert_true(holds(s, &v[i]));
        gate[1].shut = false;
    }
    for (unsigned i = 0; i < 20; i++)
        object_clear(&v[i]);
}

static void reading_heals_small_objects(void **state)
{
    (void)state;
    for (int h = 0; h < HARMS; h++)
        for (int side = 0; side < 2; side++) {
            struct bk_error err = { 0 };
            bk_auto(store_free) struct store *s = mirror(2, 2);
            char name[32];
            snprintf(name, sizeof name, "snapshots/%d%d", h, side);
            bk_auto(object_clear) struct object r = record(name, OBJECT_SNAPSHOT, "payload");
            uint64_t size;
            OK(put(s, &r, &err));
            harm(mem[side], &r, h);
            events[STORE_EVENT_REPAIRED] = 0;
            OK(store_stat(s, r.name, &size, &err));
            assert_int_equal(size, r.bytes.len);
            assert_true(holds(s, &r));
            if (side == 0) { /* the secondary is not asked: scrub's matter */
                assert_int_equal(holders(&r), 2);
                assert_int_equal(events[STORE_EVENT_REPAIRED], 1);
            }
        }
}

static void reading_heals_content_that_is_gone_or_short(void **state)
{
    (void)state;
    for (int h = 0; h < HARMS; h++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(3, 3);
        bk_auto(object_clear) struct object p = pack(30 + (unsigned)h, 9000);
        uint8_t last[100];
        OK(put(s, &p, &err));
        harm(mem[0], &p, h);
        if (h == FLIPPED || h == GROWN) /* whoever opens it asks for healing */
            OK(store_heal(s, p.name, NULL, &err));
        OK(store_get_exact(s, p.name, 8900, last, sizeof last, &err));
        assert_memory_equal(last, p.bytes.data + 8900, sizeof last);
        assert_int_equal(holders(&p), 3);
        assert_int_equal(events[STORE_EVENT_REPAIRED], h + 1);
    }
}

struct copies {
    unsigned n[STORE_COPY_UNREACHABLE + 1];
};

static void count_copy(void *ctx, const struct store_copy *c)
{
    ((struct copies *)ctx)->n[c->state]++;
}

static void healing_finds_every_harm_in_every_store(void **state)
{
    (void)state;
    for (int h = 0; h < HARMS; h++)
        for (unsigned bad = 1; bad < 7; bad++) { /* every set of stores but all of them */
            struct bk_error err = { 0 };
            bk_auto(store_free) struct store *s = mirror(3, 3);
            bk_auto(object_clear) struct object o =
                bad % 2 ? pack(100 + (unsigned)h * 8 + bad, 2000) : record("keyring/0", OBJECT_KEYRING, "k");
            OK(put(s, &o, &err));
            unsigned n_bad = 0;
            for (unsigned i = 0; i < 3; i++)
                if (bad >> i & 1) {
                    harm(mem[i], &o, h);
                    n_bad++;
                }
            struct copies c = { 0 };
            struct store_heal how = { .copy = count_copy, .ctx = &c };
            OK(store_heal(s, o.name, &how, &err));
            assert_int_equal(c.n[STORE_COPY_REPAIRED], n_bad);
            assert_int_equal(c.n[STORE_COPY_SOUND], 3 - n_bad);
            assert_int_equal(holders(&o), 3);
            OK(store_remove(s, o.name, &err));
        }
}

static void without_a_sound_copy_nothing_is_touched(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 2);
    bk_auto(object_clear) struct object p = pack(1, 2000);
    OK(put(s, &p, &err));
    harm(mem[0], &p, FLIPPED);
    harm(mem[1], &p, CUT);
    struct copies c = { 0 };
    struct store_heal how = { .copy = count_copy, .ctx = &c };
    assert_int_equal(store_heal(s, p.name, &how, &err), BK_E_CORRUPT);
    assert_int_equal(c.n[STORE_COPY_BAD], 2);
    uint64_t size;
    OK(store_stat(mem[0], p.name, &size, &err));
    assert_int_equal(size, 2000);
    assert_int_equal(store_heal(s, "data/00/none", NULL, &err), BK_E_ABSENT);
}

static struct object doomed;

/* Somebody else's removal goes through both stores; the copy that healing writes comes after it. */
static void remove_below(void *ctx, const char *name)
{
    struct bk_error err = { 0 };
    (void)ctx;
    if (strcmp(name, doomed.name) == 0)
        OK(store_remove(mem[1], name, &err));
}

static void healing_is_undone_when_the_object_is_removed_meanwhile(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(2, 2);
    doomed = record("snapshots/0d", OBJECT_SNAPSHOT, "x");
    OK(put(mem[1], &doomed, &err));
    gate[0].after_put = remove_below;
    OK(store_heal(s, doomed.name, NULL, &err));
    assert_int_equal(holders(&doomed), 0);
    assert_int_equal(events[STORE_EVENT_REPAIRED], 0);
    object_clear(&doomed);
}

static void removal_needs_every_store(void **state)
{
    (void)state;
    for (int away = 0; away < 3; away++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(3, 1);
        bk_auto(object_clear) struct object p = pack(40 + (unsigned)away, 100);
        OK(put(s, &p, &err));
        store_mirror_settle(s);
        gate[away].shut = true;
        assert_int_equal(store_remove(s, p.name, &err), BK_E_IO);
        assert_true(err.hint[0]);
        gate[away].shut = false;
        assert_true(holds(mem[0], &p));
    }
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(3, 1);
    bk_auto(object_clear) struct object p = pack(50, 100);
    OK(put(s, &p, &err));
    store_mirror_settle(s);
    OK(store_remove(s, p.name, &err));
    assert_int_equal(holders(&p), 0);
    OK(store_remove(s, p.name, &err));
}

/* Whatever call fails in a removal: never is the object in a secondary and not in the primary. */
static void a_removal_that_fails_anywhere_is_not_taken_for_damage(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct bk_error err = { 0 };
        struct store *of[2] = { 0 }, *s = NULL;
        bk_auto(object_clear) struct object r = record("snapshots/00", OBJECT_SNAPSHOT, "a");
        for (int i = 0; i < 2; i++)
            (void)!put(mem[i], &r, &err);
        OK(store_fault_new(&gate[0].store, FAULT_LOST_ACK, 0, &of[0], &err));
        OK(store_fault_new(&gate[1].store, nth % 2 ? FAULT_ERROR : FAULT_CUT, (nth + 1) / 2, &of[1], &err));
        OK(store_mirror_new(of, 2, 2, &world, &s, &err));
        int e = store_remove(s, r.name, &err);
        bool fired = store_fault_fired(of[1]);
        store_free(s);
        assert_true(holds(mem[0], &r) || !holds(mem[1], &r));
        if (e == 0)
            assert_int_equal(holders(&r), 0);
        if (!fired && e == 0)
            break;
        assert_true(nth < 100);
    }
}

static int count_listed(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name, (void)size, (void)err;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned listed(struct store *s, const char *prefix)
{
    struct bk_error err = { 0 };
    unsigned n = 0;
    OK(store_list(s, prefix, count_listed, &n, &err));
    return n;
}

static void a_list_is_what_any_store_has(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(store_free) struct store *s = mirror(3, 3);
    for (unsigned i = 0; i < 20; i++) {
        bk_auto(object_clear) struct object p = pack(i, 100 + i);
        OK(put(s, &p, &err));
        if (i % 4 < 3)
            harm(mem[i % 4], &p, i % 2 ? DELETED : CUT);
    }
    assert_int_equal(listed(s, "data/"), 20);
    assert_int_equal(listed(s, "meta/"), 0);
}

static void after_a_list_that_lacks_a_store_nothing_is_collected(void **state)
{
    (void)state;
    for (int away = 0; away < 2; away++) {
        struct bk_error err = { 0 };
        bk_auto(store_free) struct store *s = mirror(2, 1);
        char name[2][32];
        snprintf(name[0], sizeof name[0], "generation/%d", away);
        snprintf(name[1], sizeof name[1], "sessions/0%d", away);
        bk_auto(object_clear) struct object decision = record(name[0], OBJECT_GENERATION, "a");
        bk_auto(object_clear) struct object session = record(name[1], OBJECT_SESSION, "a");
        bk_auto(object_clear) struct object p = pack(60 + (unsigned)away, 100);
        OK(put(s, &p, &err));
        store_mirror_settle(s);
        gate[away].shut = true;
        assert_int_equal(listed(s, "data/"), away + 1);
        gate[away].shut = false;
        assert_int_equal(put(s, &decision, &err), BK_E_UNSUPPORTED);
        assert_int_equal(store_remove(s, p.name, &err), BK_E_IO);
        /* a secondary's absence keeps nobody from working */
        assert_int_equal(put(s, &session, &err), away == 0 ? BK_E_UNSUPPORTED : 0);
        assert_true(holds(s, &p));
    }
}

static void a_blank_store_neither_decides_nor_counts(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(object_clear) struct object c = config(1), k = record("keyring/0", OBJECT_KEYRING, "k");
    bk_auto(object_clear) struct object p = pack(1, 100), r = record("notes/00.1", OBJECT_NOTE, "n");
    for (int blank = 0; blank < 2; blank++) {
        struct store *full = mem[1 - blank];
        (void)!put(full, &c, &err);
        (void)!put(full, &k, &err);
        OK(store_remove(mem[blank], "config", &err));
        OK(store_remove(mem[blank], k.name, &err));
        bk_auto(store_free) struct store *s = mirror(2, 1);
        assert_int_equal(events[STORE_EVENT_UNREACHABLE], blank + 1);
        assert_true(holds(s, &c) && holds(s, &k)); /* read, and not healed into an unmounted disk's place */
        assert_false(holds(mem[blank], &c));
        assert_int_equal(put(s, &r, &err), blank == 0 ? BK_E_UNSUPPORTED : 0);
        assert_true(store_remove(s, k.name, &err) < 0);
        /* scrub fills it, the config as the last one */
        struct store_heal how = { .fill = true };
        OK(store_heal(s, k.name, &how, &err));
        OK(store_heal(s, c.name, &how, &err));
        assert_true(holds(mem[blank], &c) && holds(mem[blank], &k));
    }
    bk_auto(store_free) struct store *s = mirror(2, 2);
    OK(put(s, &p, &err));
    assert_int_equal(holders(&p), 2);
}

static void stores_of_two_repositories_make_no_mirror(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct store *of[2] = { &gate[0].store, &gate[1].store }, *s = NULL;
    bk_auto(object_clear) struct object a = config(1), b = config(2);
    OK(put(mem[0], &a, &err));
    OK(put(mem[1], &b, &err));
    assert_int_equal(store_mirror_new(of, 2, 2, &world, &s, &err), BK_E_FAILED);
    assert_null(s);
}

static void a_config_that_is_damaged_or_lost_is_healed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(object_clear) struct object c = config(1), k = record("keys/00", OBJECT_SLOT, "k");
    for (int h = 0; h < HARMS; h++)
        for (int i = 0; i < 2; i++) {
            (void)!put(mem[0], &c, &err);
            (void)!put(mem[1], &c, &err);
            (void)!put(mem[0], &k, &err);
            (void)!put(mem[1], &k, &err);
            harm(mem[0], &c, h);
            bk_auto(store_free) struct store *s = mirror(2, 2);
            assert_true(holds(s, &c));
            assert_int_equal(holders(&c), 2);
        }
}

static void urls_are_read_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int r;
    } cases[] = {
        { "mirror:/tmp/bk-none-a|/tmp/bk-none-b", BK_E_ABSENT },
        { "mirror:2:/tmp/bk-none-a|/tmp/bk-none-b", BK_E_ABSENT },
        { "mirror:/tmp/bk-none%7Ca|/tmp/bk-none-b", BK_E_ABSENT },
        { "mirror:", BK_E_USAGE },
        { "mirror:/tmp/bk-none-a", BK_E_USAGE },
        { "mirror:/tmp/bk-none-a|", BK_E_USAGE },
        { "mirror:/tmp/bk-none-a|/tmp/bk-none-a", BK_E_USAGE },
        { "mirror:0:/tmp/bk-none-a|/tmp/bk-none-b", BK_E_USAGE },
        { "mirror:3:/tmp/bk-none-a|/tmp/bk-none-b", BK_E_USAGE },
        { "mirror:/1|/2|/3|/4|/5|/6|/7|/8|/9", BK_E_USAGE },
        { "mirror:gopher://x|/tmp/bk-none-b", BK_E_UNSUPPORTED },
    };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        struct bk_error err = { 0 };
        struct store *s = NULL;
        int r = store_open(cases[i].url, false, &world_real, &s, &err);
        if (r != cases[i].r)
            fail_msg("%s: %d %s", cases[i].url, r, err.text);
        assert_null(s);
    }
}

/* ---- object lock ---- */

static struct store *mirror_of_locks(unsigned n_locking)
{
    struct bk_error err = { 0 };
    struct store *s = NULL, *of[2];
    locks.n = 0;
    locks.now_ns = 1000;
    for (unsigned i = 0; i < 2; i++)
        of[i] = i < n_locking ? locking_new(&gate[i].store) : &gate[i].store;
    OK(store_mirror_new(of, 2, 1, &world, &s, &err));
    return s;
}

static void what_one_store_locks_stays_there(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(object_clear) struct object c = config(1);
    bk_auto(object_clear) struct object p = pack(1, 1000);
    struct store *s = mirror_of_locks(1);
    OK(put(s, &c, &err));
    OK(put(s, &p, &err));
    assert_true(s->can & STORE_CAN_RETAIN);
    OK(store_retain(s, p.name, 2000, &err));
    int r = store_remove(s, p.name, &err);
    assert_true(store_still_locked(s, r));
    assert_true(holds(mem[0], &p));
    locks.now_ns = 3000;
    err = (struct bk_error){ 0 };
    OK(store_remove(s, p.name, &err));
    assert_int_equal(holders(&p), 0);
    store_free(s);
}

static void a_store_that_is_out_is_locked_later(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(object_clear) struct object c = config(1);
    bk_auto(object_clear) struct object p = pack(1, 1000);
    struct store *s = mirror_of_locks(2);
    OK(put(s, &c, &err));
    OK(put(s, &p, &err));
    atomic_store(&gate[1].shut, true);
    assert_int_equal(store_retain(s, p.name, 2000, &err), BK_E_ABSENT); /* so that nobody remembers it */
    assert_int_equal(locks_until(p.name), 2000);
    atomic_store(&gate[0].shut, true);
    assert_int_equal(store_retain(s, p.name, 2000, &err), BK_E_IO);
    atomic_store(&gate[0].shut, false);
    locks.refuses = true;
    assert_int_equal(store_retain(s, p.name, 2000, &err), BK_E_PERM);
    locks.refuses = false;
    store_free(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(put_reaches_all_stores),
        TEST(put_waits_for_k_and_the_filler_does_the_rest),
        TEST(a_put_counts_with_k_copies_while_a_store_is_away),
        TEST(fewer_than_k_is_an_error),
        TEST(with_too_few_stores_from_the_start_nothing_is_written),
        TEST(what_the_primary_lost_is_still_taken),
        TEST(a_decision_needs_the_word_of_every_store),
        TEST(a_copy_that_cannot_be_healed_is_not_read),
        TEST(a_lost_acknowledgement_on_one_side_leaves_one_answer),
        TEST(without_the_primary_nothing_is_decided),
        TEST(of_two_mirrors_that_race_one_wins_everywhere),
        TEST(racing_threads_on_two_mirrors_agree),
        TEST(another_object_on_a_secondary_makes_way),
        TEST(reading_heals_small_objects),
        TEST(reading_heals_content_that_is_gone_or_short),
        TEST(healing_finds_every_harm_in_every_store),
        TEST(without_a_sound_copy_nothing_is_touched),
        TEST(healing_is_undone_when_the_object_is_removed_meanwhile),
        TEST(removal_needs_every_store),
        TEST(a_removal_that_fails_anywhere_is_not_taken_for_damage),
        TEST(a_list_is_what_any_store_has),
        TEST(after_a_list_that_lacks_a_store_nothing_is_collected),
        TEST(a_blank_store_neither_decides_nor_counts),
        TEST(stores_of_two_repositories_make_no_mirror),
        TEST(a_config_that_is_damaged_or_lost_is_healed),
        TEST(urls_are_read_as_written),
        TEST(what_one_store_locks_stays_there),
        TEST(a_store_that_is_out_is_locked_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
