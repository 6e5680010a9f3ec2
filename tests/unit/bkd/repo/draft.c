#include "rw_fixture.h"

#include "bkd/repo/segment_draft.h"

enum { PACKS = 12, CHUNKS = 40, PER_PACK = 15, TAKEN_MAX = 64 };

/* What segments say: which chunk is where, in which segment; and which packs each names. */
static bool want[PACKS][CHUNKS], said[PACKS][CHUNKS], names[TAKEN_MAX][PACKS];
static unsigned n_taken, fails_at, n_superseding, superseding_at;

static uint32_t chunk_of(const chunk_id *id)
{
    for (uint32_t c = 0; c < CHUNKS; c++) {
        chunk_id x = id_of(c);
        if (chunk_id_cmp(id, &x) == 0)
            return c;
    }
    fail_msg("a chunk that was never added");
    return 0;
}

static int take(struct index *x, const struct segment_input *in, uint64_t *ret_bytes, struct bk_error *err)
{
    (void)x;
    bool here[CHUNKS] = { false };
    assert_in_range(n_taken, 0, TAKEN_MAX - 1);
    if (fails_at && !--fails_at)
        return bk_fail(err, BK_E_NOSPACE, "as asked");
    for (size_t i = 0; i < in->n_packs; i++)
        names[n_taken][in->packs[i].name.b[0]] = true;
    for (size_t i = 0; i < in->n_entries; i++) {
        const struct segment_entry *e = &in->entries[i];
        assert_in_range(e->frame, 0, in->n_frames - 1);
        const struct segment_frame *f = &in->frames[e->frame];
        assert_in_range(f->pack, 0, in->n_packs - 1);
        uint8_t pack = in->packs[f->pack].name.b[0];
        uint32_t c = chunk_of(&e->id);
        assert_int_equal(f->raw_len, 2000 + pack); /* the frame is the pack's own */
        assert_false(here[c]);
        here[c] = true;
        said[pack][c] = true;
    }
    if (in->n_superseded) {
        n_superseding++;
        superseding_at = n_taken;
    }
    n_taken++;
    *ret_bytes = 1;
    return 0;
}

static void fill(struct segment_draft *d, uint64_t *seed)
{
    struct bk_error err = { 0 };
    memset(want, 0, sizeof want);
    memset(said, 0, sizeof said);
    memset(names, 0, sizeof names);
    n_taken = n_superseding = 0;
    for (uint8_t p = 0; p < PACKS; p++) {
        bk_auto(pack_directory_clear) struct pack_directory dir = { 0 };
        for (uint32_t f = 0; f < 3; f++) {
            chunk_id ids[PER_PACK / 3];
            unsigned n = 0;
            while (n < PER_PACK / 3) {
                *seed = *seed * 6364136223846793005u + 1442695040888963407u;
                uint32_t c = (uint32_t)(*seed >> 40) % CHUNKS;
                if (want[p][c])
                    continue;
                want[p][c] = true;
                ids[n++] = id_of(c);
            }
            OK(pack_directory_add(&dir, PACK_HEADER + f * 1000, 1000, 2000u + p, ids, n, &err));
        }
        struct segment_pack line = { .bytes = 1 << 20, .name.b = { p } };
        OK(segment_draft_add(d, &line, &dir, &err));
    }
}

/* A pack that is named is named once, and what was put of it is all that is in it. */
static void all_is_said(void)
{
    assert_memory_equal(said, want, sizeof want);
    for (unsigned p = 0; p < PACKS; p++) {
        unsigned n = 0;
        for (unsigned i = 0; i < n_taken; i++)
            n += names[i][p];
        assert_int_equal(n, 1);
    }
}

static void packs_that_share_chunks_go_into_segments_of_their_own(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
    segment_name old = { .b = { 1 } };
    uint64_t seed = 3, bytes;
    for (unsigned round = 0; round < 200; round++) {
        fill(&d, &seed);
        d.superseded = &old;
        d.n_superseded = round % 2;
        OK(segment_draft_end(&d, NULL, take, &bytes, &err));
        assert_int_equal(bytes, n_taken);
        assert_in_range(n_taken, 2, PACKS);
        all_is_said();
        assert_int_equal(n_superseding, round % 2);
        if (n_superseding)
            assert_int_equal(superseding_at, n_taken - 1);
        assert_int_equal(d.n_entries + d.n_frames + d.n_packs, 0);
    }
}

/* Whatever was not put is still there, and can be put later. */
static void a_draft_that_fails_on_the_way_is_kept(void **state)
{
    (void)state;
    uint64_t seed = 9, bytes;
    for (unsigned nth = 1; nth < 8; nth++) {
        struct bk_error err = { 0 };
        bk_auto(segment_draft_clear) struct segment_draft d = { 0 };
        fill(&d, &seed);
        fails_at = nth;
        int r = segment_draft_end(&d, NULL, take, &bytes, &err);
        if (r == 0)
            continue;
        assert_int_equal(r, BK_E_NOSPACE);
        assert_int_equal(d.n_packs, PACKS);
        for (unsigned p = 0; p < PACKS; p++) /* no pack is named in part */
            for (unsigned i = 0; i < n_taken; i++)
                if (names[i][p])
                    assert_memory_equal(said[p], want[p], sizeof want[p]);
        memset(said, 0, sizeof said);
        memset(names, 0, sizeof names);
        n_taken = 0;
        OK(segment_draft_end(&d, NULL, take, &bytes, &err));
        all_is_said();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_that_share_chunks_go_into_segments_of_their_own),
        cmocka_unit_test(a_draft_that_fails_on_the_way_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
