/* Damage that no checksum shows: segments that name their packs and not all of the chunks in them. */
#ifndef TESTS_UNIT_BKD_REPO_INDEX_THIN_H
#define TESTS_UNIT_BKD_REPO_INDEX_THIN_H

#include "bkd/repo/index_inside.h"

/* All segments of x anew, without every n-th entry. How many were. */
static inline unsigned index_thin(struct index *x, unsigned nth)
{
    struct bk_error err = { 0 };
    uint8_t page[SEGMENT_PAGE];
    unsigned at = 0, lost = 0;
    size_t n = 0;
    while (index_segment_at(x, n))
        n++;
    for (size_t k = 0; k < n; k++) {
        struct index_segment *s = index_segment_at(x, k);
        const struct segment *g = &s->seg;
        struct segment_entry *entries = calloc(g->n_entries, sizeof *entries);
        struct segment_frame *frames = calloc(g->n_frames, sizeof *frames);
        struct segment_pack *packs = calloc(g->n_packs, sizeof *packs);
        struct segment_input in = { .entries = entries, .frames = frames, .packs = packs };
        uint64_t bytes;
        assert_true(entries && frames && packs);
        for (uint32_t p = 0; p < g->n_entry_pages; p++) {
            assert_int_equal(index_segment_page(s, g->entries_page + p, page, &err), 0);
            for (unsigned i = 0; i < segment_page_count(page); i++) {
                bool leave = ++at % nth == 0;
                segment_page_entry(page, i, &entries[in.n_entries]);
                in.n_entries += !leave;
                lost += leave;
            }
        }
        for (; in.n_frames < g->n_frames; in.n_frames++) {
            assert_int_equal(
                index_segment_page(s, g->frames_page + (uint32_t)(in.n_frames / SEGMENT_FRAMES_PER_PAGE),
                                   page, &err),
                0);
            segment_frame_line(page, in.n_frames, &frames[in.n_frames]);
        }
        for (; in.n_packs < g->n_packs; in.n_packs++) {
            assert_int_equal(
                index_segment_page(s, g->packs_page + (uint32_t)(in.n_packs / SEGMENT_PACKS_PER_PAGE), page,
                                   &err),
                0);
            segment_pack_line(page, in.n_packs, &packs[in.n_packs]);
        }
        assert_int_equal(index_put_segment(x, &in, &bytes, &err), 0);
        assert_int_equal(store_remove(repo_store(index_repo(x)), s->object, &err), 0);
        free(entries);
        free(frames);
        free(packs);
    }
    return lost;
}

#endif
